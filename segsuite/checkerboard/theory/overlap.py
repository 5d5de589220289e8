"""Overlap of transposed convolutions: how many products are summed into each output pixel. numpy only.

Per axis y[o] = sum_{i,k} x[i] w[k] [o = s i - p + k] for kernel K, stride s and padding p. Output pixel o of phase
q = o mod s sees the taps k = (q + p) mod s, + s, + 2 s, ...; their number is the overlap (Odena, Dumoulin, Olah 2016,
distill.pub/2016/deconv-checkerboard). Even overlap (s divides K) makes the *expected energy* of the phases equal over
random weights; it does not make them equal in a given network, which the phase gains do (impulse.py).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsuite.errors import ConfigError

GEOMETRY = re.compile(r"k(\d+)s(\d+)(?:p(\d+))?")
MAX_KERNEL, MAX_STRIDE = 64, 16


@dataclass(frozen=True)
class Geometry:
    """Kernel, stride and padding of a transposed convolution, the same on both axes, in pixels."""

    kernel: int
    stride: int
    padding: int

    @classmethod
    def parse(cls, text: str) -> "Geometry":
        """Of `k3s2p1`; without `p` the padding that keeps the output centred, ceil((K - s) / 2).

        Raises ConfigError for another form, or for sizes that make no upsampler.

        >>> Geometry.parse("k3s2")
        Geometry(kernel=3, stride=2, padding=1)
        """
        found = GEOMETRY.fullmatch(text)
        if found is None:
            raise ConfigError(f"'{text[:80]}' is no geometry", advice="write kernel, stride and padding, as k3s2p1")
        kernel, stride = int(found[1]), int(found[2])
        padding = int(found[3]) if found[3] else max(0, -((stride - kernel) // 2))
        if not 1 <= kernel <= MAX_KERNEL or not 2 <= stride <= MAX_STRIDE or padding >= kernel:
            raise ConfigError(
                f"geometry '{text[:80]}' is out of range",
                advice=f"kernel 1 to {MAX_KERNEL}, stride 2 to {MAX_STRIDE}, padding below the kernel",
            )
        return cls(kernel, stride, padding)


def overlap(geometry: Geometry) -> list[int]:
    """Taps of each of the s phases along one axis.

    >>> overlap(Geometry(kernel=3, stride=2, padding=1))
    [1, 2]
    """
    kernel, stride, padding = geometry.kernel, geometry.stride, geometry.padding
    return [len(range((phase + padding) % stride, kernel, stride)) for phase in range(stride)]


def overlap_of_chain(chain: Sequence[Geometry]) -> list[int]:
    """Products along all paths from one output pixel to the input, for each of the S phases along one axis of a chain
    of transposed convolutions, first to last; S is the product of the strides.

    It is what the chain with all weights 1 makes of an input of ones, and so the expected energy of each phase with
    independent weights.

    >>> overlap_of_chain([Geometry(3, 2, 1)] * 2)
    [1, 3, 2, 3]
    """
    counts = np.ones(1, dtype=np.int64)
    for geometry in chain:
        taps = np.arange(geometry.kernel)
        finer = np.zeros(counts.size * geometry.stride, dtype=np.int64)
        for phase in range(finer.size):
            places = phase + geometry.padding - taps
            seen = places[places % geometry.stride == 0] // geometry.stride
            finer[phase] = counts[seen % counts.size].sum()
        counts = finer
    return [int(count) for count in counts]


def overlap_2d(per_axis: Sequence[int]) -> NDArray[np.int64]:
    """The (S, S) overlap of a square kernel: the product of the axes."""
    return np.outer(per_axis, per_axis).astype(np.int64)


def coefficient_of_variation(overlap_SS: NDArray[np.int64]) -> float:
    """Standard deviation over mean of an overlap map; 0 when it is even.

    >>> round(coefficient_of_variation(overlap_2d([1, 2])), 4)
    0.4843
    """
    return float(overlap_SS.std() / overlap_SS.mean())


def encoder_shift(chain: Sequence[Geometry]) -> float:
    """By how many input pixels (down and right) strided convolutions of these geometries move the content, if their
    features are taken to lie on the half-pixel grid: the sum over j of ((s_j - 1) / 2 + p_j - (K_j - 1) / 2)
    s_1 .. s_{j-1}.

    Added to the shift of an upsampler back to full size it is the shift of the network; DeepLab's rules (odd kernels,
    align_corners=True, sizes 8 n + 1) exist to make that 0.

    >>> encoder_shift([Geometry(3, 2, 1)] * 3), encoder_shift([Geometry(4, 2, 1)] * 3)
    (3.5, 0.0)
    """
    shift, stride = 0.0, 1
    for geometry in chain:
        shift += ((geometry.stride - 1) / 2 + geometry.padding - (geometry.kernel - 1) / 2) * stride
        stride *= geometry.stride
    return shift
