"""The interval of one arm's own scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segsuite.stats.contrast import MIN_SEEDS
from segsuite.stats.random_effects import one_way


@dataclass(frozen=True, kw_only=True)
class MeanInterval:
    """`mean` of `n` values with its t interval at `level`; `kind` and `unit` say what is random: seeds, not images."""

    mean: float
    low: float
    high: float
    level: float
    standard_error: float
    degrees_of_freedom: float
    kind: str
    n: int
    unit: str

    def sentence(self) -> str:
        """The interval in words, with kind, n and unit."""
        interval = f"{100 * self.level:g} % interval [{self.low:.4f}, {self.high:.4f}]"
        return f"mean {self.mean:.4f}, {interval} ({self.kind}: {self.n} {self.unit}s)"


def mean_interval(values: Sequence[float], level: float = 0.95) -> MeanInterval | None:
    """Student's t interval of one arm's scores, one value a seed; the images are taken as fixed.

    None for fewer than 3 values or when one is not finite. Intervals of two arms that overlap do not mean that there is
    no evidence of a difference: differences are paired, see `compare`.

    >>> interval = mean_interval([0.70, 0.71, 0.75])
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.6543, 0.7857)
    """
    if len(values) < MIN_SEEDS or not all(math.isfinite(value) for value in values):
        return None
    found = one_way(np.asarray(values, dtype=np.float64), level)
    return MeanInterval(
        mean=float(found.mean),
        low=float(found.low),
        high=float(found.high),
        level=level,
        standard_error=float(found.standard_error),
        degrees_of_freedom=float(found.degrees_of_freedom),
        kind="t interval over seeds",
        n=len(values),
        unit="seed",
    )
