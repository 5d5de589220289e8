"""Transposed convolutions without checkerboards by construction: a constant input stays constant, whatever
the parameters, up to rounding (in bf16 the rounding of the kernel leaves a pattern of about 1e-3).

transposed_balanced takes the deviation of each phase sum from their mean off the kernel at every forward: the
weakest condition that keeps constants, same parameters and multiply-adds as transposed_k4 (16 C_in C_out of
both a low-resolution pixel, and 32 C_in C_out additions a call). An input that varies along one axis only can
still get a pattern along the other.

transposed_hold is the correction of Sugawara, Shiota, Kiya 2018, arXiv 1806.02658: the output of a transposed
convolution goes through the fixed filter of a zero-order hold, the mean over s x s pixels. The kernel then has
zeros on whole lines of frequencies, so it keeps inputs constant along an axis clean too. 16 C_in C_out
parameters; 16 C_in C_out multiply-adds and 16 C_out additions a low-resolution pixel.
"""

from torch import Generator, Tensor, nn
from torch.nn import functional as F

from segsuite.upsamplers.base import DoublingUpsampler, keep_second_moment_
from segsuite.upsamplers.initialisations import equal_phases_, equalise_phases


class BalancedConvTranspose2d(nn.ConvTranspose2d):
    """(N, C_in, H, W) -> (N, C_out, 2H, 2W): kernel 4, stride 2, padding 1, all four phase sums equal."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 4, 2, 1)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        kernel_IOKK = equalise_phases(self.weight, stride=2)
        return F.conv_transpose2d(input, kernel_IOKK, self.bias, stride=2, padding=1)


class TransposedBalanced(DoublingUpsampler):
    """transposed_k4 whose kernel is balanced at every forward; starts as transposed_k4 with init equal_phases."""

    keeps_constants = True

    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        return BalancedConvTranspose2d(in_channels, out_channels)

    def initialise(self, generator: Generator | None = None) -> None:
        for step in self.steps:
            assert isinstance(step, nn.ConvTranspose2d)
            equal_phases_(step, generator)


class TransposedHold(DoublingUpsampler):
    """transposed_k4, then the mean over 2x2 pixels: a transposed convolution with a 5x5 kernel.

    Alignment: an odd kernel cannot be centred on the half-pixel grid, its support is off by half an output pixel.
    The mean takes the pixels above and to the left in the first step of a chain, below and to the right in all
    later ones, so it is half a pixel of the final output for every factor s, not (s - 1) / 2. (Kernel 3 and a
    hold would be centred, but that is nearest_conv exactly.)
    Border: the hold reads what the transposed convolution gives one row and column beyond the border, so all of
    it is one linear filter with zeros around the input; no value is repeated.
    """

    keeps_constants = True

    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        # without padding the output has one row and column more on every side
        return nn.ConvTranspose2d(in_channels, out_channels, 4, 2)

    def enlarge(self, x_NCHW: Tensor, guide_NCHW: Tensor | None) -> Tensor:
        for i, step in enumerate(self.steps):
            y_NCHW = step(x_NCHW)
            x_NCHW = hold(y_NCHW[..., :-1, :-1] if i == 0 else y_NCHW[..., 1:, 1:])
        return x_NCHW

    def initialise(self, generator: Generator | None = None) -> None:
        for step in self.steps:
            assert isinstance(step, nn.ConvTranspose2d)
            # the mean of four independent phases has a quarter of their variance
            keep_second_moment_(step, generator, gain=2.0)


def hold(x_NCHW: Tensor) -> Tensor:
    """(N, C, H + 1, W + 1) -> (N, C, H, W): the mean of each 2x2 window, the zero-order hold of stride 2."""
    return F.avg_pool2d(x_NCHW, 2, stride=1)
