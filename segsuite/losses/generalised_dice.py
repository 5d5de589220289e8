"""Generalised dice loss (Sudre et al. 2017, "Generalised dice overlap as a deep learning loss function for highly
unbalanced segmentations")."""

from torch import Tensor

from segsuite.errors import ConfigError, unknown_name
from segsuite.losses.base import Loss
from segsuite.losses.effective_batch import batch_share
from segsuite.losses.pixels import Pixels
from segsuite.losses.region import Regions, class_mean, ratio, regions

EXPONENTS = {"square": 2.0, "simple": 1.0, "uniform": 0.0}


def generalised_dice(sums: Regions, exponent: float = 2.0) -> Tensor:
    """1 - 2 sum_c w overlap / sum_c w (mass + count) of each image or of the batch (M, 1), w = 1 / count^exponent and 0
    for a class without pixels."""
    overlap_MC, mass_MC, count_MC = sums
    weight_MC = (count_MC > 0) * count_MC.clamp_min(1.0) ** -exponent
    numerator_M1 = 2 * (weight_MC * overlap_MC).sum(1, keepdim=True)
    return 1 - ratio(numerator_M1, (weight_MC * (mass_MC + count_MC)).sum(1, keepdim=True))


class GeneralisedDice(Loss):
    """1 - 2 sum_c w[c] sum(p t) / sum_c w[c] (sum p + sum t): one ratio of all classes, with w[c] = 1 / (sum t)^2.

    A class without a pixel has weight 0: probability on it costs only what it takes from the present classes. Sums are
    the batch's, or each image's with `per_image`, averaged over images. Additive with
    per_image, or with uniform weights, only. weights: `square` as in the paper, `simple` (1 / sum t) or `uniform`.
    """

    sums = True

    def __init__(self, weights: str = "square", per_image: bool = False, ignore_index: int = 255) -> None:
        super().__init__(ignore_index)
        if weights not in EXPONENTS:
            raise ConfigError(unknown_name("kind of weights", str(weights), EXPONENTS))
        self.exponent, self.per_image = EXPONENTS[weights], per_image
        # With uniform weights the denominator is twice the number of pixels, whatever is predicted.
        self.additive = per_image or weights == "uniform"

    def of(self, pixels: Pixels) -> Tensor:
        sums = regions(pixels, self.per_image)
        count_M1 = sums.count_MC.sum(1, keepdim=True)
        if self.per_image:
            return class_mean(generalised_dice(sums, self.exponent), count_M1, pixels.image_divisor)
        value = class_mean(generalised_dice(sums, self.exponent), count_M1)
        if self.additive:
            return value * (pixels.valid_count / pixels.divisor)
        return batch_share(value, self.ignore_index)
