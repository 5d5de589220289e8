"""Focal Tversky loss (Abraham and Khan 2019, "A novel focal Tversky loss function with improved attention U-Net for
lesion segmentation")."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segsuite.losses.base import check_range
from segsuite.losses.region import Regions
from segsuite.losses.tversky import Tversky, tversky

SMALLEST = 1e-7


def power(loss: Tensor, exponent: float) -> Tensor:
    """loss^exponent for loss >= 0, continued below 1e-7 by the line to 0: the slope of a root at 0 is infinite."""
    line = loss * SMALLEST ** (exponent - 1)
    return torch.where(loss < SMALLEST, line, loss.clamp_min(SMALLEST) ** exponent)


def focal_tversky(
    sums: Regions, alpha: float = 0.3, beta: float = 0.7, gamma: float = 4 / 3, smooth: float = 0.0
) -> Tensor:
    """(Tversky loss)^(1 / gamma) of each class (M, C)."""
    return power(tversky(sums, alpha, beta, smooth), 1 / gamma)


class FocalTversky(Tversky):
    """Mean over classes of (1 - Tversky index)^(1 / gamma): with gamma above 1, classes that are nearly right get a
    steeper slope than by the Tversky loss, and hard classes a flatter one, as in the paper, which takes 4/3.

    alpha weighs false positives and beta false negatives, as in the Tversky loss (Abraham and Khan call them the other
    way round). gamma: above 0; 1 is the Tversky loss.
    """

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 4 / 3,
        per_image: bool = False,
        average: str = "present",
        smooth: float = 0.0,
        class_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
    ) -> None:
        super().__init__(alpha, beta, per_image, average, smooth, class_weights, ignore_index)
        check_range("gamma", gamma, 0, above=True)
        self.gamma = gamma

    def of_regions(self, regions: Regions) -> Tensor:
        return focal_tversky(regions, self.alpha, self.beta, self.gamma, self.smooth)
