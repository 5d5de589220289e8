"""Scores along the borders of classes, when the trials measured them (`boundary_scores` of result.json)."""

import statistics
from collections.abc import Mapping
from typing import Any

from segsuite.report.gather import TrialRecord, number
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.sections.dots import dot_rows
from segsuite.report.style import inert


def build(material: Material) -> Section | None:
    """A figure a boundary score, with every seed as a dot; None unless a result holds `boundary_scores`."""
    names = dict.fromkeys(name for trial in material.gathered.finished for name in boundary_scores(trial))
    figures = [_figure(material, name) for name in names]
    if not figures:
        return None
    note = "Operators that enlarge features differ at borders, which are a small share of all pixels: mIoU hides them."
    return Section("boundary", "Along the borders", notes=(note,), figures=figures)


def boundary_scores(trial: TrialRecord) -> Mapping[str, float]:
    """Name -> value of the trial's boundary scores that are numbers."""
    scores = (trial.result or {}).get("boundary_scores")
    if not isinstance(scores, dict):
        return {}
    return {str(name): value for name, given in scores.items() if (value := number(given)) is not None}


def _figure(material: Material, name: str) -> Figure:
    found = {
        arm: {
            trial.seed: scores[name]
            for trial in material.gathered.done(arm)
            if name in (scores := boundary_scores(trial))
        }
        for arm in material.gathered.shown
    }
    arms = [arm for arm in found if found[arm]]
    means: dict[str, dict[str, Any]] = {arm: {"mean": statistics.mean(found[arm].values())} for arm in arms}
    data, layout, narrow = dot_rows(material, arms, found, means, inert(name.replace("_", " ")))
    counts = [len(found[arm]) for arm in arms]
    caption = (
        f"{name.replace('_', ' ')}: dots are seeds, the large marker is their mean; n = "
        f"{min(counts)}{f' to {max(counts)}' if max(counts) != min(counts) else ''} seeds; no interval."
    )
    stem = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name)
    return Figure(f"boundary-{stem}", caption, data, layout, narrow)
