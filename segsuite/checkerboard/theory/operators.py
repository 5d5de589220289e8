"""An upsampler as the theory sees it: a float64 map from (N, C, H, W) to (N, C', S H, S W), in one step or a chain.

Guided upsamplers get a guide from the scene that is being probed: constant where the input is constant, a polynomial
where it is a polynomial, a field of the same band where it is a field. Whatever pattern the output then has was made
by the upsampler and not by the scene.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from segsuite.checkerboard.theory.overlap import Geometry
from segsuite.upsamplers import build_upsampler
from segsuite.upsamplers.base import DoublingUpsampler, Upsampler, keep_second_moment_

Guide = Callable[[int], Tensor]
"""From a factor r to the scene's guide (N, guide channels, r H, r W)."""


@dataclass(frozen=True, eq=False)
class Step:
    """One module of a chain, which enlarges (N, in_channels, H, W) by `factor`."""

    module: nn.Module
    in_channels: int
    out_channels: int
    factor: int
    needs_guide: bool = False

    @torch.no_grad()
    def parts(self) -> "list[Step]":
        """The steps of factor 2 that an upsampler of factor 4, 8, ... is a chain of, or the step itself."""
        if not isinstance(self.module, DoublingUpsampler):
            return [self]
        inputs = [self.in_channels] + [self.out_channels] * (len(self.module.steps) - 1)
        parts = [Step(part, first, self.out_channels, 2) for part, first in zip(self.module.steps, inputs, strict=True)]
        x_NCHW = torch.randn(1, self.in_channels, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        whole_NCHW = self.module(x_NCHW)
        for part in parts:
            x_NCHW = part.module(x_NCHW)
        # Some do more than their steps in a row, such as a blur between them.
        is_chain = x_NCHW.shape == whole_NCHW.shape and torch.allclose(x_NCHW, whole_NCHW)
        return parts if is_chain else [self]


@dataclass(frozen=True, eq=False)
class Operator:
    """A chain of one or more upsamplers, first to last, that enlarges by the product of their factors."""

    steps: tuple[Step, ...]

    @property
    def in_channels(self) -> int:
        """Channels of the input, and of the guide."""
        return self.steps[0].in_channels

    @property
    def factor(self) -> int:
        """By how much height and width grow."""
        product = 1
        for step in self.steps:
            product *= step.factor
        return product

    @property
    def needs_guide(self) -> bool:
        """Whether any step reads a guide."""
        return any(step.needs_guide for step in self.steps)

    @property
    def parameters(self) -> int:
        """Trained parameters."""
        return sum(p.numel() for step in self.steps for p in step.module.parameters() if p.requires_grad)

    @torch.no_grad()
    def __call__(self, x_NCHW: Tensor, guide: Guide) -> Tensor:
        """(N, in_channels, H, W) to (N, out channels, S H, S W)."""
        reached = 1
        for step in self.steps:
            reached *= step.factor
            given = {"guide": guide(reached)} if step.needs_guide else {}
            x_NCHW = step.module(x_NCHW, **given)
        return x_NCHW

    def multiply_adds(self, size: int = 16) -> float:
        """Multiply-adds for each pixel of the low-resolution input, in all channels: those of convolutions and
        matrix products (half of torch's floating-point operations); interpolation and sampling are not counted."""
        x_NCHW = torch.zeros(1, self.in_channels, size, size, dtype=torch.float64)
        with FlopCounterMode(display=False) as counter:
            self(x_NCHW, constant_guide(torch.zeros(1, self.in_channels, dtype=torch.float64), size))
        return float(counter.get_total_flops()) / 2 / size**2


def constant_guide(values_NG: Tensor, size: int) -> Guide:
    """A guide that is constant in space: `values` for every image and guide channel, for inputs of `size` pixels."""
    return lambda factor: values_NG[:, :, None, None].expand(-1, -1, factor * size, factor * size)


def named(upsampler: str | Mapping[str, Any], channels: int, factor: int, seed: int) -> Step:
    """An upsampler of the suite with `channels` in, out and in the guide, its weights drawn in float64 from `seed`.

    Raises ConfigError as build_upsampler does.
    """
    module: Upsampler = build_upsampler(upsampler, channels, channels, factor, guide_channels=channels)
    module = module.double().eval()
    # Drawn again: what was drawn in fp32 has phase sums that are equal up to 1e-7 only.
    module.initialise(torch.Generator().manual_seed(seed))
    return Step(module, channels, channels, factor, module.needs_guide)


def bare(geometry: Geometry, channels: int, seed: int) -> Step:
    """A transposed convolution of this geometry, its weights drawn as all upsamplers' (second moment kept)."""
    module = _Transposed(geometry, channels).double()
    keep_second_moment_(module.conv, torch.Generator().manual_seed(seed))
    return Step(module, channels, channels, geometry.stride)


class _Transposed(nn.Module):
    """Exactly s H x s W for every geometry: what `output_padding` does where it is allowed, also where it is not."""

    def __init__(self, geometry: Geometry, channels: int) -> None:
        super().__init__()
        self.geometry = geometry
        self.conv = nn.ConvTranspose2d(channels, channels, geometry.kernel, geometry.stride, bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        stride, padding = self.geometry.stride, self.geometry.padding
        height, width = (stride * length for length in x_NCHW.shape[-2:])
        missing = max(0, stride + padding - self.geometry.kernel)
        y_NCHW = F.pad(self.conv(x_NCHW), (0, missing, 0, missing))
        return y_NCHW[..., padding : padding + height, padding : padding + width]
