"""Operators that the theory is tried on, and their responses to a pixel."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsuite.checkerboard.theory.impulse import Impulse, measure_impulse
from segsuite.checkerboard.theory.operators import Operator, Step, bare, named
from segsuite.checkerboard.theory.overlap import Geometry

CHANNELS = 4
GEOMETRIES = [Geometry(2, 2, 0), Geometry(3, 2, 1), Geometry(4, 2, 1), Geometry(5, 3, 1), Geometry(2, 3, 0)]


def measured(operator: Operator, seed: int = 0) -> Impulse:
    generator = torch.Generator().manual_seed(seed)
    scene = torch.randn(operator.in_channels, generator=generator, dtype=torch.float64)
    guide = torch.randn(operator.in_channels, generator=generator, dtype=torch.float64)
    return measure_impulse(operator, scene, guide)


def of(name: str, init: str = "random", channels: int = CHANNELS, factor: int = 2, seed: int = 0) -> Impulse:
    return measured(Operator((named({"name": name, "init": init}, channels, factor, seed),)))


def own(module: nn.Module, factor: int, channels: int = 1) -> Operator:
    return Operator((Step(module.double(), channels, channels, factor),))


def transposed(geometry: Geometry, seed: int = 0) -> tuple[Operator, NDArray[np.float64]]:
    """An operator, and its kernel (in, out, K, K)."""
    step = bare(geometry, CHANNELS, seed)
    (weight,) = step.module.parameters()
    return Operator((step,)), weight.detach().numpy()


class Hold(nn.Module):
    """Nearest neighbour by repetition."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)
