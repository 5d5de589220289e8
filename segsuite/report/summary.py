"""One row an arm: the numbers that every table shows, on the page, in LaTeX and in Markdown."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from segsuite.metrics import SCALAR_SCORES
from segsuite.report.sections.base import Material
from segsuite.report.sections.boundary import boundary_scores
from segsuite.report.sections.cost import COSTS
from segsuite.stats import Comparison

SCORE_TITLES = {
    "miou": "mIoU",
    "pixel_accuracy": "pixel acc.",
    "mean_accuracy": "mean acc.",
    "frequency_weighted_iou": "fw IoU",
    "mean_dice": "mean Dice",
}

SMALLER_BATCHES = "* the memory was too small: some trials took smaller batches, which batch normalisation sees"
"""What the mark beside the seeds means."""


@dataclass(frozen=True)
class ArmRow:
    """Means over the arm's finished seeds; None where nothing is known. `costs` are in the file's units."""

    arm: str
    name: str
    colour: str
    is_baseline: bool
    seeds: int
    planned: int
    scores: Mapping[str, float | None]
    deviation: float | None
    """Standard deviation of mIoU over the seeds; None for fewer than two."""
    boundary: Mapping[str, float | None]
    costs: Mapping[str, float | None]
    comparison: Comparison | None
    is_best: bool
    """Best by mIoU, or not to be told apart from it; always False when nothing was tested."""
    is_marked: bool
    """Whether some of its trials took smaller batches, see SMALLER_BATCHES."""


def summarise(material: Material) -> list[ArmRow]:
    """A row for every arm of the experiment, in its order."""
    gathered, answers = material.gathered, material.answers
    best = answers.best.inseparable if answers.best is not None and answers.best.tested else ()
    names = dict.fromkeys(name for trial in gathered.finished for name in boundary_scores(trial))
    rows = []
    for arm in gathered.arms:
        done = gathered.done(arm)
        miou = list(gathered.scores(arm, "miou").values())
        row = ArmRow(
            arm,
            material.styles[arm].name,
            material.styles[arm].colour,
            arm == gathered.baseline,
            len(done),
            len(gathered.seeds),
            {score: _mean(gathered.scores(arm, score)) for score in SCALAR_SCORES},
            statistics.stdev(miou) if len(miou) > 1 else None,
            {name: _mean({t.seed: s[name] for t in done if name in (s := boundary_scores(t))}) for name in names},
            {cost: _mean({t.seed: v for t in done if (v := t.cost(cost)) is not None}) for cost in COSTS},
            answers.against_baseline(arm),
            arm in best,
            any(trial.smaller_batches for trial in done),
        )
        rows.append(row)
    return rows


def seeds_in_words(row: ArmRow) -> str:
    """How many seeds have a result, of how many if some have none; marked where some took smaller batches."""
    text = str(row.seeds) if row.seeds == row.planned else f"{row.seeds} of {row.planned}"
    return text + "*" * row.is_marked


def _mean(values: Mapping[int, float]) -> float | None:
    return statistics.mean(values.values()) if values else None
