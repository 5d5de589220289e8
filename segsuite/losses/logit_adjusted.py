"""Logit-adjusted cross entropy (Menon et al. 2021, "Long-tail learning via logit adjustment")."""

from collections.abc import Sequence

from torch import Tensor

from segsuite.losses.base import Loss, check_length, check_range
from segsuite.losses.pixels import Pixels


def log_priors(pixel_counts_C: Tensor) -> Tensor:
    """log of each class's share of the pixels; a class without any counts as one pixel."""
    counts_C = pixel_counts_C.clamp_min(1.0)
    return (counts_C / counts_C.sum()).log()


def logit_adjusted_cross_entropy(pixels: Pixels, pixel_counts_C: Tensor, tau: float = 1.0) -> Tensor:
    """Mean over the valid pixels of -log softmax(z + tau * log prior)[y]."""
    check_length("pixel_counts", pixel_counts_C, pixels.num_classes)
    return pixels.mean(-pixels.shifted(tau * log_priors(pixel_counts_C)))


class LogitAdjustedCrossEntropy(Loss):
    """Cross entropy of the logits plus tau times the logarithm of the class's share of the training pixels.

    The network then learns logits whose arg-max minimises the balanced error; in prediction nothing is added. In a sum
    it has a softmax of its own, since its logits are others. pixel_counts: pixels (or any multiple of them) of each
    class in the training split; a class without pixels counts as one. tau: at least 0; 0 is cross entropy.
    """

    pixel_counts_C: Tensor

    def __init__(self, pixel_counts: Sequence[float], tau: float = 1.0, ignore_index: int = 255) -> None:
        super().__init__(ignore_index)
        check_range("tau", tau, 0)
        self.tau = tau
        self.keep_per_class("pixel_counts", pixel_counts)

    def of(self, pixels: Pixels) -> Tensor:
        return logit_adjusted_cross_entropy(pixels, self.pixel_counts_C, self.tau)
