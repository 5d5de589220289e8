"""Which elements of its input each element of a window's output reads, along one axis: (outputs, most taps), -1 where
there is none."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

SMALLEST_WEIGHT = 1e-6
"""An interpolation that gives a pixel less than this gives it 0, but for rounding."""


def of_window(inputs: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> Tensor:
    """Of a convolution or pooling: output o reads o * stride - padding + t * dilation, as far as that is inside.

    >>> of_window(4, 2, 3, 2, 1, 1).tolist()
    [[-1, 0, 1], [1, 2, 3]]
    """
    places = torch.arange(outputs)[:, None] * stride - padding + torch.arange(kernel) * dilation
    return places.masked_fill((places < 0) | (places >= inputs), -1)


def of_transposed(inputs: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> Tensor:
    """Of a transposed convolution: input i reaches i * stride - padding + t * dilation.

    >>> of_transposed(2, 3, 3, 2, 1, 1).tolist()
    [[-1, 0, -1], [1, -1, 0], [-1, 1, -1]]
    """
    reached = torch.arange(outputs)[:, None] + padding - torch.arange(kernel) * dilation
    places = reached.div(stride, rounding_mode="floor")
    return places.masked_fill((reached % stride != 0) | (places < 0) | (places >= inputs), -1)


@cache
def of_resize(inputs: int, outputs: int, mode: str, align_corners: bool | None, scale: float | None) -> Tensor:
    """Of F.interpolate along one axis, found by what it makes of single ones. scale: as it was given, if it was."""
    ones_1NN1 = torch.eye(inputs).view(1, inputs, inputs, 1)
    size, factors = ((outputs, 1), None) if scale is None else (None, (scale, 1.0))
    if mode == "nearest":
        align_corners = None
    made_NM = F.interpolate(ones_1NN1, size, factors, mode, align_corners)[0, :, :, 0]
    return _of_weights(made_NM.T)


def of_padding(inputs: int, before: int, after: int, mode: str) -> Tensor:
    """Of a border that repeats (replicate), mirrors (reflect) or continues (circular) the input."""
    places = F.pad(torch.arange(float(inputs)).view(1, 1, inputs), (before, after), mode)
    return places.flatten().long()[:, None]


def _of_weights(weights_MN: Tensor) -> Tensor:
    """The taps of a linear map: from its first weight to its last one."""
    used = weights_MN.abs() > SMALLEST_WEIGHT
    first = used.int().argmax(1, keepdim=True)
    last = used.shape[1] - 1 - used.flip(1).int().argmax(1, keepdim=True)
    places = first + torch.arange(int((last - first).max()) + 1)
    return places.masked_fill((places > last) | ~used.any(1, keepdim=True), -1)
