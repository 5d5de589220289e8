"""Tversky loss (Salehi, Erdogmus, Gholipour 2017, "Tversky loss function for image segmentation using 3D fully
convolutional deep networks")."""

from collections.abc import Sequence

from torch import Tensor

from segsuite.losses.base import check_range
from segsuite.losses.region import RegionLoss, Regions, ratio


def tversky(sums: Regions, alpha: float = 0.3, beta: float = 0.7, smooth: float = 0.0) -> Tensor:
    """1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth) of each class (M, C)."""
    overlap_MC, mass_MC, count_MC = sums
    weighted_MC = overlap_MC + alpha * (mass_MC - overlap_MC) + beta * (count_MC - overlap_MC)
    return 1 - ratio(overlap_MC + smooth, weighted_MC + smooth)


class Tversky(RegionLoss):
    """Mean over classes of 1 - TP / (TP + alpha FP + beta FN), with TP = sum(p t), FP = sum(p (1 - t)) and
    FN = sum((1 - p) t), t the one-hot label.

    alpha = beta = 0.5 is dice (with smooth 0), alpha = beta = 1 is jaccard; beta above alpha favours recall, Salehi et
    al. take 0.3 and 0.7. alpha, beta: above 0. The other settings are those of RegionLoss.
    """

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        per_image: bool = False,
        average: str = "present",
        smooth: float = 0.0,
        class_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
    ) -> None:
        super().__init__(per_image, average, smooth, class_weights, ignore_index)
        check_range("alpha", alpha, 0, above=True)
        check_range("beta", beta, 0, above=True)
        self.alpha, self.beta = alpha, beta

    def of_regions(self, regions: Regions) -> Tensor:
        return tversky(regions, self.alpha, self.beta, self.smooth)
