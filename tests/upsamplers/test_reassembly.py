"""The weighted sum over a k x k neighbourhood, its softmax at the border, and the order of phases."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segsuite.upsamplers.reassembly import join_phases, reassemble, softmax_inside, split_phases, windows


def test_windows_equal_unfold() -> None:
    x_NCHW = torch.randn(2, 3, 4, 5)
    unfolded_NCTHW = F.unfold(x_NCHW, 5, padding=2).view(2, 3, 25, 4, 5)
    assert torch.equal(windows(x_NCHW, 5), unfolded_NCTHW.permute(0, 3, 4, 2, 1))


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_phases_are_those_of_pixel_unshuffle(factor: int) -> None:
    x_NCHW = torch.randn(2, 3, 4 * factor, 5 * factor)
    unshuffled_NCPHW = F.pixel_unshuffle(x_NCHW, factor).view(2, 3, factor**2, 4, 5)
    assert torch.equal(split_phases(x_NCHW, factor), unshuffled_NCPHW.permute(0, 3, 4, 2, 1))


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_joining_undoes_splitting(factor: int) -> None:
    x_NCHW = torch.randn(2, 3, 4 * factor, 5 * factor)
    assert torch.equal(join_phases(split_phases(x_NCHW, factor), factor), x_NCHW)


@pytest.mark.parametrize("height_width", [(1, 1), (1, 4), (2, 3), (6, 5)])
def test_weights_are_a_softmax_over_the_taps_inside(height_width: tuple[int, int]) -> None:
    height, width = height_width
    logits_NHWPT = torch.randn(1, height, width, 4, 25, dtype=torch.float64)
    expected_NHWPT = np.zeros(logits_NHWPT.shape)
    for i in range(height):
        for j in range(width):
            inside = [t for t in range(25) if 0 <= i + t // 5 - 2 < height and 0 <= j + t % 5 - 2 < width]
            exponentials = np.exp(logits_NHWPT[0, i, j][:, inside].numpy())
            expected_NHWPT[0, i, j][:, inside] = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax_inside(logits_NHWPT).numpy(), expected_NHWPT, rtol=1e-12)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_memory_format_of_the_input_is_kept(memory_format: torch.memory_format) -> None:
    x_NCHW = torch.randn(2, 3, 4, 5).contiguous(memory_format=memory_format)
    y_NCHW = reassemble(x_NCHW, torch.rand(2, 4, 5, 4, 25), 2)
    assert y_NCHW.is_contiguous(memory_format=memory_format)


def test_weights_that_pick_one_tap_move_the_map_by_a_pixel() -> None:
    x_NCHW, weights_NHWPT = torch.randn(1, 2, 4, 5), torch.zeros(1, 4, 5, 9, 9)
    weights_NHWPT[..., 5] = 1  # row 1, column 2 of the 3x3 window: the right neighbour
    y_NCHW = reassemble(x_NCHW, weights_NHWPT, 3)
    expected_NCHW = F.pad(x_NCHW, (0, 1))[..., 1:].repeat_interleave(3, dim=2).repeat_interleave(3, dim=3)
    assert torch.equal(y_NCHW, expected_NCHW)
