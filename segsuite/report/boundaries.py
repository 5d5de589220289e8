"""Paired differences of the scores along borders, from the per-image boundary counts of the trials.

The scores are those of `segsuite.metrics.boundary`: ratios of sums over images, or functions of two, averaged over
classes. They are linearised as in `segsuite.stats.influence`, and judged as all other scores are (`segsuite.stats`).
"""

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segsuite.metrics import BOUNDARY_COLUMNS, BOUNDARY_SCORES
from segsuite.report.checkerboards import DAMAGED
from segsuite.report.gather import Counted, Gathered, TrialRecord, same_images
from segsuite.stats import Comparison, resampling_units
from segsuite.stats.contrast import Influences, holm_family

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
    present = reference.label_pixels().sum(axis=0) > 0
    units = resampling_units(len(reference.names), reference.sequences)
    others = [arm for arm in gathered.arms if arm != baseline]
    found: dict[str, tuple[Comparison, ...]] = {}
    for score in BOUNDARY_SCORES:
        values = {
            arm: {seed: units.aggregate(linearise_boundary(one, present, score)[1]) for seed, one in seeds.items()}
            for arm, seeds in counts.items()
        }
        linear = Influences(values, units, score.replace("_", " "))
        effects = [linear.contrast({arm: 1.0, baseline: -1.0}, 0.95) for arm in others]
        found[score] = tuple(
            Comparison(**vars(effect), arm=arm, baseline=baseline, **adjusted)
            for arm, effect, adjusted in zip(others, effects, holm_family(effects), strict=True)
        )
    return found


def linearise_boundary(counts_NCK: Counts, present_C: NDArray[np.bool_], score: str) -> tuple[float, Floats]:
    """A score of BOUNDARY_SCORES and its influence value per image, float64 (N,), whose mean is the score.

    `counts`: (N, C, 10), BOUNDARY_COLUMNS; `present`: classes in the labels. NaN when no class has a border. For
    F = 2 P R / (P + R): dF/dP = 2 R^2 / (P + R)^2, and dF/dR likewise; F is 0, and flat, where nothing matches.
    """
    columns = dict(zip(BOUNDARY_COLUMNS, np.moveaxis(counts_NCK.astype(np.float64), -1, 0), strict=True))
    if score in RATIOS:
        ratio_C, influence_NC = _ratio(*(columns[name] for name in RATIOS[score]))
        defined_C = columns[RATIOS[score][1]].sum(axis=0) > 0
    else:
        precision_C, of_precision_NC = _ratio(columns["f_predicted_matched"], columns["f_predicted"])
        recall_C, of_recall_NC = _ratio(columns["f_label_matched"], columns["f_label"])
        total_C = precision_C + recall_C
        some = total_C > 0
        weights = [
            np.divide(2 * other_C**2, total_C**2, out=np.zeros_like(total_C), where=some)
            for other_C in (recall_C, precision_C)
        ]
        ratio_C = np.divide(2 * precision_C * recall_C, total_C, out=np.zeros_like(total_C), where=some)
        influence_NC = ratio_C + weights[0] * (of_precision_NC - precision_C) + weights[1] * (of_recall_NC - recall_C)
        defined_C = (columns["f_predicted"] + columns["f_label"]).sum(axis=0) > 0
    kept_C = defined_C & present_C
    if not kept_C.any():
        return float("nan"), np.full(len(counts_NCK), np.nan)
    return float(ratio_C[kept_C].mean()), influence_NC[:, kept_C].mean(axis=1)


def _ratio(numerator_NC: Floats, denominator_NC: Floats) -> tuple[Floats, Floats]:
    """Ratio of sums (C,), and its influence (N, C): r + N / B (a_i - r b_i); 0 where there is nothing."""
    numerator_C, denominator_C = numerator_NC.sum(axis=0), denominator_NC.sum(axis=0)
    some = denominator_C > 0
    ratio_C = np.divide(numerator_C, denominator_C, out=np.zeros_like(numerator_C), where=some)
    per_pixel_C = np.divide(float(len(numerator_NC)), denominator_C, out=np.zeros_like(ratio_C), where=some)
    return ratio_C, ratio_C + per_pixel_C * (numerator_NC - ratio_C * denominator_NC)


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
        with np.load(io.BytesIO((trial.folder / "counts.npz").read_bytes()), allow_pickle=False) as arrays:
            counts, columns = arrays["boundary_counts"], tuple(str(name) for name in arrays["boundary_columns"])
    except DAMAGED:
        return None
    expected = (*trial.counted.counts.shape[:2], len(BOUNDARY_COLUMNS)) if trial.counted is not None else None
    if columns != BOUNDARY_COLUMNS or counts.shape != expected or counts.dtype.kind not in "iu":
        return None
    whole: Counts = counts.astype(np.int64)
    return whole
