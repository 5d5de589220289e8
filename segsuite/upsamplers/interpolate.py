"""Resize-convolutions: interpolate by 2, then a 3x3 convolution (Odena, Dumoulin, Olah 2016,
distill.pub/2016/deconv-checkerboard).

Half-pixel grid (align_corners=False) in both, as in torchvision and mmseg.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.upsamplers.base import DoublingUpsampler


class _Interpolate(nn.Module):
    """Doubles height and width by `mode`; no parameters."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x_NCHW: Tensor) -> Tensor:
        align = None if self.mode == "nearest" else False
        return F.interpolate(x_NCHW, scale_factor=2.0, mode=self.mode, align_corners=align)

    def extra_repr(self) -> str:
        return self.mode


class _ResizeConv(DoublingUpsampler):
    mode: ClassVar[str]

    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        return nn.Sequential(_Interpolate(self.mode), nn.Conv2d(in_channels, out_channels, 3, padding=1))


class NearestConv(_ResizeConv):
    """Every pixel repeated 2x2, then conv 3x3 (zero padding)."""

    mode = "nearest"


class BilinearConv(_ResizeConv):
    """Bilinear x2 on the half-pixel grid (weights 3/4 and 1/4 per axis), then conv 3x3 (zero padding)."""

    mode = "bilinear"
    # CUDA's upsample_bilinear2d_backward adds with atomics: two runs of one seed differ (mmseg #255)
    deterministic = False
