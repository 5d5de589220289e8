"""Paired differences of the scores along borders, from the per-image boundary counts of the trials.

The scores are those of `segsuite.metrics.boundary`: ratios of sums over images, or functions of two, averaged over
classes. They are linearised as in `segsuite.stats.influence`, and judged as all other scores are (`segsuite.stats`).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segsuite.errors import ConfigError, unknown_name
from segsuite.metrics import BOUNDARY_COLUMNS, BOUNDARY_SCORES, array_files
from segsuite.report.gather import Counted, Gathered, TrialRecord, same_images
from segsuite.stats import Comparison, resampling_units
from segsuite.stats.contrast import Influences, holm_family, too_few_units
from segsuite.stats.influence import jackknife, ratio

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

RATIOS = {
    "boundary_iou": ("iou_intersection", "iou_union"),
    "boundary_iou_2px": ("iou_2px_intersection", "iou_2px_union"),
    "trimap_iou_3px": ("trimap_3px_intersection", "trimap_3px_union"),
}


def compare_boundaries(gathered: Gathered) -> dict[str, tuple[Comparison, ...]]:
    """Score -> one comparison an arm with the baseline, in the order of the arms, for all of BOUNDARY_SCORES.

    Empty without a baseline, or unless it and another arm have boundary counts of the same images and labels.
    """
    reference, baseline = gathered.reference, gathered.baseline
    if reference is None or baseline is None:
        return {}
    counts = {arm: _of_arm(gathered, arm, reference) for arm in gathered.arms}
    if not counts[baseline] or not any(counts[arm] for arm in counts if arm != baseline):
        return {}
    units = resampling_units(len(reference.names), reference.sequences)
    labelled = (units.sums(reference.label_pixels()) > 0).sum(axis=0)
    present = labelled > 0
    withheld = too_few_units(labelled, units, reference.classes)
    others = [arm for arm in gathered.arms if arm != baseline]
    found: dict[str, tuple[Comparison, ...]] = {}
    for score in BOUNDARY_SCORES:
        values = {
            arm: {seed: linearise_boundary(units.sums(one), present, score)[1] for seed, one in seeds.items()}
            for arm, seeds in counts.items()
        }
        linear = Influences(values, units, score.replace("_", " "), withheld)
        effects = [linear.contrast({arm: 1.0, baseline: -1.0}, 0.95) for arm in others]
        found[score] = tuple(
            Comparison(**vars(effect), arm=arm, baseline=baseline, **adjusted)
            for arm, effect, adjusted in zip(others, effects, holm_family(effects), strict=True)
        )
    return found


def linearise_boundary(counts_GCK: Counts, present_C: NDArray[np.bool_], score: str) -> tuple[float, Floats]:
    """A score of BOUNDARY_SCORES and its influence value per unit, float64 (G,), whose mean is the score: the
    jackknife.

    `counts`: (G, C, 10), BOUNDARY_COLUMNS; `present`: classes in the labels. NaN when no class has a border. A class
    has a border or not by the whole split. F = 2 P R / (P + R), and 0 where nothing matches.
    """
    sums_CK = counts_GCK.sum(axis=0)
    whole_C, defined_C = _class_scores(sums_CK, score)
    kept_C = defined_C & present_C
    if not kept_C.any():
        return float("nan"), np.full(len(counts_GCK), np.nan)

    def function(sums_XCK: Counts) -> Floats:
        ratio_XC, defined_XC = _class_scores(sums_XCK, score)
        mean: Floats = np.where(defined_XC, ratio_XC, whole_C)[..., kept_C].mean(axis=-1)
        return mean

    return jackknife(function, counts_GCK)


def _class_scores(sums_XCK: Counts, score: str) -> tuple[Floats, NDArray[np.bool_]]:
    """The score of each class, (..., C), 0 where there is nothing, and whether there is something."""
    columns = dict(zip(BOUNDARY_COLUMNS, np.moveaxis(sums_XCK.astype(np.float64), -1, 0), strict=True))
    nothing_C = np.zeros(sums_XCK.shape[-2])
    if score in RATIOS:
        numerator, denominator = (columns[name] for name in RATIOS[score])
        return ratio(numerator, denominator, nothing_C), denominator > 0
    if score != "boundary_f":
        raise ConfigError(unknown_name("boundary score", score, BOUNDARY_SCORES))
    precision_XC = ratio(columns["f_predicted_matched"], columns["f_predicted"], nothing_C)
    recall_XC = ratio(columns["f_label_matched"], columns["f_label"], nothing_C)
    f_XC = ratio(2 * precision_XC * recall_XC, precision_XC + recall_XC, nothing_C)
    return f_XC, columns["f_predicted"] + columns["f_label"] > 0


def _of_arm(gathered: Gathered, arm: str, reference: Counted) -> Mapping[int, Counts]:
    found = {}
    for trial in gathered.done(arm):
        if trial.counted is not None and same_images(trial.counted, reference):
            counts = read_boundary_counts(trial)
            if counts is not None:
                found[trial.seed] = counts
    return found


def read_boundary_counts(trial: TrialRecord) -> Counts | None:
    """`boundary_counts` of counts.npz, int64 (N, C, 10); None when absent, damaged or of other columns."""
    try:
        arrays = array_files.read(trial.folder / "counts.npz", ("boundary_counts", "boundary_columns"))
    except array_files.Damaged:
        return None
    counts, columns = arrays["boundary_counts"], tuple(str(name) for name in arrays["boundary_columns"].ravel())
    expected = (*trial.counted.counts.shape[:2], len(BOUNDARY_COLUMNS)) if trial.counted is not None else None
    if columns != BOUNDARY_COLUMNS or counts.shape != expected or counts.dtype.kind not in "iu":
        return None
    whole: Counts = counts.astype(np.int64)
    return whole
