"""Separable transposed convolution (Wojna et al. 2017, arXiv 1707.05847; separable as in Xception, Chollet
2017, arXiv 1610.02357): a depthwise transposed convolution, then a 1x1 convolution across channels.

(The same paper's decomposed transposed convolution splits the two axes instead.) Parameters and multiply-adds
a low-resolution pixel at factor 2, kernel 4: 16 C_in + C_in C_out, and 16 C_in + 4 C_in C_out.
"""

from torch import nn

from segsuite.upsamplers.base import DoublingUpsampler


class TransposedSeparable(DoublingUpsampler):
    """Kernel 4, stride 2, padding 1 in each channel, then conv1. A subset of transposed_k4: all kernels of one
    input channel are multiples of each other."""

    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        return nn.Sequential(
            # its bias would only add to the next one
            nn.ConvTranspose2d(in_channels, in_channels, 4, 2, 1, groups=in_channels, bias=False),
            nn.Conv2d(in_channels, out_channels, 1),
        )
