"""Scores along the borders of classes, when the trials measured them (`boundary_scores` of result.json)."""

from collections.abc import Mapping, Sequence

from segsuite.metrics import BOUNDARY_SCORES
from segsuite.report.answers import counted, withheld_text
from segsuite.report.boundaries import compare_boundaries
from segsuite.report.gather import TrialRecord, number
from segsuite.report.sections.base import PAGE_WIDTH, Figure, Material, Section
from segsuite.report.sections.dot_panels import dot_panels
from segsuite.report.sections.dot_traces import Panel
from segsuite.stats import CHECKPOINT_ONLY, TWO_WAY, WITHHELD, Comparison

TITLES = {
    "boundary_iou": "boundary IoU,<br>2 % of the<br>diagonal wide",
    "boundary_iou_2px": "boundary IoU,<br>2 pixels wide",
    "boundary_f": "boundary F,<br>0.75 % of the<br>diagonal",
    "trimap_iou_3px": "trimap IoU,<br>3 pixels on<br>each side",
}
MOST_PANELS = 4


def build(material: Material) -> Section | None:
    """Every seed with mean and interval, and paired differences to the baseline; None unless a result holds
    `boundary_scores`."""
    names = dict.fromkeys(name for trial in material.gathered.finished for name in boundary_scores(trial))
    if not names:
        return None
    shown = [*(name for name in BOUNDARY_SCORES if name in names), *(name for name in names if name not in TITLES)]
    figures = [
        _seeds(material, shown[first : first + MOST_PANELS], first // MOST_PANELS)
        for first in range(0, len(shown), MOST_PANELS)
    ]
    comparisons = compare_boundaries(material.gathered)
    differences = _differences(material, comparisons)
    if differences is not None:
        figures.insert(1, differences)
    note = "Operators that enlarge features differ at borders, which are a small share of all pixels: mIoU hides them."
    details = [one.sentence() for found in comparisons.values() for one in found]
    return Section(
        "boundary",
        "Along the borders",
        notes=(note,),
        figures=figures,
        details=details,
        summary="The differences in words",
    )


def boundary_scores(trial: TrialRecord) -> Mapping[str, float]:
    """Name -> value of the trial's boundary scores that are numbers."""
    scores = (trial.result or {}).get("boundary_scores")
    if not isinstance(scores, dict):
        return {}
    return {str(name): value for name, given in scores.items() if (value := number(given)) is not None}


def _seeds(material: Material, names: Sequence[str], part: int) -> Figure:
    panels = []
    for name in names:
        found = {
            arm: {
                trial.seed: scores[name]
                for trial in material.gathered.done(arm)
                if name in (scores := boundary_scores(trial))
            }
            for arm in material.gathered.shown
        }
        panels.append(Panel(_title(name), {arm: values for arm, values in found.items() if values}))
    arms = [arm for arm in material.gathered.shown if any(arm in panel.values for panel in panels)]
    data, layout, narrow = dot_panels(material, arms, panels)
    counts = [len(values) for panel in panels for values in panel.values.values()]
    titles = "; ".join(_title(name).replace("<br>", " ") for name in names)
    caption = (
        f"{titles}. 0 to 1, over the whole split; more is better. Small: one seed. Large: mean, "
        f"n = {counted(counts)} an arm."
    )
    if max(counts) >= 3:
        caption += " Bar: 95 % t interval over seeds, images taken as fixed; none with fewer than 3 seeds."
    else:
        caption += " No interval: fewer than 3 seeds."
    return Figure(
        "boundary" if part == 0 else f"boundary-{part + 1}", caption, data, layout, narrow, paper_width=PAGE_WIDTH
    )


def _differences(material: Material, comparisons: Mapping[str, Sequence[Comparison]]) -> Figure | None:
    panels = []
    for name, found in comparisons.items():
        known = [one for one in found if one.difference is not None]
        scores = {arm: _by_seed(material, arm, name) for arm in material.gathered.arms}
        values = {one.arm: _paired(scores[one.arm], scores[one.baseline]) for one in known}
        intervals = {
            one.arm: (one.difference, one.low, one.high)
            for one in known
            if one.difference is not None and one.low is not None and one.high is not None
        }
        if any(values.values()):
            panels.append(Panel(_title(name), values, intervals=intervals, reference=0.0, strong=_evident(known)))
    if not panels:
        return None
    arms = [arm for arm in material.gathered.arms if any(panel.values.get(arm) for panel in panels)]
    data, layout, narrow = dot_panels(material, arms, panels)
    return Figure("boundary-differences", _caption(material, comparisons), data, layout, narrow, paper_width=PAGE_WIDTH)


def _caption(material: Material, comparisons: Mapping[str, Sequence[Comparison]]) -> str:
    every = [one for found in comparisons.values() for one in found if one.difference is not None]
    base = material.styles[every[0].baseline].name
    text = f"Each arm minus the baseline {base}, paired by seed; right: better. Small: one seed. Large: mean of seeds."
    tested = [one for one in every if one.kind == TWO_WAY]
    if tested:
        seeds = " or ".join(str(count) for count in sorted({one.seeds for one in tested}))
        text += (
            f" Bar: {100 * tested[0].level:g} % interval, seeds and images both random, n = {seeds} seeds x "
            f"{tested[0].units} units (unit: {tested[0].unit}), not adjusted. Filled: evidence of a difference, Holm p "
            "below 0.05 over all arms, for each score by itself; hollow: none."
        )
    if any(one.kind == CHECKPOINT_ONLY for one in every):
        text += f" Bars of one seed: interval over {every[0].units} units, about this checkpoint only, not the method."
    if any(one.kind not in (TWO_WAY, CHECKPOINT_ONLY, WITHHELD) for one in every):
        text += " Two seeds are too few for an interval."
    # The reason is one of the labels, and so the same for all scores along borders.
    withheld = withheld_text(next(iter(comparisons.values())), {a: style.name for a, style in material.styles.items()})
    if withheld:
        text += f" {withheld} So there are no intervals."
    return text


def _evident(known: Sequence[Comparison]) -> frozenset[str] | None:
    """Arms with evidence; None where nothing was tested."""
    if not any(one.kind == TWO_WAY for one in known):
        return None
    return frozenset(one.arm for one in known if one.evidence)


def _by_seed(material: Material, arm: str, name: str) -> dict[int, float]:
    scores = {trial.seed: boundary_scores(trial).get(name) for trial in material.gathered.done(arm)}
    return {seed: score for seed, score in scores.items() if score is not None}


def _paired(of_arm: Mapping[int, float], baseline: Mapping[int, float]) -> dict[int, float]:
    return {seed: score - baseline[seed] for seed, score in of_arm.items() if seed in baseline}


def _title(name: str) -> str:
    return TITLES.get(name, name.replace("_", " "))
