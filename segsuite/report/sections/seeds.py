"""mIoU of every seed, with mean and interval of each arm."""

from collections.abc import Mapping
from typing import Any

from segsuite.report.answers import listed
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.sections.dots import dot_rows, mean_of, reference_line


def build(material: Material) -> Section | None:
    """One row an arm; arms with no finished trial are named instead of left out silently."""
    gathered, answers = material.gathered, material.answers
    arms = [arm for arm in gathered.shown if gathered.scores(arm, "miou")]
    if not arms:
        return None
    seeds = {arm: gathered.scores(arm, "miou") for arm in arms}
    means: dict[str, dict[str, Any]] = {}
    for arm in arms:
        interval = answers.intervals.get(arm)
        means[arm] = mean_of(seeds[arm]) | ({"low": interval.low, "high": interval.high} if interval else {})
    data, layout, narrow = dot_rows(material, arms, seeds, means, "mIoU")
    if gathered.baseline in seeds and len(arms) > 1:
        layout["shapes"] = [reference_line(answers.means[gathered.baseline])]
    notes = []
    absent = [material.styles[arm].name for arm in gathered.arms if arm not in arms]
    if absent:
        notes.append(f"Without a finished trial, and so not drawn: {listed(absent, most=12)}.")
    return Section(
        "seeds", "Every seed", notes=notes, figures=[Figure("seeds", _caption(material, arms), data, layout, narrow)]
    )


def _caption(material: Material, arms: list[str]) -> str:
    gathered = material.gathered
    scored: Mapping[str, Any] = next(
        (trial.result.get("scored", {}) for trial in gathered.finished if trial.result), {}
    )
    where = f"mIoU on {scored.get('split', '?')} ({scored.get('images', '?')} images)"
    text = f"{where}, 0 to 1. Small: one seed. Large: mean of the seeds."
    intervals = [interval for arm in arms if (interval := material.answers.intervals.get(arm)) is not None]
    if intervals:
        counts = sorted({interval.n for interval in intervals})
        n = " or ".join(map(str, counts))
        text += f" Bar: {100 * intervals[0].level:g} % {intervals[0].kind}, n = {n} seeds, images taken as fixed."
    if len(intervals) < len(arms):
        text += " Arms with fewer than 3 finished seeds have no bar."
    if gathered.baseline in arms and len(arms) > 1:
        text += " Dotted: mean of the baseline."
    if len(intervals) > 1:
        text += " Bars that overlap do not mean that there is no difference: see below."
    return text
