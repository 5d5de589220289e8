"""DySample against loops that sample bilinearly point by point, and its start as bilinear interpolation."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from segsuite.upsamplers.dysample import DySample, DySampleStep
from tests.upsamplers.plain_loops import Floats, array, conv_by_loops


def step_with_bias(in_channels: int, out_channels: int) -> DySampleStep:
    """One step in float64 with offsets of about a pixel."""
    torch.manual_seed(0)
    step = DySample(in_channels, out_channels).double().steps[0]
    assert isinstance(step, DySampleStep)
    for parameter in step.parameters():
        torch.nn.init.normal_(parameter)
    return step


def sampled(x_CHW: Floats, row: float, column: float) -> Floats:
    """Bilinear value at a place in pixels (0 is the first pixel's centre), the edge pixels repeated outside."""
    _, height, width = x_CHW.shape
    row, column = min(max(row, 0.0), height - 1.0), min(max(column, 0.0), width - 1.0)
    top, left = math.floor(row), math.floor(column)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = row - top, column - left
    upper = (1 - u) * x_CHW[:, top, left] + u * x_CHW[:, top, right]
    lower = (1 - u) * x_CHW[:, bottom, left] + u * x_CHW[:, bottom, right]
    return (1 - v) * upper + v * lower


def dysample_by_loops(x_NCHW: Tensor, step: DySampleStep) -> Floats:
    images = []
    for unmapped_CHW in array(x_NCHW):
        x_CHW = conv_by_loops(unmapped_CHW, step.project)
        offset_CHW = conv_by_loops(x_CHW, step.offset)
        channels, height, width = x_CHW.shape
        members = channels // step.groups
        y_CHW = np.zeros((channels, 2 * height, 2 * width))
        for i in range(2 * height):
            for j in range(2 * width):
                for g in range(step.groups):
                    phase = 2 * (i % 2) + j % 2
                    dx = 0.25 * offset_CHW[4 * g + phase, i // 2, j // 2]
                    dy = 0.25 * offset_CHW[4 * (step.groups + g) + phase, i // 2, j // 2]
                    group = slice(g * members, (g + 1) * members)
                    y_CHW[group, i, j] = sampled(x_CHW[group], (i + 0.5) / 2 - 0.5 + dy, (j + 0.5) / 2 - 0.5 + dx)
        images.append(y_CHW)
    return np.stack(images)


@pytest.mark.parametrize(("out_channels", "height_width"), [(8, (3, 4)), (2, (5, 3)), (3, (1, 2))])
def test_step_equals_the_loops(out_channels: int, height_width: tuple[int, int]) -> None:
    step, x_NCHW = step_with_bias(3, out_channels), torch.randn(2, 3, *height_width, dtype=torch.float64)
    np.testing.assert_allclose(array(step(x_NCHW)), dysample_by_loops(x_NCHW, step), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("height_width", [(1, 1), (4, 5), (61, 80)])
def test_zero_offsets_are_bilinear_interpolation(height_width: tuple[int, int]) -> None:
    step, x_NCHW = step_with_bias(3, 4), torch.randn(2, 3, *height_width, dtype=torch.float64)
    torch.nn.init.zeros_(step.offset.weight)
    torch.nn.init.zeros_(step.offset.bias)
    expected_NCHW = F.interpolate(step.project(x_NCHW), scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(step(x_NCHW), expected_NCHW, rtol=1e-12, atol=1e-12)


def test_starts_within_a_hundredth_of_a_pixel_of_bilinear() -> None:
    step = DySample(64, 64).steps[0]
    assert isinstance(step, DySampleStep)
    points_MHWxy = step.points(torch.randn(2, 64, 8, 8))
    rows_HW = torch.arange(16).expand(16, 16)
    pixels_HWxy = torch.stack([rows_HW, rows_HW.T], dim=-1)
    moved_MHWxy = (points_MHWxy + 1) * 4 - (pixels_HWxy + 0.5) / 2
    assert 0 < moved_MHWxy.abs().max() < 0.015


@pytest.mark.parametrize(("channels", "groups"), [(64, 4), (6, 3), (2, 2), (11, 1)])
def test_groups_divide_the_channels(channels: int, groups: int) -> None:
    assert DySampleStep(3, channels).groups == groups


def test_constant_stays_constant_up_to_the_border_whatever_the_offsets() -> None:
    step, x_NCHW = step_with_bias(3, 4), torch.randn(1, 3, 1, 1, dtype=torch.float64).expand(1, 3, 4, 6)
    assert (step(x_NCHW) - step.project(x_NCHW)[..., :1, :1]).abs().max() < 1e-12


def test_places_are_exact_in_bf16_on_wide_maps() -> None:
    step, x_NCHW = DySampleStep(1, 1).bfloat16(), torch.randn(1, 1, 2, 600).bfloat16()
    torch.nn.init.zeros_(step.offset.weight)
    torch.nn.init.zeros_(step.offset.bias)
    x_pixels = (step.points(x_NCHW)[0, 0, :, 0].double() + 1) * 300
    torch.testing.assert_close(x_pixels, (torch.arange(1200).double() + 0.5) / 2, atol=1e-3, rtol=0)


def test_cost_is_the_formula_of_the_docstring() -> None:
    step = DySampleStep(16, 32)
    assert sum(p.numel() for p in step.parameters()) == 32 * 17 + 8 * 4 * 33
    with FlopCounterMode(display=False) as counter:
        step(torch.randn(1, 16, 4, 4))
    # grid_sample is not counted: 16 D of the formula
    assert counter.get_total_flops() / 2 / 16 == 16 * 32 + 8 * 4 * 32
