"""Cross entropy of the hardest share of the pixels (Wu, Shen, van den Hengel 2016, "Bridging category-level and
instance-level semantic image segmentation", section 3.2; TopKLoss of nnU-Net)."""

from collections.abc import Sequence

from torch import Tensor

from segsuite.losses.base import Loss, check_length, check_range
from segsuite.losses.hardest import mean_of_hardest, share_of
from segsuite.losses.pixels import Pixels


def topk_cross_entropy(pixels: Pixels, fraction: float = 0.1, weights_C: Tensor | None = None) -> Tensor:
    """Weighted mean of -log p[y] over the `fraction` of the valid pixels where it is largest."""
    check_length("class_weights", weights_C, pixels.num_classes)
    weights_NHW = None if weights_C is None else pixels.look_up(weights_C)
    return mean_of_hardest(-pixels.log_p_NHW, pixels, share_of(pixels, fraction), weights_NHW)


class TopkCrossEntropy(Loss):
    """Mean of -log p[y] over the `fraction` of the batch's valid pixels with the largest -log p[y].

    Not additive: which pixels are the hardest depends on the whole batch. Pixels are chosen without class_weights,
    which then weight the mean. fraction: above 0, at most 1; 1 is cross entropy.
    """

    additive = False
    class_weights_C: Tensor | None

    def __init__(
        self, fraction: float = 0.1, class_weights: Sequence[float] | None = None, ignore_index: int = 255
    ) -> None:
        super().__init__(ignore_index)
        check_range("fraction", fraction, 0, 1, above=True)
        self.fraction = fraction
        self.keep_per_class("class_weights", class_weights)

    def of(self, pixels: Pixels) -> Tensor:
        return topk_cross_entropy(pixels, self.fraction, self.class_weights_C)
