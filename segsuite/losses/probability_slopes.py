"""A loss given by its value and its slopes to the probabilities, for losses that read p as a whole."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from segsuite.losses.pixels import Pixels
from segsuite.losses.strips import Strip, strips


def with_slopes(pixels: Pixels, value: Tensor, slopes_NCHW: Tensor) -> Tensor:
    """`value` (a scalar) with the gradient to the logits that follows from d value / d p = `slopes_NCHW`.

    Like softmax_sums this goes through the images in strips, twice differentiable neither.
    """
    result: Tensor = _WithSlopes.apply(pixels.logits_NCHW, pixels.labels_NHW, pixels.ignore_index, value, slopes_NCHW)
    return result


class _WithSlopes(Function):
    @staticmethod
    def forward(
        ctx: Any, logits_NCHW: Tensor, labels_NHW: Tensor, ignore_index: int, value: Tensor, slopes_NCHW: Tensor
    ) -> Tensor:
        ctx.save_for_backward(logits_NCHW, labels_NHW, slopes_NCHW)
        ctx.ignore_index = ignore_index
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        logits_NCHW, labels_NHW, slopes_NCHW = ctx.saved_tensors
        gradient_NCHW = torch.empty_like(logits_NCHW)
        for images, rows in strips(logits_NCHW):
            strip = Strip(logits_NCHW, labels_NHW, ctx.ignore_index, images, rows)
            p_nCP = strip.softmax()
            slopes_nCP = slopes_NCHW[images, :, rows].reshape(p_nCP.shape) * (strip.valid_nP[:, None] * gradient)
            p_nCP.mul_(slopes_nCP - (p_nCP * slopes_nCP).sum(1, keepdim=True))
            gradient_NCHW[images, :, rows] = p_nCP.view(strip.shape)
        return gradient_NCHW, None, None, None, None
