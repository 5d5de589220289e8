"""Gridding in theory: which inputs of a stack of windows reach an output at all, and over how many paths.

A stack is a list of windows, first to last. Tap t of window l looks dilation_l * t * (product of the strides before l)
inputs further on, so the inputs that an output sees are the sums of one tap a window: a set that has holes where
dilations share a factor (gridding: Yu, Koltun, Funkhouser 2017, arXiv 1705.09914; Wang et al. 2018, arXiv 1702.08502).
All is exact integer arithmetic along one axis; square windows see the product of their axes. No torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.errors import ConfigError

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """A square convolution or pooling: `kernel` taps an axis, `dilation` apart, `stride` apart from place to place."""

    kernel: int
    dilation: int = 1
    stride: int = 1

    def __post_init__(self) -> None:
        if min(self.kernel, self.dilation, self.stride) < 1:
            raise ConfigError(f"kernel, dilation and stride of {self} are not all at least 1")


def dilated(rates: Sequence[int], kernel: int = 3) -> list[Window]:
    """A stack of windows of stride 1 with these dilations.

    >>> dilated([1, 2])
    [Window(kernel=3, dilation=1, stride=1), Window(kernel=3, dilation=2, stride=1)]
    """
    return [Window(kernel, rate) for rate in rates]


def paths(stack: Sequence[Window]) -> Counts:
    """(field,): number of paths from each input of the field, along one axis, to one output; 0 is a hole.

    With independent weights of equal variance the mean squared gradient is proportional to it (Luo et al. 2016, arXiv
    1701.04128, section 2.2). Counts are exact up to 2^53.

    >>> paths(dilated([1, 2])).astype(int).tolist()
    [1, 1, 2, 1, 2, 1, 1]
    """
    counts, jump = np.ones(1), 1
    for window in stack:
        taps = np.zeros((window.kernel - 1) * window.dilation * jump + 1)
        taps[:: window.dilation * jump] = 1
        counts = np.convolve(counts, taps)
        jump *= window.stride
    return counts


def field_paths(branches: Sequence[Sequence[Window]]) -> Counts:
    """(h, w): number of paths over all of `branches`, stacks side by side whose fields share their middle, such as an
    ASPP's; the same for one stack. Raises ConfigError when the fields differ by an odd number of pixels."""
    fields = [paths(stack) for stack in branches]
    size = max(map(len, fields))
    total = np.zeros((size, size))
    for counts in fields:
        edge, odd = divmod(size - len(counts), 2)
        if odd:
            raise ConfigError(f"fields of {len(counts)} and {size} pixels have no middle in common")
        total[edge : size - edge, edge : size - edge] += np.outer(counts, counts)
    return total


@dataclass(frozen=True)
class Gridding:
    """What is missing of a field. `field`: its side in inputs; `coverage`: share of its area that reaches the output;
    `hole`: side of the largest square without any; `unevenness`: of the paths over the places modulo `period`."""

    field: int
    coverage: float
    hole: int
    period: int
    unevenness: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return vars(self).copy()


def gridding(branches: Sequence[Sequence[Window]], period: int | None = None) -> Gridding:
    """Of stacks side by side, or of one. `period`: by default the largest dilation in inputs of the stack.

    >>> [round(gridding([dilated(rates)]).coverage, 3) for rates in ([2, 2, 2], [1, 2, 3], [1, 2, 5])]
    [0.29, 1.0, 1.0]
    """
    counts = field_paths(branches)
    period = period or max(map(_largest_step, branches))
    reached = counts > 0
    return Gridding(len(counts), float(reached.mean()), largest_hole(reached), period, unevenness(counts, period))


def _largest_step(stack: Sequence[Window]) -> int:
    jump, largest = 1, 1
    for window in stack:
        if window.kernel > 1:
            largest = max(largest, window.dilation * jump)
        jump *= window.stride
    return largest


def largest_hole(reached_HW: NDArray[np.bool_]) -> int:
    """Side of the largest square of inputs none of which is reached (0: none is missing)."""
    sums = np.pad(reached_HW.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    side = 0
    while side < min(reached_HW.shape):
        step = side + 1
        inside = sums[step:, step:] - sums[:-step, step:] - sums[step:, :-step] + sums[:-step, :-step]
        if inside.min() > 0:
            break
        side = step
    return side


def class_shares(energy_HW: Counts, period: int) -> Counts:
    """(period, period): share of the energy at the places (row, column) modulo `period`; they sum to 1."""
    height, width = energy_HW.shape
    padded = np.pad(energy_HW, ((0, -height % period), (0, -width % period)))
    rows, columns = padded.shape[0] // period, padded.shape[1] // period
    shares: Counts = padded.reshape(rows, period, columns, period).sum(axis=(0, 2))
    shares /= shares.sum()
    return shares


def unevenness(energy_HW: Counts, period: int) -> float:
    """Standard deviation by mean of the energies of the period^2 residue classes (places modulo `period`).

    0: every class has the same; sqrt(period^2 - 1): one class has all. With E the discrete-space Fourier transform of
    the energy its square is the sum over k in {0..period-1}^2, k not 0, of |E(k/period)|^2 by |E(0)|^2 (Parseval): how
    strongly the field repeats with the period. A field that is not much wider than the period is uneven without any
    gridding: see `smooth_unevenness`.
    """
    shares = class_shares(energy_HW, period)
    return float(shares.std() / shares.mean())


def smooth_unevenness(energy_HW: Counts, period: int) -> float:
    """The control: `unevenness` of a Gaussian with the variances of this field, sampled at its pixels. Its transform
    at f = k / period is the sum over whole m of exp(-2 pi^2 variance (f + m)^2), an axis, by that at 0."""
    total = energy_HW.sum()
    factors = []
    for axis in (0, 1):
        marginal = energy_HW.sum(axis=1 - axis) / total
        places = np.arange(len(marginal))
        variance = float((marginal * places**2).sum() - (marginal * places).sum() ** 2)
        frequencies = np.arange(period)[:, None] / period + np.arange(-3, 3)
        transform = np.exp(-2 * math.pi**2 * variance * frequencies**2).sum(axis=1)
        factors.append((transform / transform[0]) ** 2)
    harmonics = np.outer(*factors)
    harmonics[0, 0] = 0.0
    return float(np.sqrt(harmonics.sum()))


@dataclass(frozen=True)
class HybridRule:
    """The rule of hybrid dilated convolution: `distances` M_1..M_n; fulfilled when the second (the only one of a
    single window) is at most the kernel and the rates have no common factor."""

    distances: tuple[int, ...]
    within_kernel: bool
    common_factor: int

    @property
    def fulfilled(self) -> bool:
        """Whether the field shall have no holes."""
        return self.within_kernel and self.common_factor == 1


def hybrid_rule(rates: Sequence[int], kernel: int = 3) -> HybridRule:
    """Largest distances between two inputs that are seen: M_n = r_n, M_i = max(M_{i+1} - 2 r_i, 2 r_i - M_{i+1}, r_i)
    (Wang et al. 2018, arXiv 1702.08502, equation 2), and the common factor that section 3.2 warns of: [2, 2, 2] has
    M_2 = 2 and holes.

    >>> hybrid_rule([1, 2, 5]).distances, hybrid_rule([1, 2, 9]).within_kernel, hybrid_rule([2, 2, 2]).common_factor
    ((1, 2, 5), False, 2)
    """
    if not rates or min(rates) < 1:
        raise ConfigError(f"dilations {list(rates)} are not one or more numbers of at least 1")
    distances = [rates[-1]]
    for rate in reversed(rates[:-1]):
        following = distances[0]
        distances.insert(0, max(following - 2 * rate, 2 * rate - following, rate))
    decisive = distances[1] if len(distances) > 1 else distances[0]
    return HybridRule(tuple(distances), decisive <= kernel, math.gcd(*rates))
