"""Plain loops over pixels in float64 numpy: the independent references of the upsamplers with weights of their own a
pixel, written from the papers' formulas."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Floats = NDArray[np.float64]


def array(tensor: Tensor) -> Floats:
    return tensor.detach().double().numpy()


def conv_by_loops(x_CHW: Floats, conv: nn.Conv2d, bias: bool = True) -> Floats:
    """Square odd kernel, stride 1, zeros outside: one output pixel at a time."""
    weight_DCkk = array(conv.weight)
    margin = weight_DCkk.shape[-1] // 2
    _, height, width = x_CHW.shape
    y_DHW = np.zeros((weight_DCkk.shape[0], height, width))
    for i in range(height):
        for j in range(width):
            for row in range(max(0, i - margin), min(height, i + margin + 1)):
                for column in range(max(0, j - margin), min(width, j + margin + 1)):
                    y_DHW[:, i, j] += weight_DCkk[..., row - i + margin, column - j + margin] @ x_CHW[:, row, column]
    if bias and conv.bias is not None:
        y_DHW += array(conv.bias)[:, None, None]
    return y_DHW


def weighted_sum_by_loops(
    x_CHW: Floats, factor: int, log_weight: Callable[[int, int, int, int], float], zeros_outside: bool = False
) -> Floats:
    """Each fine pixel (i, j): the mean of its 5x5 coarse neighbours (row, column), weighted by exp(log_weight(i, j,
    row, column)); neighbours outside the map are left out, or count as zeros (mmcv's CARAFE)."""
    channels, height, width = x_CHW.shape
    y_CHW = np.zeros((channels, height * factor, width * factor))
    for i in range(height * factor):
        for j in range(width * factor):
            total = 0.0
            for row in range(i // factor - 2, i // factor + 3):
                for column in range(j // factor - 2, j // factor + 3):
                    inside = 0 <= row < height and 0 <= column < width
                    if inside or zeros_outside:
                        weight = np.exp(log_weight(i, j, row, column))
                        total += weight
                        if inside:
                            y_CHW[:, i, j] += weight * x_CHW[:, row, column]
            y_CHW[:, i, j] /= total
    return y_CHW
