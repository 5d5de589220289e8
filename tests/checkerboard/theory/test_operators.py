"""The operators that the theory looks at, against the definition in plain loops."""

import pytest
import torch
from torch.nn import functional as F

from segsuite.checkerboard.theory.operators import Operator, bare, constant_guide, named
from segsuite.checkerboard.theory.overlap import Geometry

CHANNELS = 4


@pytest.mark.parametrize(
    "geometry", [Geometry(1, 2, 0), Geometry(2, 2, 1), Geometry(3, 2, 0), Geometry(4, 2, 3)], ids=str
)
def test_a_bare_geometry_has_exactly_its_factor_and_the_definition(geometry: Geometry) -> None:
    step = bare(geometry, CHANNELS, 0)
    (weight,) = step.module.parameters()
    x = torch.randn(1, CHANNELS, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = Operator((step,))(x, constant_guide(torch.zeros(1, CHANNELS), 5))
    expected = torch.zeros(1, CHANNELS, 10, 12, dtype=torch.float64)
    for i in range(5):
        for j in range(6):
            for k in range(geometry.kernel):
                for m in range(geometry.kernel):
                    row, column = 2 * i - geometry.padding + k, 2 * j - geometry.padding + m
                    if 0 <= row < 10 and 0 <= column < 12:
                        expected[0, :, row, column] += x[0, :, i, j] @ weight[:, :, k, m].detach()
    torch.testing.assert_close(y, expected)


def test_a_chain_is_one_step_after_the_other() -> None:
    first, second = named("transposed_k3", CHANNELS, 2, 0), named("bilinear", CHANNELS, 2, 0)
    x = torch.randn(1, CHANNELS, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = Operator((first, second))(x, constant_guide(torch.zeros(1, CHANNELS), 4))
    expected = F.interpolate(first.module(x), scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(y, expected)
