"""Scores as means over images: the linearisation of a ratio of sums.

A score is a smooth function f of sums over images. Its influence value of image i is
    psi_i = f + N * sum_j (df / dS_j) * (x_ij - S_j / N),
with the S_j = sum_i x_ij. The mean of psi is f up to rounding, and sd(psi) / sqrt(N) is the delta-method standard error
of f over random images (the infinitesimal jackknife; Efron, The Jackknife, the Bootstrap and Other Resampling Plans,
1982, chapter 6; linearisation of ratios: Woodruff, JASA 66, 1971, 411-414).
For a ratio r = A / B of sums it is psi_i = r + (N / B) * (a_i - r * b_i).
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from segsuite.errors import ConfigError, unknown_name
from segsuite.metrics import CLASS_SCORES, SCALAR_SCORES

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


def linearise(counts_NC3: Counts, score: str, label: int | None = None) -> tuple[float, Floats]:
    """The score of a split and its influence value per image.

    `counts_NC3`: integers (N, C, 3), TP, FP, FN. `score`: one of SCALAR_SCORES, or one of CLASS_SCORES with `label`,
    the class id. Returns (value, influence float64 (N,)); the value is the one of `segsuite.metrics.scores.Scores`,
    with its policy: classes without a label pixel (TP + FN = 0 over the split) are left out; a score of such a class
    is NaN (precision: of a class never predicted), as is every score when there is no labelled pixel. Influence is then
    NaN too.
    Raises ConfigError for an unknown score, ValueError for a wrong shape or type, or a label missing or too many.

    >>> value, influence = linearise(np.array([[[3, 0, 1], [2, 1, 0]], [[0, 0, 0], [1, 0, 0]]]), "miou")
    >>> round(value, 6), influence.round(6).tolist()
    (0.75, [0.6875, 0.8125])
    """
    counts = _checked(counts_NC3)
    if score not in (*SCALAR_SCORES, *CLASS_SCORES):
        raise ConfigError(unknown_name("score", score, [*SCALAR_SCORES, *CLASS_SCORES]))
    if (label is None) == (score in CLASS_SCORES):
        raise ValueError(f"score {score!r} with label {label}: class scores need a label, scalar scores have none")
    if label is not None:
        counts = counts[:, label : label + 1]
        if not counts.shape[1]:
            raise ValueError(f"there is no class {label}")
        ratios, influence_NC, defined = _ratios(counts, score)
        return (float(ratios[0]), influence_NC[:, 0]) if defined[0] else _undefined(counts)
    if not _label_pixels(counts).any():
        return _undefined(counts)
    if score in MEANS:
        ratios, influence_NC, defined = _ratios(counts, MEANS[score])
        return float(ratios[defined].mean()), influence_NC[:, defined].mean(axis=1)
    return _pixel_accuracy(counts) if score == "pixel_accuracy" else _frequency_weighted_iou(counts)


def _checked(counts_NC3: Counts) -> Counts:
    counts = np.asarray(counts_NC3)
    if counts.ndim != 3 or counts.shape[2] != 3 or counts.dtype.kind not in "iu" or not counts.shape[0]:
        raise ValueError(f"counts are (N, C, 3) of integers with N >= 1, got {counts.shape} {counts.dtype}")
    return counts.astype(np.int64, copy=False)


def _label_pixels(counts_NC3: Counts) -> Counts:
    """(C,): TP + FN over all images."""
    pixels: Counts = counts_NC3[:, :, 0].sum(axis=0) + counts_NC3[:, :, 2].sum(axis=0)
    return pixels


def _ratios(counts_NC3: Counts, score: str) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Per class: ratio (C,), influence (N, C), and whether it is defined (C,); what is not defined is 0."""
    numerator_NC, denominator_NC = RATIOS[score](*np.moveaxis(counts_NC3, -1, 0))
    numerator, denominator = numerator_NC.sum(axis=0), denominator_NC.sum(axis=0)
    defined = denominator > 0 if score == "precision" else _label_pixels(counts_NC3) > 0
    ratios = np.zeros(len(numerator))
    np.divide(numerator, denominator, out=ratios, where=defined)
    per_pixel = np.zeros(len(numerator))
    np.divide(len(counts_NC3), denominator, out=per_pixel, where=defined)
    return ratios, ratios + per_pixel * (numerator_NC - ratios * denominator_NC), defined


def _pixel_accuracy(counts_NC3: Counts) -> tuple[float, Floats]:
    """sum TP / sum (TP + FN): every labelled pixel is TP or FN of exactly one class."""
    right_N = counts_NC3[:, :, 0].sum(axis=1)
    pixels_N = right_N + counts_NC3[:, :, 2].sum(axis=1)
    value = int(right_N.sum()) / int(pixels_N.sum())
    return value, value + len(counts_NC3) / int(pixels_N.sum()) * (right_N - value * pixels_N)


def _frequency_weighted_iou(counts_NC3: Counts) -> tuple[float, Floats]:
    """f = sum_k L_k IoU_k / T with L_k = TP_k + FN_k and T = sum_k L_k, so that
    psi_i = f + N / T * sum_k (l_ik - L_k t_i / T) IoU_k + sum_k (L_k / T) (psi_i(IoU_k) - IoU_k)."""
    iou, influence_NC, _ = _ratios(counts_NC3, "iou")
    pixels_NC = counts_NC3[:, :, 0] + counts_NC3[:, :, 2]
    pixels = pixels_NC.sum(axis=0)
    total = int(pixels.sum())
    value = float((pixels * iou).sum() / total)
    of_shares = len(counts_NC3) / total * (pixels_NC @ iou - value * pixels_NC.sum(axis=1))
    return value, value + of_shares + (influence_NC - iou) @ pixels / total


def _undefined(counts_NC3: Counts) -> tuple[float, Floats]:
    return math.nan, np.full(len(counts_NC3), math.nan)
