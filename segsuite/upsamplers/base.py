"""The base of all upsamplers, the size rule and the initialisation rule that they share.

Initialisation rule. Every convolution weight is drawn from N(0, 1 / t), t = number of products summed into
one output value, averaged over the output grid: t = C_in K^2 for a convolution, t = C_in K^2 / s^2 for a
transposed convolution of stride s (each output pixel sees K^2 / s^2 taps on average). With independent
zero-mean weights E[y^2] = t * var(w) * E[x^2] = E[x^2], so all arms keep the second moment of their
(enlarged) input. PyTorch's own rule takes C_out K^2 as the fan of a transposed convolution, which leaves a 4
times smaller variance than a convolution has at 64 -> 64 channels, stride 2: an upsampler comparison at the
default init also compares scales. Bilinear interpolation itself keeps smooth inputs and damps white noise
(second moment 0.39 at factor 2); that is the operator, so it is not compensated. What sums or averages inside
an operator (channels, phases) is compensated by `gain`, so that a constant unit input gives second moment 1
in every arm. The other initialisations are in initialisations.py.
"""

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from segsuite.errors import ConfigError


class Upsampler(nn.Module, ABC):
    """Enlarges (N, in_channels, H, W) to (N, out_channels, H * factor, W * factor), or to `size`; contract in
    the package docstring."""

    learned: ClassVar[bool] = True
    needs_guide: ClassVar[bool] = False
    deterministic: ClassVar[bool] = True
    keeps_constants: ClassVar[bool] = False

    def __init__(self, in_channels: int, out_channels: int, factor: int = 2, init: str = "random") -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.factor, self.init = in_channels, out_channels, factor, init

    @abstractmethod
    def enlarge(self, x_NCHW: Tensor, guide_NCHW: Tensor | None) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H * factor, W * factor)."""

    def initialise(self, generator: Generator | None = None) -> None:
        """Draws all parameters anew from `generator` by the rule of this file; no-op for upsamplers without
        parameters."""

    def doublings(self) -> int:
        """k of factor 2^k; raises ConfigError for any other factor."""
        if self.factor < 2 or self.factor & (self.factor - 1):
            raise ConfigError(
                f"{type(self).__name__} enlarges by 2, 4, 8, ..., not by {self.factor}",
                advice="choose a factor that is a power of two",
            )
        return self.factor.bit_length() - 1

    def forward(self, x_NCHW: Tensor, size: tuple[int, int] | None = None, guide: Tensor | None = None) -> Tensor:
        """The enlarged features, exactly `size` (H, W) when it is given; `guide` only where needs_guide."""
        y_NCHW = self.enlarge(x_NCHW, guide)
        return y_NCHW if size is None else fit(y_NCHW, size)


class DoublingUpsampler(Upsampler):
    """Factor 2^k as k steps of factor 2; the first step reaches out_channels, so every arm has the same depth
    and widths."""

    def __init__(self, in_channels: int, out_channels: int, factor: int = 2, init: str = "random") -> None:
        super().__init__(in_channels, out_channels, factor, init)
        widths = [in_channels] + [out_channels] * self.doublings()
        self.steps = nn.ModuleList(self.step(a, b) for a, b in pairwise(widths))
        self.initialise()

    @abstractmethod
    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        """One module that doubles height and width."""

    def enlarge(self, x_NCHW: Tensor, guide_NCHW: Tensor | None) -> Tensor:
        for step in self.steps:
            x_NCHW = step(x_NCHW)
        return x_NCHW

    def initialise(self, generator: Generator | None = None) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                keep_second_moment_(module, generator)


def keep_second_moment_(
    conv: nn.Conv2d | nn.ConvTranspose2d, generator: Generator | None = None, gain: float = 1.0
) -> None:
    """Draws the weights of `conv` from N(0, gain^2 / products per output value) and sets its bias to zero, in
    place."""
    products = conv.in_channels // conv.groups * conv.kernel_size[0] * conv.kernel_size[1]
    outputs_per_input = conv.stride[0] * conv.stride[1] if isinstance(conv, nn.ConvTranspose2d) else 1
    nn.init.normal_(conv.weight, std=gain * (outputs_per_input / products) ** 0.5, generator=generator)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def fit(x_NCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """`x` cut at the right and bottom, or its last row and column repeated, to exactly `size` (H, W)."""
    height, width = size
    x_NCHW = x_NCHW[..., :height, :width]
    missing_rows, missing_columns = height - x_NCHW.shape[-2], width - x_NCHW.shape[-1]
    # not F.pad: the backward of its mode "replicate" adds with atomics on CUDA
    if missing_rows:
        x_NCHW = torch.cat([x_NCHW, x_NCHW[..., -1:, :].expand(-1, -1, missing_rows, -1)], dim=-2)
    if missing_columns:
        x_NCHW = torch.cat([x_NCHW, x_NCHW[..., -1:].expand(-1, -1, -1, missing_columns)], dim=-1)
    return x_NCHW
