"""Recall loss (Tian et al. 2022, "Striking the right balance: recall loss for semantic segmentation")."""

from torch import Tensor

from segsuite.losses.base import Loss
from segsuite.losses.pixels import Pixels
from segsuite.losses.ranks import over_ranks


def recall_weighted_cross_entropy(pixels: Pixels) -> Tensor:
    """Mean over the valid pixels of (1 - recall[y]) * -log p[y]."""
    missed_NHW = (pixels.prediction_NHW != pixels.labels_NHW).to(pixels.dtype)
    count_C = over_ranks(pixels.count_NC.sum(0))
    weights_C = over_ranks(pixels.class_sums(missed_NHW)).clamp_min(1.0) / count_C.clamp_min(1.0)
    return pixels.mean(-pixels.log_p_NHW * pixels.look_up(weights_C))


class RecallWeightedCrossEntropy(Loss):
    """Mean over the valid pixels of (1 - recall[y]) * -log p[y], with the recall of each class in this batch.

    No gradient flows through the recall. As in the authors' code a class counts as missed at least once, so that a
    class which the batch gets right keeps a small weight (1 / its pixels). Not additive: the recall is the batch's.
    """

    additive = False

    def of(self, pixels: Pixels) -> Tensor:
        return recall_weighted_cross_entropy(pixels)
