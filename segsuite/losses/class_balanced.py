"""Class-balanced cross entropy (Cui et al. 2019, "Class-balanced loss based on effective number of samples")."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segsuite.losses.base import Loss, check_length, check_range
from segsuite.losses.class_weights import class_weights
from segsuite.losses.pixels import Pixels


def class_balanced_cross_entropy(pixels: Pixels, weights_C: Tensor) -> Tensor:
    """Mean over the valid pixels of w[y] * -log p[y]."""
    check_length("pixel_counts", weights_C, pixels.num_classes)
    return pixels.mean(-pixels.log_p_NHW * pixels.look_up(weights_C))


class ClassBalancedCrossEntropy(Loss):
    """Mean over the valid pixels of w[y] * -log p[y], w[c] proportional to (1 - beta) / (1 - beta^n[c]) with mean 1
    over the classes that have pixels.

    n[c] is the number of training pixels of class c; (1 - beta^n) / (1 - beta) is what Cui et al. call the effective
    number of samples. With pixel counts of millions, beta must be as near to 1 as 1 - 1e-7 to make a difference. Unlike
    cross entropy with class weights, the sum is divided by the number of pixels, as by Cui et al.: a batch without rare
    classes has a smaller loss. pixel_counts: one number a class. beta: 0 to below 1; 0 is cross entropy.
    """

    class_weights_C: Tensor

    def __init__(self, pixel_counts: Sequence[float], beta: float = 1 - 1e-7, ignore_index: int = 255) -> None:
        super().__init__(ignore_index)
        check_range("beta", beta, 0, 1 - 1e-15)
        self.keep_per_class("pixel_counts", pixel_counts)
        weights = class_weights(list(pixel_counts), "effective_number", beta=beta, normalise="mean")
        self.register_buffer("class_weights_C", torch.tensor(weights, dtype=torch.float32), persistent=False)

    def of(self, pixels: Pixels) -> Tensor:
        return class_balanced_cross_entropy(pixels, self.class_weights_C)
