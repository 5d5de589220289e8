"""Bilinear additive upsampling against the order of its paper: interpolate, then sum channels, by loops."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from segsuite.upsamplers import build_upsampler
from tests.upsamplers.references import convolved, cost, float64, random_bias


def bilinear_by_loops(x_NCHW: Tensor) -> Tensor:
    """Output pixel o lies at (o + 0.5) / 2 - 0.5 of the input; neighbours outside are the edge pixel."""
    n, c, height, width = x_NCHW.shape
    y_NCHW = torch.zeros(n, c, 2 * height, 2 * width, dtype=x_NCHW.dtype)
    for i, j in product(range(2 * height), range(2 * width)):
        v, u = (i + 0.5) / 2 - 0.5, (j + 0.5) / 2 - 0.5
        for row, column in product(range(-1, height + 1), range(-1, width + 1)):
            weight = max(0.0, 1 - abs(v - row)) * max(0.0, 1 - abs(u - column))
            inside_NC = x_NCHW[:, :, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            y_NCHW[:, :, i, j] += weight * inside_NC
    return y_NCHW


def sums_by_loops(x_NCHW: Tensor) -> Tensor:
    """Channel g is the sum of the channels 4 g to 4 g + 3 that exist."""
    n, channels, height, width = x_NCHW.shape
    y_NCHW = torch.zeros(n, (channels + 3) // 4, height, width, dtype=x_NCHW.dtype)
    for c in range(channels):
        y_NCHW[:, c // 4] += x_NCHW[:, c]
    return y_NCHW


@pytest.mark.parametrize(("in_channels", "factor"), [(8, 2), (5, 2), (3, 2), (4, 4), (7, 4)])
def test_equals_interpolation_then_sum_then_convolution_by_loops(in_channels: int, factor: int) -> None:
    module = build_upsampler("bilinear_additive", in_channels, 6, factor).double()
    random_bias(module)
    expected_NCHW = x_NCHW = float64(2, in_channels, 2, 3)
    with torch.no_grad():
        for conv in (part for part in module.modules() if isinstance(part, nn.Conv2d)):
            assert conv.bias is not None
            summed_NCHW = sums_by_loops(bilinear_by_loops(expected_NCHW))
            expected_NCHW = convolved(summed_NCHW, conv.weight, conv.bias)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


@pytest.mark.parametrize(("in_channels", "groups"), [(8, 2), (9, 3), (3, 1)])
def test_cost_is_as_documented(in_channels: int, groups: int) -> None:
    module = build_upsampler("bilinear_additive", in_channels, 5)
    assert cost(module, torch.randn(1, in_channels, 4, 6)) == (9 * groups * 5, 36 * groups * 5)
