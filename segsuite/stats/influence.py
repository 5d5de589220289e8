"""Scores as means over units: the delete-one jackknife of a function of sums.

A score is a function f of sums over units (images, sequences, blocks of frames). With S the sums over all G units and
S_(g) those without unit g, the influence value of a unit is the jackknife's pseudo-value
    psi_g = f(S) + d_g - mean(d),    d_g = (G - 1) (f(S) - f(S_(g)))
(Tukey, Annals of Mathematical Statistics 29, 1958, 614; Efron, The Jackknife, the Bootstrap and Other Resampling Plans,
1982, chapters 3 and 4). The mean of psi is f, and sd(psi) / sqrt(G) its standard error over random units.

Why not the derivative of f (the infinitesimal jackknife): for a ratio A / B it gives G (a_g - r b_g) / B, and the r
that is taken away was fitted to the same units. Of a class that three images hold the three residuals add to nothing,
and their squares are too small by a third or more; leaving a unit out gives the residual divided by 1 - b_g / B
instead, as for regression with few units of high leverage (MacKinnon and White, Journal of Econometrics 29, 1985,
305-325).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from segsuite.errors import ConfigError, unknown_name

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Parts = Callable[[Counts, Counts, Counts], tuple[Counts, Counts]]

# Class score -> its numerator and denominator from TP, FP, FN.
RATIOS: dict[str, Parts] = {
    "iou": lambda tp, fp, fn: (tp, tp + fp + fn),
    "dice": lambda tp, fp, fn: (2 * tp, 2 * tp + fp + fn),
    "precision": lambda tp, fp, fn: (tp, tp + fp),
    "recall": lambda tp, fp, fn: (tp, tp + fn),
}
# Scalar score -> the class score that it is the mean of, over the classes in the labels.
MEANS = {"miou": "iou", "mean_accuracy": "recall", "mean_dice": "dice"}


def linearise(counts_GC3: Counts, score: str, label: int | None = None) -> tuple[float, Floats]:
    """The score of a split and its influence value per unit.

    `counts_GC3`: integers (G, C, 3), TP, FP, FN of each unit. `score`: one of SCALAR_SCORES, or of CLASS_SCORES
    with `label`, the class id. Returns (value, influence float64 (G,)); the value is the one of
    `segsuite.metrics.scores.Scores`, with its policy: classes without a label pixel (TP + FN = 0 over the split) are
    left out; a score of such a class is NaN (precision: of a class never predicted), as is every score when there is no
    labelled pixel. Influence is then NaN too. How a class varies that a single unit holds is not known from anything;
    ask `labelled_units` before influence is used.
    Raises ConfigError for an unknown score, ValueError for a wrong shape or type, or a label missing or too many.

    >>> value, influence = linearise(np.array([[[3, 0, 1], [2, 1, 0]], [[1, 0, 0], [1, 0, 0]]]), "miou")
    >>> round(value, 6), influence.round(6).tolist()
    (0.775, [0.63125, 0.91875])
    """
    counts = _checked(counts_GC3)
    if score not in (*MEANS, *SUMS, *RATIOS):
        raise ConfigError(unknown_name("score", score, [*MEANS, *SUMS, *RATIOS]))
    if (label is None) == (score in RATIOS):
        raise ValueError(f"score {score!r} with label {label}: class scores need a label, scalar scores have none")
    if label is not None:
        counts = counts[:, label : label + 1]
        if not counts.shape[1]:
            raise ValueError(f"there is no class {label}")
    return jackknife(_function(score, counts.sum(axis=0)), counts)


def jackknife(function: Callable[[Counts], Floats], counts_GX: Counts) -> tuple[float, Floats]:
    """`function` of the sums over all G units, and its influence value per unit, float64 (G,).

    `counts_GX`: (G, ...). `function`: takes sums with any axes in front, (..., *X), and gives float64 (...). Where it
    is NaN for all units, influence is NaN; a unit without which it is NaN gets no deviation of its own.
    """
    sums = counts_GX.sum(axis=0)
    value = float(function(sums))
    if not np.isfinite(value):
        return value, np.full(len(counts_GX), np.nan)
    without_G = function(sums - counts_GX)
    deviation_G = (len(counts_GX) - 1) * (value - np.where(np.isfinite(without_G), without_G, value))
    influence: Floats = value + deviation_G - deviation_G.mean()
    return value, influence


def labelled_units(counts_GC3: Counts) -> Counts:
    """(C,): in how many units each class has a label pixel, TP + FN > 0."""
    units: Counts = (counts_GC3[..., 0] + counts_GC3[..., 2] > 0).sum(axis=0)
    return units


def _checked(counts_GC3: Counts) -> Counts:
    counts = np.asarray(counts_GC3)
    if counts.ndim != 3 or counts.shape[2] != 3 or counts.dtype.kind not in "iu" or not counts.shape[0]:
        raise ValueError(f"counts are (N, C, 3) of integers with N >= 1, got {counts.shape} {counts.dtype}")
    return counts.astype(np.int64, copy=False)


def _function(score: str, sums_C3: Counts) -> Callable[[Counts], Floats]:
    """The score as a function of sums (..., C, 3). The classes in it are those of the whole split, `sums_C3`."""
    if score in RATIOS or score in MEANS:
        name = MEANS.get(score, score)
        numerator_C, denominator_C = _parts(sums_C3, name)
        defined_C = denominator_C > 0 if name == "precision" else _label_pixels(sums_C3) > 0
        if not defined_C.any():
            return _undefined
        whole_C = ratio(numerator_C, denominator_C, np.zeros(len(sums_C3)))
        return lambda sums: ratio(*_parts(sums, name), whole_C)[..., defined_C].mean(axis=-1)
    return SUMS[score]


def ratio(numerator_XC: npt.NDArray[Any], denominator_XC: npt.NDArray[Any], otherwise_C: Floats) -> Floats:
    """Numerator by denominator, (..., C), and `otherwise_C` where the denominator is 0."""
    found: Floats = np.array(np.broadcast_to(otherwise_C, denominator_XC.shape), dtype=np.float64)
    np.divide(numerator_XC, denominator_XC, out=found, where=denominator_XC > 0)
    return found


def _parts(sums_XC3: Counts, score: str) -> tuple[Counts, Counts]:
    return RATIOS[score](*np.moveaxis(sums_XC3, -1, 0))


def _label_pixels(sums_XC3: Counts) -> Counts:
    """(..., C): TP + FN."""
    pixels: Counts = sums_XC3[..., 0] + sums_XC3[..., 2]
    return pixels


def _pixel_accuracy(sums_XC3: Counts) -> Floats:
    """sum TP / sum (TP + FN): every labelled pixel is TP or FN of exactly one class."""
    return _by_pixels(sums_XC3[..., 0].sum(axis=-1), _label_pixels(sums_XC3))


def _frequency_weighted_iou(sums_XC3: Counts) -> Floats:
    """sum_k L_k IoU_k / sum_k L_k with L_k = TP_k + FN_k."""
    pixels_XC = _label_pixels(sums_XC3)
    iou_XC = ratio(*_parts(sums_XC3, "iou"), np.zeros(pixels_XC.shape[-1]))
    return _by_pixels((pixels_XC * iou_XC).sum(axis=-1), pixels_XC)


def _by_pixels(right_X: npt.NDArray[Any], pixels_XC: Counts) -> Floats:
    total_X = pixels_XC.sum(axis=-1)
    found: Floats = np.full(total_X.shape, np.nan)
    np.divide(right_X, total_X, out=found, where=total_X > 0)
    return found


def _undefined(sums_XC3: Counts) -> Floats:
    return np.full(sums_XC3.shape[:-2], np.nan)


# The scalar scores that are no mean over classes, as functions of sums.
SUMS: dict[str, Callable[[Counts], Floats]] = {
    "pixel_accuracy": _pixel_accuracy,
    "frequency_weighted_iou": _frequency_weighted_iou,
}
