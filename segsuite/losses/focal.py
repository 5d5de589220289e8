"""Focal loss of the softmax (Lin et al. 2017, "Focal loss for dense object detection", equation 5)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segsuite.losses.base import Loss, check_length, check_range
from segsuite.losses.pixels import Pixels

SMALLEST_GAP = 1e-12


def focal(pixels: Pixels, gamma: float = 2.0, alpha_C: Tensor | None = None) -> Tensor:
    """Mean over the valid pixels of alpha[y] * (1 - p[y])^gamma * -log p[y]."""
    check_length("alpha", alpha_C, pixels.num_classes)
    loss_NHW = focal_term(pixels.log_p_NHW, gamma)
    return pixels.mean(loss_NHW if alpha_C is None else loss_NHW * pixels.look_up(alpha_C))


def focal_term(log_p_NHW: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma * -log p of each pixel, from log p of its label."""
    if gamma == 0:
        return -log_p_NHW
    gap_NHW = -torch.expm1(log_p_NHW)  # 1 - p without cancellation
    if gamma < 1:
        # The slope of gap^gamma at 0 is infinite, and times -log p = 0 would be NaN (pixels without any doubt).
        gap_NHW = gap_NHW.clamp_min(SMALLEST_GAP)
    return -(gap_NHW**gamma) * log_p_NHW


class Focal(Loss):
    """Mean over the valid pixels of alpha[y] * (1 - p[y])^gamma * -log p[y], p the softmax.

    gamma 0 without alpha is cross entropy. With alpha the divisor stays the number of valid pixels (Lin et al. use the
    number of boxes), so alpha also scales the loss; cross entropy with class weights divides by their sum instead.

    gamma: at least 0, Lin et al. take 2. alpha: one number >= 0 a class, None for all 1.
    """

    alpha_C: Tensor | None

    def __init__(self, gamma: float = 2.0, alpha: Sequence[float] | None = None, ignore_index: int = 255) -> None:
        super().__init__(ignore_index)
        check_range("gamma", gamma, 0)
        self.gamma = gamma
        self.keep_per_class("alpha", alpha)

    def of(self, pixels: Pixels) -> Tensor:
        return focal(pixels, self.gamma, self.alpha_C)
