"""Transposed convolutions (Zeiler et al. 2010; FCN, Long, Shelhamer, Darrell 2015, arXiv 1411.4038).

Per axis y[o] = sum_{i,k} x[i] w[k] [o = s i - P + k] with stride s; the size is exactly s H when K - 2 P +
output_padding = s. A kernel that s does not divide gives the phases of the output grid unequal numbers of taps
(Odena, Dumoulin, Olah 2016, distill.pub/2016/deconv-checkerboard); equal numbers alone leave the pattern of
unequal sums (initialisations.py).

Parameters and multiply-adds a low-resolution pixel, factor 2, without bias: both K^2 C_in C_out; a further
step of a chain costs K^2 C_out^2 for each of its own input pixels. transposed_k2s has 4 s^2 C_in C_out of both;
transposed_bilinear multiplies 4 s^2 C_out times and has no parameters beside its 1x1 convolution.

Initialisations: random, torch, equal_phases and bilinear, see initialisations.py.
"""

from typing import ClassVar

from torch import Generator, Tensor, nn
from torch.nn import functional as F

from segsuite.upsamplers.base import DoublingUpsampler, Upsampler, keep_second_moment_
from segsuite.upsamplers.initialisations import bilinear_, bilinear_filter, equal_phases_, torch_default_

INITIALISERS = {
    "random": keep_second_moment_,
    "torch": torch_default_,
    "equal_phases": equal_phases_,
    "bilinear": bilinear_,
}


class _Transposed(DoublingUpsampler):
    kernel: ClassVar[int]

    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        padding = (self.kernel - 1) // 2
        output_padding = 2 - self.kernel + 2 * padding
        return nn.ConvTranspose2d(in_channels, out_channels, self.kernel, 2, padding, output_padding)

    def initialise(self, generator: Generator | None = None) -> None:
        for step in self.steps:
            assert isinstance(step, nn.ConvTranspose2d)
            INITIALISERS[self.init](step, generator)


class TransposedK2(_Transposed):
    """Kernel 2, padding 0: no overlap, each input pixel paints its own 2x2 block.

    init bilinear: the filter (1, 1) of an axis, the nearest neighbour: two taps hold no ramp.
    """

    kernel = 2


class TransposedK3(_Transposed):
    """Kernel 3, padding 1, output padding 1: 1, 2, 2 or 4 taps by phase.

    init bilinear: the filter (1/2, 1, 1/2) of an axis. Output 2 i is input i, and 2 i + 1 the mean of i and i + 1:
    bilinear on the corner grid, half an output pixel to the top left of interpolation on the half-pixel grid.
    """

    kernel = 3


class TransposedK4(_Transposed):
    """Kernel 4, padding 1: even overlap, 4 taps in every phase.

    init bilinear: the filter (1/4, 3/4, 3/4, 1/4) of an axis: F.interpolate(align_corners=False) away from the
    border, where it sees zeros.
    """

    kernel = 4


class TransposedK2S(Upsampler):
    """FCN's operator: one step with kernel 2 s, stride s, padding s/2 for a factor s that is a power of two.

    init bilinear: F.interpolate(align_corners=False) away from the border, where it sees zeros.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int = 2, init: str = "random") -> None:
        super().__init__(in_channels, out_channels, factor, init)
        self.doublings()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 2 * factor, factor, factor // 2)
        self.initialise()

    def enlarge(self, x_NCHW: Tensor, guide_NCHW: Tensor | None) -> Tensor:
        y_NCHW: Tensor = self.conv(x_NCHW)
        return y_NCHW

    def initialise(self, generator: Generator | None = None) -> None:
        INITIALISERS[self.init](self.conv, generator)


class TransposedBilinear(Upsampler):
    """Bilinear interpolation written as a depthwise transposed convolution that is never trained: kernel 2 s,
    stride s, padding s/2, zeros beyond the border (F.interpolate repeats the border instead).

    A 1x1 convolution stands before it only where the channel counts differ.
    """

    learned = False
    keeps_constants = True
    kernel_11KK: Tensor

    def __init__(self, in_channels: int, out_channels: int, factor: int = 2, init: str = "random") -> None:
        super().__init__(in_channels, out_channels, factor, init)
        self.doublings()
        same = in_channels == out_channels
        self.mix = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)
        taps = bilinear_filter(2 * factor, factor)
        # not in the state dict: it is a constant of the class
        self.register_buffer("kernel_11KK", taps.outer(taps)[None, None].float(), persistent=False)
        self.initialise()

    def enlarge(self, x_NCHW: Tensor, guide_NCHW: Tensor | None) -> Tensor:
        kernel_C1KK = self.kernel_11KK.expand(self.out_channels, -1, -1, -1)
        factor, channels = self.factor, self.out_channels
        return F.conv_transpose2d(self.mix(x_NCHW), kernel_C1KK, stride=factor, padding=factor // 2, groups=channels)

    def initialise(self, generator: Generator | None = None) -> None:
        if isinstance(self.mix, nn.Conv2d):
            keep_second_moment_(self.mix, generator)
