"""segsuite.encoders.windows: convolutions and poolings without stride, against the same ones with it."""

import copy

import pytest
import timm
import torch
from torch import nn

from segsuite.encoders.windows import Window, dense, shift_to_centre

WINDOWS_OF_ALL_KINDS = [
    nn.Conv2d(2, 3, 3, 2, 1), nn.Conv2d(2, 3, 2, 2), nn.Conv2d(2, 4, 5, 2, 2, groups=2), nn.Conv2d(2, 3, 1, 2),
    nn.Conv2d(2, 3, (1, 7), 1, (0, 3)), nn.Conv2d(2, 3, 4, 2, 1), nn.Conv2d(2, 3, 3, 1, "same"),
    nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2, 2), nn.AvgPool2d(2, 2), nn.AvgPool2d(3, 2, 1),
    nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    timm.layers.create_conv2d(2, 3, 3, stride=2, padding="same"),
    timm.layers.create_conv2d(2, 2, 5, stride=2, padding="same", depthwise=True),
]  # fmt: skip


@pytest.mark.parametrize("rate", [1, 2, 4])
@pytest.mark.parametrize("window", WINDOWS_OF_ALL_KINDS, ids=str)
def test_a_dense_window_gives_among_others_what_it_gave_before(window: Window, rate: int) -> None:
    coarse_NCHW = torch.randn(1, 2, 8, 12)
    for first in range(rate):
        fine_NCHW = torch.randn(1, 2, 8 * rate, 12 * rate)
        fine_NCHW[..., first::rate, first::rate] = coarse_NCHW
        for shift in {0, shift_to_centre(window, rate) // 2, shift_to_centre(window, rate)}:
            with torch.no_grad():
                expected = window(coarse_NCHW)
                found = dense(copy.deepcopy(window), rate, shift)(fine_NCHW)
            assert found.shape[-2:] == fine_NCHW.shape[-2:]
            step = rate * 8 // expected.shape[-2]
            start = first + shift if step > rate else first
            torch.testing.assert_close(found[..., start::step, start::step], expected)


@pytest.mark.parametrize("rate", [1, 2, 4])
@pytest.mark.parametrize("window", WINDOWS_OF_ALL_KINDS, ids=str)
def test_a_shifted_window_looks_as_far_to_the_left_as_to_the_right(window: Window, rate: int) -> None:
    moved = dense(copy.deepcopy(window), rate, shift_to_centre(window, rate))
    for parameter in moved.parameters():
        nn.init.constant_(parameter, float(parameter.ndim > 1))
    lines_NCHW = torch.eye(33)[:, None, None, :].repeat(1, 2, 33, 1)  # image i: column i
    for images_NCHW in (lines_NCHW, lines_NCHW.mT):
        with torch.no_grad():
            (seen,) = moved(images_NCHW)[:, 0, 16, 16].nonzero(as_tuple=True)
        assert int(seen.min() + seen.max()) in (32, 33)
