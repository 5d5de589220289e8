"""Soft dice loss (Milletari, Navab, Ahmadi 2016, "V-Net"; Drozdzal et al. 2016 without squares)."""

from torch import Tensor

from segsuite.losses.region import RegionLoss, Regions, ratio


def dice(sums: Regions, smooth: float = 0.0) -> Tensor:
    """1 - (2 overlap + smooth) / (mass + count + smooth) of each class (M, C)."""
    return 1 - ratio(2 * sums.overlap_MC + smooth, sums.mass_MC + sums.count_MC + smooth)


class Dice(RegionLoss):
    """Mean over classes of 1 - 2 sum(p t) / (sum p + sum t), t the one-hot label; with `squared`, V-Net's
    1 - 2 sum(p t) / (sum p^2 + sum t).

    The settings are those of RegionLoss.
    """

    def of_regions(self, regions: Regions) -> Tensor:
        return dice(regions, self.smooth)
