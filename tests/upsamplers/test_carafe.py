"""CARAFE against loops from the paper's definition, and its cost."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from segsuite.upsamplers.carafe import Carafe, CarafeStep
from tests.upsamplers.plain_loops import Floats, array, conv_by_loops, weighted_sum_by_loops


def step_with_bias(in_channels: int, out_channels: int) -> CarafeStep:
    """One step in float64 with kernels far from uniform and biases that are not zero."""
    torch.manual_seed(0)
    step = Carafe(in_channels, out_channels).double().steps[0]
    assert isinstance(step, CarafeStep)
    for parameter in step.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return step


def carafe_by_loops(x_NCHW: Tensor, step: CarafeStep, zeros_outside: bool = False) -> Floats:
    """The convolution to out_channels after the reassembly, unlike the module."""
    images = []
    for x_CHW in array(x_NCHW):
        code_CHW = conv_by_loops(conv_by_loops(x_CHW, step.compressor), step.encoder)

        def log_weight(i: int, j: int, row: int, column: int, code_CHW: Floats = code_CHW) -> float:
            phase, tap = 2 * (i % 2) + j % 2, 5 * (row - i // 2 + 2) + column - j // 2 + 2
            return code_CHW[25 * phase + tap, i // 2, j // 2]

        images.append(conv_by_loops(weighted_sum_by_loops(x_CHW, 2, log_weight, zeros_outside), step.project))
    return np.stack(images)


@pytest.mark.parametrize("height_width", [(3, 4), (1, 1), (6, 7)])
def test_step_equals_the_loops(height_width: tuple[int, int]) -> None:
    step, x_NCHW = step_with_bias(3, 2), torch.randn(2, 3, *height_width, dtype=torch.float64)
    np.testing.assert_allclose(array(step(x_NCHW)), carafe_by_loops(x_NCHW, step), rtol=1e-9, atol=1e-12)


def test_interior_equals_zeros_outside_as_mmcv_reads_them() -> None:
    step, x_NCHW = step_with_bias(3, 2), torch.randn(1, 3, 7, 6, dtype=torch.float64)
    mmcv_NCHW = carafe_by_loops(x_NCHW, step, zeros_outside=True)
    difference_NCHW = np.abs(array(step(x_NCHW)) - mmcv_NCHW)
    assert difference_NCHW[..., 4:-4, 4:-4].max() < 1e-12
    assert difference_NCHW[..., :4, :].min() > 0


def test_constant_stays_constant_up_to_the_border_whatever_the_kernels() -> None:
    step, x_NCHW = step_with_bias(3, 2), torch.randn(1, 3, 1, 1, dtype=torch.float64).expand(1, 3, 4, 6)
    y_NCHW = step(x_NCHW)
    assert (y_NCHW - step.project(x_NCHW)[..., :1, :1]).abs().max() < 1e-12


def test_starts_near_the_mean_of_the_5x5_neighbours() -> None:
    module, x_NCHW = Carafe(4, 4), torch.randn(1, 4, 5, 5)
    centre_NC = module(x_NCHW)[:, :, 4:6, 4:6].mean(dim=(2, 3))
    mean_NC = module.steps[0].project(x_NCHW).mean(dim=(2, 3))  # type: ignore[operator]
    torch.testing.assert_close(centre_NC, mean_NC, atol=0.05, rtol=0)


def test_operations_at_256_channels_are_those_of_the_paper() -> None:
    step, x_NCHW = CarafeStep(256, 256), torch.randn(1, 256, 8, 8)
    with FlopCounterMode(display=False) as counter:
        step(x_NCHW)
    biases = 2 * (step.compressor.out_channels + step.encoder.out_channels)
    projection = 2 * 256 * 256
    assert counter.get_total_flops() / 64 - projection + biases == 199_496


@pytest.mark.parametrize(("in_channels", "out_channels"), [(256, 128), (16, 32)])
def test_cost_is_the_formula_of_the_docstring(in_channels: int, out_channels: int) -> None:
    c, d, m = in_channels, out_channels, min(64, in_channels)
    step, x_NCHW = CarafeStep(c, d), torch.randn(1, c, 4, 4)
    with FlopCounterMode(display=False) as counter:
        step(x_NCHW)
    assert sum(p.numel() for p in step.parameters()) == m * (c + 1) + 100 * (9 * m + 1) + d * (c + 1)
    assert counter.get_total_flops() / 2 / 16 == c * m + 900 * m + c * d + 100 * d
