"""Poly-1 cross entropy (Leng et al. 2022, "PolyLoss")."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segsuite.losses.base import Loss, check_range
from segsuite.losses.cross_entropy import weighted_mean
from segsuite.losses.pixels import Pixels


def poly_cross_entropy(pixels: Pixels, epsilon: float = 1.0, weights_C: Tensor | None = None) -> Tensor:
    """Weighted mean over the valid pixels of -log p[y] + epsilon * (1 - p[y])."""
    log_p_NHW = pixels.log_p_NHW
    return weighted_mean(-log_p_NHW - epsilon * torch.expm1(log_p_NHW), pixels, weights_C)


class PolyCrossEntropy(Loss):
    """Cross entropy whose first polynomial coefficient is 1 + epsilon: -log p[y] + epsilon * (1 - p[y]).

    Cross entropy is the sum over j of (1 - p)^j / j; epsilon above 0 adds to the part that is linear in p. epsilon 0 is
    cross entropy. epsilon: at least -1, below which a wrong pixel would be rewarded; class_weights as of cross entropy.
    """

    class_weights_C: Tensor | None

    def __init__(
        self, epsilon: float = 1.0, class_weights: Sequence[float] | None = None, ignore_index: int = 255
    ) -> None:
        super().__init__(ignore_index)
        check_range("epsilon", epsilon, -1)
        self.epsilon = epsilon
        self.keep_per_class("class_weights", class_weights)

    def of(self, pixels: Pixels) -> Tensor:
        return poly_cross_entropy(pixels, self.epsilon, self.class_weights_C)
