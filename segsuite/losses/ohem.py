"""Cross entropy with online hard example mining (Shrivastava, Gupta, Girshick 2016, in the form that segmentation uses:
a threshold on the probability and a minimum kept, as in OCNet, BiSeNet and mmsegmentation)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segsuite.losses.base import Loss, check_length, check_range
from segsuite.losses.hardest import mean_of_hardest, share_of
from segsuite.losses.pixels import Pixels
from segsuite.losses.ranks import over_ranks


def ohem_cross_entropy(
    pixels: Pixels, threshold: float = 0.7, min_kept_fraction: float = 0.0625, weights_C: Tensor | None = None
) -> Tensor:
    """Weighted mean of -log p[y] over the pixels with p[y] < threshold, or over the `min_kept_fraction` of the valid
    pixels with the smallest p[y] if these are more."""
    check_length("class_weights", weights_C, pixels.num_classes)
    log_p_NHW = pixels.log_p_NHW
    hard = ((log_p_NHW.detach().exp() < threshold) & pixels.valid_NHW).sum()
    keep = torch.maximum(over_ranks(hard.double()), share_of(pixels, min_kept_fraction))
    return mean_of_hardest(-log_p_NHW, pixels, keep, None if weights_C is None else pixels.look_up(weights_C))


class OhemCrossEntropy(Loss):
    """Mean of -log p[y] over the batch's pixels with p[y] < threshold, but at least over the hardest
    `min_kept_fraction` of the valid ones.

    Not additive: which pixels are kept, and how many, depends on the whole batch. The minimum is a share, not a number
    of pixels, so that it means the same for every crop. Pixels are chosen without class_weights, which then weight the
    mean. threshold: 0..1. min_kept_fraction: 0..1; at least one pixel is kept.
    """

    additive = False
    class_weights_C: Tensor | None

    def __init__(
        self,
        threshold: float = 0.7,
        min_kept_fraction: float = 0.0625,
        class_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
    ) -> None:
        super().__init__(ignore_index)
        check_range("threshold", threshold, 0, 1)
        check_range("min_kept_fraction", min_kept_fraction, 0, 1)
        self.threshold, self.min_kept_fraction = threshold, min_kept_fraction
        self.keep_per_class("class_weights", class_weights)

    def of(self, pixels: Pixels) -> Tensor:
        return ohem_cross_entropy(pixels, self.threshold, self.min_kept_fraction, self.class_weights_C)
