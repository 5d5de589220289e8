"""Soft Jaccard loss (Rahman and Wang 2016, "Optimizing intersection-over-union in deep neural networks for image
segmentation")."""

from torch import Tensor

from segsuite.losses.region import RegionLoss, Regions, ratio


def jaccard(sums: Regions, smooth: float = 0.0) -> Tensor:
    """1 - (overlap + smooth) / (mass + count - overlap + smooth) of each class (M, C)."""
    union_MC = sums.mass_MC + sums.count_MC - sums.overlap_MC
    return 1 - ratio(sums.overlap_MC + smooth, union_MC + smooth)


class Jaccard(RegionLoss):
    """Mean over classes of 1 - sum(p t) / (sum p + sum t - sum(p t)), t the one-hot label; with `squared`, p^2 in the
    place of the lone p.

    The settings are those of RegionLoss.
    """

    def of_regions(self, regions: Regions) -> Tensor:
        return jaccard(regions, self.smooth)
