"""Bilinear additive upsampling (Wojna et al. 2017, arXiv 1707.05847): bilinear enlargement by s, the sum of
every s^2 consecutive channels, so that the number of values stays, then conv3 to the wanted channels.

Factor 2^k is a chain of k steps of factor 2 that sum 4 channels each. The sum is taken first: both are linear,
and it leaves a quarter of the channels to interpolate. Where 4 does not divide the channels, the last sum has
the 1, 2 or 3 that are left. Parameters and multiply-adds a low-resolution pixel at factor 2, G = ceil(C_in /
4): 9 G C_out, and 36 G C_out + 16 G, a quarter of bilinear_conv.
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from segsuite.upsamplers.base import DoublingUpsampler, keep_second_moment_

SUMMED = 4


class BilinearAdditive(DoublingUpsampler):
    """Sum of every 4 consecutive channels, bilinear x2 on the half-pixel grid, conv3 (zero padding)."""

    # CUDA's upsample_bilinear2d_backward adds with atomics: two runs of one seed differ
    deterministic = False
    keeps_constants = True

    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        return AdditiveStep(in_channels, out_channels)

    def initialise(self, generator: Generator | None = None) -> None:
        for step in self.steps:
            assert isinstance(step, AdditiveStep)
            # a sum of independent channels has the sum of their second moments
            keep_second_moment_(step.conv, generator, gain=(step.conv.in_channels / step.in_channels) ** 0.5)


class AdditiveStep(nn.Module):
    """(N, in_channels, H, W) -> (N, out_channels, 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.conv = nn.Conv2d(-(-in_channels // SUMMED), out_channels, 3, padding=1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        enlarged_NGHW = F.interpolate(sum_of_fours(x_NCHW), scale_factor=2.0, mode="bilinear", align_corners=False)
        y_NCHW: Tensor = self.conv(enlarged_NGHW)
        return y_NCHW


def sum_of_fours(x_NCHW: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, ceil(C / 4), H, W): sums of 4 consecutive channels, the last of what is left."""
    missing = -x_NCHW.shape[1] % SUMMED
    if missing:
        x_NCHW = F.pad(x_NCHW, (0, 0, 0, 0, 0, missing))
    return torch.unflatten(x_NCHW, 1, (-1, SUMMED)).sum(dim=2)
