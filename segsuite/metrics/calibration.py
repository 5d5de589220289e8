"""Whether predicted probabilities are right: reliability, expected calibration error, Brier score; from histograms.

Within a bin of the histograms a probability is known up to half the bin's width; each measure is given with the
largest difference that this can make.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from segsuite.metrics.curves import Bounded
from segsuite.metrics.histograms import BINS, CENTRES, HALF_WIDTHS, Counts, Floats, Histograms

RELIABILITY_BINS = 16
"""Of equal width, like the 15 of Guo et al.; a power of two, whose edges are edges of the histograms."""
_OF_BIN = np.minimum((CENTRES * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)


class Reliability(NamedTuple):
    """Of each of the 16 bins of confidence: pixels, the share that is right, the mean confidence; NaN if empty."""

    pixels: Counts
    accuracy: Floats
    confidence: Floats


def reliability(counts_2B: Counts) -> Reliability:
    """The reliability diagram (Niculescu-Mizil and Caruana 2005) of counts of wrong [0] and right [1] pixels a bin.

    Of `Histograms.of_top`: is a prediction of confidence p right in a share p of all cases? Of one class in
    `Histograms.of_class`: are a share p of the pixels to which it gives p labelled so?
    """
    both = counts_2B.sum(axis=0)
    pixels = np.bincount(_OF_BIN, both, RELIABILITY_BINS)
    right = np.bincount(_OF_BIN, counts_2B[1], RELIABILITY_BINS)
    confidence = np.bincount(_OF_BIN, both * CENTRES, RELIABILITY_BINS)
    with np.errstate(invalid="ignore"):
        return Reliability(pixels.astype(np.int64), right / pixels, confidence / pixels)


def expected_calibration_error(counts_2B: Counts) -> Bounded:
    """Mean over pixels of |accuracy - confidence| of their bin (Naeini et al. 2015; Guo et al. 2017, 1706.04599)."""
    found = reliability(counts_2B)
    total = int(found.pixels.sum())
    if not total:
        return Bounded(math.nan, math.nan)
    gap = np.nan_to_num(np.abs(found.accuracy - found.confidence))
    return Bounded(float((found.pixels * gap).sum() / total), _mean_half_width(counts_2B))


def overconfidence(counts_2B: Counts) -> Bounded:
    """Mean confidence minus accuracy, -1..1: positive when more is claimed than is right."""
    both = counts_2B.sum(axis=0)
    pixels = int(both.sum())
    if not pixels:
        return Bounded(math.nan, math.nan)
    return Bounded(float(((both * CENTRES).sum() - counts_2B[1].sum()) / pixels), _mean_half_width(counts_2B))


def brier_score(counts_2B: Counts) -> Bounded:
    """Mean over pixels of (p - y)^2, y being 1 for the class and 0 for others (Brier 1950); 0..1, 0 is best."""
    pixels = int(counts_2B.sum())
    if not pixels:
        return Bounded(math.nan, math.nan)
    distance = np.stack([CENTRES, 1 - CENTRES])
    # Of a bin from m - h to m + h, evenly filled; one of its ends, which none of its pixels is beyond, is h (2 d + h)
    # away from the square at the centre.
    square = distance**2 + HALF_WIDTHS**2 / 3
    largest = 2 * distance * HALF_WIDTHS + HALF_WIDTHS**2
    return Bounded(float((counts_2B * square).sum() / pixels), float((counts_2B * largest).sum() / pixels))


def calibration_summary(histograms: Histograms, classes: Sequence[str]) -> dict[str, Any]:
    """What result.json says of the probabilities.

    `ece`: of the predicted class. `classwise_ece`: mean over the classes that occur in the labels (Kull et al. 2019,
    1910.12656). `brier`: summed over classes, 0..2. Each with its `_error`, the largest difference to the exact value.
    """
    present = histograms.of_class[:, 1].sum(axis=1) > 0
    of_class = {name: histograms.of_class[place] for place, name in enumerate(classes)}
    class_ece = {name: expected_calibration_error(counts) for name, counts in of_class.items()}
    class_brier = {name: brier_score(counts) for name, counts in of_class.items()}
    known = [class_ece[name] for name, there in zip(classes, present, strict=True) if there]
    top, over = expected_calibration_error(histograms.of_top), overconfidence(histograms.of_top)
    return {
        "ece": top.value,
        "ece_error": top.error,
        "classwise_ece": float(np.mean([one.value for one in known])) if known else math.nan,
        "classwise_ece_error": float(np.mean([one.error for one in known])) if known else math.nan,
        "brier": sum(one.value for one in class_brier.values()),
        "brier_error": sum(one.error for one in class_brier.values()),
        "overconfidence": over.value,
        "class_ece": _values(class_ece),
        "class_brier": _values(class_brier),
        "reliability": {name: found.tolist() for name, found in reliability(histograms.of_top)._asdict().items()},
    }


def _values(of_class: Mapping[str, Bounded]) -> dict[str, float]:
    return {name: one.value for name, one in of_class.items()}


def _mean_half_width(counts_2B: Counts) -> float:
    both = counts_2B.sum(axis=0)
    assert both.shape == (BINS,)
    return float((both * HALF_WIDTHS).sum() / both.sum())
