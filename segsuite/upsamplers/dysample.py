"""DySample, upsampling by learned sampling points (Liu et al. 2023, arXiv 2308.15085; tiny-smart/dysample), style LP.

A 1x1 convolution predicts an offset for each output pixel and channel group, in low-resolution pixels times the
static scope 0.25; the group is sampled bilinearly at the output pixel's own place plus the offset, the edge pixel
repeated outside. With zero offsets this is bilinear interpolation on the half-pixel grid; at init the offsets have a
standard deviation of about 0.00025 sqrt(C) of a pixel (the paper's start). Constants stay constant everywhere.

A factor 2^k is a chain of k steps of 2. The 1x1 convolution to out_channels comes first, and offsets and samples use
its output: a quarter of the cost of mapping the enlarged features. Groups: the largest of 4, 3, 2, 1 that divides
out_channels (4 in the paper).

A step, C -> D channels, g groups: parameters D (C + 1) + 8 g (D + 1); multiply-adds per low-resolution pixel
C D + 8 g D + 16 D (4 taps for each of 4 output pixels).
"""

from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from segsuite.upsamplers.base import DoublingUpsampler, keep_second_moment_

SCOPE = 0.25


class DySampleStep(nn.Module):
    """(N, in_channels, H, W) -> (N, out_channels, 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.groups = next(g for g in (4, 3, 2, 1) if out_channels % g == 0)
        self.project = nn.Conv2d(in_channels, out_channels, 1)
        # output channels: x then y, group by group, phase by phase
        self.offset = nn.Conv2d(out_channels, 2 * self.groups * 4, 1)

    def initialise(self, generator: Generator | None) -> None:
        keep_second_moment_(self.project, generator)
        nn.init.normal_(self.offset.weight, std=0.001, generator=generator)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]  # it has a bias

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = self.project(x_NCHW)
        points_MHWxy = self.points(x_NCHW)
        n, channels, height, width = x_NCHW.shape
        x_MCHW = x_NCHW.reshape(n * self.groups, channels // self.groups, height, width)
        y_MCHW = F.grid_sample(x_MCHW.to(points_MHWxy.dtype), points_MHWxy, padding_mode="border", align_corners=False)
        y_NCHW = y_MCHW.reshape(n, channels, 2 * height, 2 * width).to(x_NCHW.dtype)
        channels_last = x_NCHW.is_contiguous(memory_format=torch.channels_last)
        return y_NCHW.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)

    def points(self, x_NCHW: Tensor) -> Tensor:
        """Where each output pixel of each group reads: (N * groups, 2H, 2W, 2), x before y, in grid_sample's
        units (-1 and 1 are the outer edges of the map)."""
        n, _, height, width = x_NCHW.shape
        # bf16 cannot tell neighbouring pixels apart beyond 256
        dtype = torch.promote_types(x_NCHW.dtype, torch.float32)
        offset_NCHW = F.pixel_shuffle(SCOPE * self.offset(x_NCHW).to(dtype), 2)
        offset_MxyHW = offset_NCHW.view(n, 2, self.groups, 2 * height, 2 * width).transpose(1, 2).flatten(0, 1)
        rows = torch.arange(2 * height, dtype=dtype, device=x_NCHW.device)[:, None]
        columns = torch.arange(2 * width, dtype=dtype, device=x_NCHW.device)
        # the centre of output pixel o lies (o + 0.5) / 2 low-resolution pixels from the edge
        x_MHW = (2 * offset_MxyHW[:, 0] + columns + 0.5) / width - 1
        y_MHW = (2 * offset_MxyHW[:, 1] + rows + 0.5) / height - 1
        return torch.stack([x_MHW, y_MHW], dim=-1)


class DySample(DoublingUpsampler):
    """Bilinear samples at predicted places, one an output pixel and channel group."""

    # grid_sample's backward on CUDA adds with atomics (list of torch.use_deterministic_algorithms, torch 2.15)
    deterministic: ClassVar[bool] = False
    keeps_constants: ClassVar[bool] = True

    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        return DySampleStep(in_channels, out_channels)

    def initialise(self, generator: Generator | None = None) -> None:
        for module in self.modules():
            if isinstance(module, DySampleStep):
                module.initialise(generator)
