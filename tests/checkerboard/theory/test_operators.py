"""The operators that the theory looks at, against the definition in plain loops."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segsuite.checkerboard.theory.impulse import measure_impulse
from segsuite.checkerboard.theory.operators import Operator, bare, constant_guide, named
from segsuite.checkerboard.theory.overlap import Geometry, encoder_shift

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


@pytest.mark.parametrize(
    ("encoder", "upsampler", "shift"),
    [
        (Geometry(3, 2, 1), Geometry(4, 2, 1), 3.5),
        (Geometry(3, 2, 1), Geometry(3, 2, 1), 0.0),
        (Geometry(3, 2, 1), Geometry(2, 2, 0), 3.5),
        (Geometry(2, 2, 0), Geometry(4, 2, 1), 0.0),
        (Geometry(2, 2, 0), Geometry(3, 2, 1), -3.5),
        (Geometry(4, 2, 1), Geometry(2, 2, 0), 0.0),
    ],
    ids=str,
)
def test_a_network_moves_the_content_by_what_its_encoder_and_its_upsamplers_do(
    encoder: Geometry, upsampler: Geometry, shift: float
) -> None:
    steps = tuple(bare(upsampler, 1, 0) for _ in range(3))
    convs = [nn.Conv2d(1, 1, encoder.kernel, 2, encoder.padding, bias=False) for _ in range(3)]
    network = nn.Sequential(*convs, *(step.module for step in steps)).double()
    for weight in network.parameters():
        nn.init.ones_(weight)
    image = torch.zeros(1, 1, 256, 256, dtype=torch.float64, requires_grad=True)
    output = network(image)[0, 0]
    moved = 0.0
    for place in range(128, 136):  # all phases of stride 8
        (seen,) = torch.autograd.grad(output[place, place], image, retain_graph=True)
        rows = seen[0, 0].sum(dim=1)
        moved += place - float(rows @ torch.arange(256, dtype=torch.float64) / rows.sum())
    scene = torch.ones(1, dtype=torch.float64)
    of_upsamplers = measure_impulse(Operator(steps), scene, scene).shift()[0]
    assert encoder_shift([encoder] * 3) + of_upsamplers == pytest.approx(shift)
    assert moved / 8 == pytest.approx(shift)
