"""Precision-recall and ROC curves of each class against all others, and their areas, from histograms; numpy and scipy.

Curves are exact at the edges of bins. Within a bin the order of pixels is unknown: areas are those of pixels that are
evenly mixed there, and `error` is the distance to the farthest value that any order would give.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special  # type: ignore[import-untyped]

from segsuite.metrics.histograms import EDGES, Counts, Floats, Histograms


class Bounded(NamedTuple):
    """A number from which the exact one differs by at most `error`; both NaN where it is not defined."""

    value: float
    error: float


class Curve(NamedTuple):
    """Counts at falling thresholds, the lower edges of bins: pixels at least that probable that are labelled as the
    class (`true`) and that are not (`false`); starts with nothing found and ends with everything."""

    thresholds: Floats
    true: Floats
    false: Floats

    @property
    def recall(self) -> Floats:
        """Share of the class that is found, TP / (TP + FN), the true positive rate; NaN without a labelled pixel."""
        return _ratio(self.true, np.full_like(self.true, self.true[-1]))

    @property
    def precision(self) -> Floats:
        """Share of what is found that is right, TP / (TP + FP); NaN where nothing is found."""
        return _ratio(self.true, self.true + self.false)

    @property
    def false_positive_rate(self) -> Floats:
        """Share of all other pixels that is found, FP / (FP + TN)."""
        return _ratio(self.false, np.full_like(self.false, self.false[-1]))


def curve(counts_2B: Counts) -> Curve:
    """The curve of one class: `counts` are those of `Histograms.of_class`, not of the class [0] and of it [1].

    Also of a sum of classes or trials: counts are added first.
    """
    false, true = (np.concatenate([[0.0], np.cumsum(counts[::-1], dtype=np.float64)]) for counts in counts_2B)
    return Curve(EDGES[::-1], true, false)


def average_precision(counts_2B: Counts) -> Bounded:
    """Area under the precision-recall curve: the mean, over pixels of the class, of the precision at their probability.

    The sum over thresholds of (recall_n - recall_(n-1)) precision_n, not interpolated (Buckley and Voorhees 2000), so
    neither the trapezoids that are too high (Davis and Goadrich 2006) nor the maxima of PASCAL VOC.
    """
    found = curve(counts_2B)
    if not found.true[-1]:
        return Bounded(math.nan, math.nan)
    true, p = found.true[:-1], np.diff(found.true)
    false, n = found.false[:-1], np.diff(found.false)
    # Highest: all of the bin's pixels of the class tied, before the others.
    high = p * _ratio(true + p, true + p + false, 0.0)
    # Lowest: the others first, then those of the class one by one, the i-th with precision (true + i) / (true + i + f):
    # sum over i = 1..p = p - f (psi(true + f + p + 1) - psi(true + f + 1))
    f = false + n
    low = p - f * (special.digamma(true + f + p + 1) - special.digamma(true + f + 1))
    # Evenly mixed, `share` of the class: integral over t = 0..p of (true + t) / (true + false + t / share)
    share, before = _ratio(p, p + n, 1.0), true + false
    growth = np.log1p(_ratio(p, share * before, 0.0))
    mixed = np.clip(p * share + (true - before * share) * share * growth, low, high)
    lowest, value, highest = (float(sums.sum() / found.true[-1]) for sums in (low, mixed, high))
    return Bounded(value, max(highest - value, value - lowest))


def area_under_roc(counts_2B: Counts) -> Bounded:
    """Probability that a pixel of the class gets a higher probability than one that is not (Hanley and McNeil 1982).

    Ties count half, and so do pairs within one bin. NaN unless there are pixels of both kinds.
    """
    found = curve(counts_2B)
    true, false = found.true[-1], found.false[-1]
    if not true or not false:
        return Bounded(math.nan, math.nan)
    p, n = np.diff(found.true), np.diff(found.false)
    tied = p * n
    lower = p * (false - found.false[1:])
    return Bounded(float((lower + tied / 2).sum() / (true * false)), float(tied.sum() / (true * false) / 2))


def f_beta(counts: NDArray[np.integer], beta: float = 1.0) -> Floats:
    """F-measure (...) of counts (..., 3) of TP, FP, FN; recall weighs beta times as much as precision.

    (1 + b^2) TP / ((1 + b^2) TP + FP + b^2 FN) (van Rijsbergen 1979); NaN where all three are 0. Beta 1 is Dice.

    >>> f_beta(np.array([3, 1, 2]), 2).round(4).item()
    0.625
    """
    true, false, missed = (counts[..., place].astype(np.float64) for place in range(3))
    square = beta**2
    return _ratio((1 + square) * true, (1 + square) * true + false + square * missed)


class BestThreshold(NamedTuple):
    """The highest F1 of a class over all thresholds of its probability, and the threshold that gives it."""

    f1: float
    threshold: float


def best_threshold(counts_2B: Counts) -> BestThreshold:
    """What a class would reach if it were taken wherever its probability is at least some threshold. NaN if absent."""
    found = curve(counts_2B)
    if not found.true[-1]:
        return BestThreshold(math.nan, math.nan)
    f1 = f_beta(np.stack([found.true, found.false, found.true[-1] - found.true], axis=-1))
    place = int(f1.argmax())
    return BestThreshold(float(f1[place]), float(found.thresholds[place]))


def ranking_summary(histograms: Histograms, classes: Sequence[str]) -> dict[str, Any]:
    """What result.json says of the ranking: areas with their error bounds, and the best F1, by class; means over the
    classes that occur in the labels."""
    precision = [average_precision(counts) for counts in histograms.of_class]
    area = [area_under_roc(counts) for counts in histograms.of_class]
    best = [best_threshold(counts) for counts in histograms.of_class]

    def by_class(values: Sequence[float]) -> dict[str, float]:
        return dict(zip(classes, values, strict=True))

    return {
        "mean_average_precision": _mean([one.value for one in precision]),
        "mean_average_precision_error": _mean([one.error for one in precision]),
        "mean_auc": _mean([one.value for one in area]),
        "mean_auc_error": _mean([one.error for one in area]),
        "average_precision": by_class([one.value for one in precision]),
        "average_precision_error": by_class([one.error for one in precision]),
        "auc": by_class([one.value for one in area]),
        "auc_error": by_class([one.error for one in area]),
        "best_f1": by_class([one.f1 for one in best]),
        "best_f1_threshold": by_class([one.threshold for one in best]),
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _ratio(numerator: Floats, denominator: Floats, otherwise: float = math.nan) -> Floats:
    ratio = np.full(np.shape(numerator), otherwise)
    np.divide(numerator, denominator, out=ratio, where=np.asarray(denominator) > 0)
    return ratio
