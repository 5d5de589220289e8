"""Sub-pixel convolution (ESPCN; Shi et al. 2016, arXiv 1609.05158): conv3 at low resolution to s^2 C_out
channels, then depth to space.

Factor 2^k is a chain of k steps of factor 2, as in the other arms of a comparison (one step of factor s would
have 9 s^2 C_in C_out parameters). Parameters and multiply-adds a low-resolution pixel at factor 2: 36 C_in
C_out of both, and 4 C_out biases; the function is that of a transposed convolution with kernel 6. The blur
adds 16 C_out additions.

Initialisations: random, torch, and equal_phases, which is ICNR (initialisations.py).
"""

from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from segsuite.upsamplers.balanced import hold
from segsuite.upsamplers.base import DoublingUpsampler, fit, keep_second_moment_
from segsuite.upsamplers.initialisations import equal_subkernels_, torch_default_


class PixelShuffle(DoublingUpsampler):
    """conv3 to 4 C_out channels (zero padding), depth to space."""

    gain: ClassVar[float] = 1.0

    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1), nn.PixelShuffle(2))

    def initialise(self, generator: Generator | None = None) -> None:
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                if self.init == "torch":
                    torch_default_(conv, generator)
                elif self.init == "equal_phases":
                    equal_subkernels_(conv, 2, generator)
                else:
                    keep_second_moment_(conv, generator, self.gain)


class PixelShuffleBlur(PixelShuffle):
    """pixel_shuffle, then the mean over 2x2 pixels: the `blur` of fastai's PixelShuffle_ICNR, which follows
    Sugawara, Shiota, Kiya 2018, arXiv 1806.02658.

    fastai repeats the first row and column and takes the mean with the pixels above and to the left: content
    moves by half an output pixel to the bottom right. In a chain all steps after the first repeat the last row
    and column instead, so that it is half a pixel of the final output for every factor s, not (s - 1) / 2.
    """

    keeps_constants = True
    # the mean of four independent phases has a quarter of their variance
    gain = 2.0

    def enlarge(self, x_NCHW: Tensor, guide_NCHW: Tensor | None) -> Tensor:
        for i, step in enumerate(self.steps):
            x_NCHW = step(x_NCHW)
            x_NCHW = hold(_repeat_first(x_NCHW) if i == 0 else _repeat_last(x_NCHW))
        return x_NCHW


def _repeat_first(x_NCHW: Tensor) -> Tensor:
    x_NCHW = torch.cat([x_NCHW[..., :1, :], x_NCHW], dim=-2)
    return torch.cat([x_NCHW[..., :1], x_NCHW], dim=-1)


def _repeat_last(x_NCHW: Tensor) -> Tensor:
    return fit(x_NCHW, (x_NCHW.shape[-2] + 1, x_NCHW.shape[-1] + 1))
