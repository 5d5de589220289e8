"""Max-unpooling against loops and against the indices of the encoder's own pooling."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.errors import ConfigError
from segsuite.upsamplers import build_upsampler
from segsuite.upsamplers.base import Upsampler
from tests.upsamplers.references import convolved, cost, float64, random_bias


def build(in_channels: int, out_channels: int, factor: int, guide_channels: int) -> Upsampler:
    module = build_upsampler("max_unpool", in_channels, out_channels, factor, guide_channels).double()
    random_bias(module)
    return module


def convolutions(module: Upsampler) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def unpooled_by_loops(x_NCHW: Tensor, guide_NCHW: Tensor) -> Tensor:
    """Channel c goes to the first maximum of the 2x2 cells of guide channel c modulo the guide's channels."""
    n, channels, height, width = x_NCHW.shape
    y_NCHW = torch.zeros(n, channels, 2 * height, 2 * width, dtype=x_NCHW.dtype)
    for image in range(n):
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    guide_HW = guide_NCHW[image, c % guide_NCHW.shape[1]]
                    cell = [(2 * i + a, 2 * j + b) for a in (0, 1) for b in (0, 1)]
                    row, column = max(cell, key=lambda place: guide_HW[place].item())
                    y_NCHW[image, c, row, column] = x_NCHW[image, c, i, j]
    return y_NCHW


def convolved_by(conv: nn.Conv2d, x_NCHW: Tensor) -> Tensor:
    assert conv.bias is not None
    return convolved(x_NCHW, conv.weight, conv.bias)


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "guide_channels"), [(3, 3, 3), (5, 2, 3), (2, 5, 3), (4, 5, 2), (8, 7, 3)]
)
def test_equals_plain_loops(in_channels: int, out_channels: int, guide_channels: int) -> None:
    module = build(in_channels, out_channels, 2, guide_channels)
    x_NCHW, guide_NCHW = float64(2, in_channels, 2, 3), float64(2, guide_channels, 4, 6)
    *mix, conv = convolutions(module)
    with torch.no_grad():
        values_NCHW = convolved_by(mix[0], x_NCHW) if mix else x_NCHW
        expected_NCHW = convolved_by(conv, unpooled_by_loops(values_NCHW, guide_NCHW))
        torch.testing.assert_close(module(x_NCHW, guide=guide_NCHW), expected_NCHW)


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "guide_channels", "unpooled"),
    [(64, 64, 64, 64), (512, 256, 256, 256), (64, 256, 128, 128), (32, 16, 3, 18), (16, 32, 3, 18), (5, 5, 1, 5)],
)
def test_unpooled_channels_are_the_guides_or_repeat_it_to_the_narrower_side(
    in_channels: int, out_channels: int, guide_channels: int, unpooled: int
) -> None:
    module = build(in_channels, out_channels, 2, guide_channels)
    assert convolutions(module)[-1].in_channels == unpooled
    assert len(convolutions(module)) == 1 + (in_channels != unpooled)


def test_chain_of_two_unpools_to_the_guide_and_to_its_pooling() -> None:
    module, x_NCHW, guide_NCHW = build(3, 4, 4, 3), float64(1, 3, 2, 3), float64(1, 3, 8, 12)
    first, second = convolutions(module)
    coarse_guide_NCHW = guide_NCHW.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(-2, -1))
    with torch.no_grad():
        between_NCHW = convolved_by(first, unpooled_by_loops(x_NCHW, coarse_guide_NCHW))
        expected_NCHW = convolved_by(second, unpooled_by_loops(between_NCHW, guide_NCHW))
        torch.testing.assert_close(module(x_NCHW, guide=guide_NCHW), expected_NCHW)


def identity(module: Upsampler) -> None:
    """The convolution after unpooling lets everything through."""
    (conv,) = convolutions(module)
    nn.init.dirac_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # it has one


@pytest.mark.parametrize("height_width", [(6, 8), (7, 9)])
def test_map_that_the_encoder_pooled_gets_its_maxima_back_in_place(height_width: tuple[int, int]) -> None:
    module, features_NCHW = build(4, 4, 2, 4), float64(2, 4, *height_width).relu()
    identity(module)
    pooled_NCHW, indices = F.max_pool2d(features_NCHW, 2, return_indices=True)
    expected_NCHW = F.max_unpool2d(pooled_NCHW, indices, 2, output_size=height_width)
    even = (height_width[0] // 2 * 2, height_width[1] // 2 * 2)
    restored_NCHW = module(pooled_NCHW, guide=features_NCHW)
    # an odd row or column that pooling left out stays empty in SegNet; here `size` would repeat the last one
    assert torch.equal(restored_NCHW, expected_NCHW[..., : even[0], : even[1]])


def test_odd_guide_that_was_pooled_with_rounding_up_keeps_all_values() -> None:
    module, guide_NCHW = build(2, 2, 2, 2), float64(1, 2, 5, 7)
    identity(module)
    pooled_NCHW = F.max_pool2d(guide_NCHW, 2, ceil_mode=True)
    restored_NCHW = module(pooled_NCHW, size=(5, 7), guide=guide_NCHW)
    assert torch.equal(F.max_pool2d(restored_NCHW.abs(), 2, ceil_mode=True), pooled_NCHW.abs())


def test_equal_values_choose_the_first_as_max_pooling_does() -> None:
    module, x_NCHW = build(1, 1, 2, 1), torch.ones(1, 1, 2, 2, dtype=torch.float64)
    identity(module)
    y_NCHW = module(x_NCHW, guide=torch.zeros(1, 1, 4, 4, dtype=torch.float64))
    assert y_NCHW.nonzero()[:, 2:].tolist() == [[0, 0], [0, 2], [2, 0], [2, 2]]


def test_guide_gets_no_gradient() -> None:
    guide_NCHW = float64(1, 3, 4, 6).requires_grad_()
    x_NCHW = float64(1, 3, 2, 3).requires_grad_()
    build(3, 3, 2, 3)(x_NCHW, guide=guide_NCHW).sum().backward()
    assert x_NCHW.grad is not None
    assert guide_NCHW.grad is None


def test_missing_guide_is_an_error() -> None:
    with pytest.raises(ValueError, match="guide"):
        build(3, 3, 2, 3)(float64(1, 3, 2, 3))


@pytest.mark.parametrize("factor", [1, 3, 6])
def test_factor_that_is_no_power_of_two_is_an_error(factor: int) -> None:
    with pytest.raises(ConfigError, match=f"not by {factor}"):
        build(3, 3, factor, 3)


@pytest.mark.parametrize(("in_channels", "guide_channels", "unpooled"), [(4, 4, 4), (3, 4, 4), (6, 2, 6), (7, 2, 6)])
def test_cost_is_as_documented(in_channels: int, guide_channels: int, unpooled: int) -> None:
    x_NCHW, guide_NCHW = float64(1, in_channels, 4, 6), float64(1, guide_channels, 8, 12)
    mix = in_channels * unpooled if in_channels != unpooled else 0
    expected = (9 * unpooled * 5 + mix, 36 * unpooled * 5 + mix)
    assert cost(build(in_channels, 5, 2, guide_channels), x_NCHW, None, guide_NCHW) == expected
