"""Adjusted p values for a family of tests; pure functions of one list."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: strong control of the chance of any false positive in the family.

    With the m values in ascending order p_(1) <= ... <= p_(m): adjusted p_(j) = max over i <= j of
    min(1, (m - i + 1) p_(i)) (Holm, Scandinavian Journal of Statistics 6, 1979, 65-70). The order of the input is kept.

    >>> [round(value, 3) for value in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    values, order = _ascending(p)
    return _restored(np.minimum(np.maximum.accumulate(values * np.arange(len(values), 0, -1)), 1), order)


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg step-up adjustment: control of the expected share of false positives among the findings, for
    independent or positively dependent tests.

    Adjusted p_(j) = min over i >= j of min(1, m p_(i) / i) (Benjamini and Hochberg, JRSS B 57, 1995, 289-300). The
    order of the input is kept.

    >>> [round(value, 3) for value in benjamini_hochberg([0.01, 0.04, 0.03])]
    [0.03, 0.04, 0.04]
    """
    values, order = _ascending(p)
    scaled = values * len(values) / np.arange(1, len(values) + 1)
    return _restored(np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1), order)


def _ascending(p: Sequence[float]) -> tuple[Floats, npt.NDArray[np.intp]]:
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p values are a list of numbers in 0..1, got {p}")
    order = np.argsort(values, kind="stable")
    return values[order], order


def _restored(ascending: Floats, order: npt.NDArray[np.intp]) -> list[float]:
    values = np.empty_like(ascending)
    values[order] = ascending
    return [float(value) for value in values]
