"""Transposed convolutions of stride 2 with kernel 2, 3 and 4 (Zeiler et al. 2010; FCN, Long et al. 2015).

Per axis y[o] = sum_{i,k} x[i] w[k] [o = 2 i - P + k]; the size is exactly 2 H when K - 2 P + output_padding =
2. Kernel 3 does not divide into two equal phases (1 tap for even outputs, 2 for odd ones): uneven overlap,
the classic checkerboard.
"""

from typing import ClassVar

from torch import nn

from segsuite.upsamplers.base import DoublingUpsampler


class _Transposed(DoublingUpsampler):
    kernel: ClassVar[int]

    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        padding = (self.kernel - 1) // 2
        output_padding = 2 - self.kernel + 2 * padding
        return nn.ConvTranspose2d(in_channels, out_channels, self.kernel, 2, padding, output_padding)


class TransposedK2(_Transposed):
    """Kernel 2, padding 0: no overlap, each input pixel paints its own 2x2 block."""

    kernel = 2


class TransposedK3(_Transposed):
    """Kernel 3, padding 1, output padding 1: 1, 2, 2 or 4 taps by phase."""

    kernel = 3


class TransposedK4(_Transposed):
    """Kernel 4, padding 1: even overlap, 4 taps in every phase."""

    kernel = 4
