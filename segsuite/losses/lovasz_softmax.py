"""Lovasz-softmax (Berman, Triki, Blaschko 2018, "The Lovasz-softmax loss: a tractable surrogate for the optimization of
the intersection-over-union measure in neural networks", equation 11)."""

import torch
from torch import Tensor

from segsuite.errors import ConfigError, unknown_name
from segsuite.losses.base import Loss
from segsuite.losses.effective_batch import batch_share
from segsuite.losses.pixels import Pixels
from segsuite.losses.probability_slopes import with_slopes
from segsuite.losses.ranks import gathered, over_ranks, own_part, world_size
from segsuite.losses.region import AVERAGES, average_weights

SORTED_AT_ONCE = 2**25  # errors, on a GPU


def lovasz_softmax(pixels: Pixels, per_image: bool = False, average: str = "present") -> Tensor:
    """Mean over classes of the Lovasz extension of 1 - J at the errors |t - p|; of the batch, or of each image.

    Of a batch that ranks share, each rank sorts all pixels: no sum could tell their order.
    """
    count_MC = pixels.count_NC if per_image else over_ranks(pixels.count_NC.sum(0, keepdim=True))
    weights_MC = average_weights(count_MC, pixels.image_divisor if per_image else None, average)
    whole, own = (torch.flatten, torch.Tensor.contiguous) if per_image else (gathered, own_part)
    p_NCHW = pixels.probabilities()
    value = p_NCHW.new_zeros(())
    for m in range(len(count_MC)):
        images = slice(m, m + 1) if per_image else slice(None)
        labels = whole(pixels.labels_NHW[images])
        valid = labels != pixels.ignore_index
        some = 1 if pixels.on_cpu else max(1, SORTED_AT_ONCE // len(labels))
        for first in range(0, pixels.num_classes, some):
            classes = range(first, min(pixels.num_classes, first + some))
            p_kP = torch.stack([whole(p_NCHW[images, label]) for label in classes])
            ids_k1 = torch.arange(classes.start, classes.stop, device=labels.device)[:, None]
            of_classes_k, slopes_kP = lovasz_of_classes(p_kP, (labels == ids_k1) & valid, valid)
            weights_k = weights_MC[m, classes.start : classes.stop]
            value = value + (weights_k * of_classes_k).sum()
            # The slopes take the place of the probabilities, so that one tensor of this size is enough.
            for label, weight, slopes_P in zip(classes, weights_k, slopes_kP, strict=True):
                p_NCHW[images, label] = (weight * own(slopes_P)).view(p_NCHW[images, label].shape)
    value = over_ranks(with_slopes(pixels, value if per_image else value / world_size(), p_NCHW))
    return value if per_image else batch_share(value, pixels.ignore_index)


def lovasz_of_classes(p_kP: Tensor, is_label_kP: Tensor, valid_P: Tensor) -> tuple[Tensor, Tensor]:
    """The Lovasz extension of the Jaccard loss of each of some classes (k,) at the errors |is_label - p| of the valid
    pixels, and its slopes to p (k, P). For a class without pixels it is the largest error.

    With the errors in descending order it is the sum of error times the step of 1 - J when the pixel is got wrong too.
    Berman et al. take differences of 1 - J; here each step is its exact quotient, since the differences of numbers near
    1 lose most digits in fp32.
    """
    errors, order = torch.where(is_label_kP, 1 - p_kP, p_kP).masked_fill(~valid_P, -1.0).sort(descending=True)
    of_label, counted = is_label_kP.gather(1, order), valid_P[order]
    # pixels of the class that are not yet wrong
    right = of_label.sum(1, keepdim=True) - of_label.cumsum(1)
    union = right + torch.arange(1, p_kP.shape[1] + 1, device=p_kP.device)
    union, right = union.to(p_kP.dtype), right.to(p_kP.dtype)
    steps = torch.where(of_label, 1 / union, right / (union * (union - 1).clamp_min(1)))
    steps[:, 0] = torch.where(of_label.any(1), steps[:, 0], 1.0)
    steps = steps * counted
    slopes = torch.empty_like(p_kP)
    slopes[torch.arange(len(p_kP), device=p_kP.device)[:, None], order] = torch.where(of_label, -steps, steps)
    return (torch.where(counted, errors, 0.0) * steps).sum(1), slopes


class LovaszSoftmax(Loss):
    """Mean over classes of the Lovasz extension of the Jaccard loss 1 - J at the errors |t - p|, t the one-hot label.

    For hard predictions it is 1 - J. per_image: of each image, averaged over images with a valid pixel, instead of the
    whole batch. average: `present` averages over the classes with a pixel in the image (or batch); `all` over all, an
    absent class then costs its largest probability. Additive with per_image only.
    """

    def __init__(self, per_image: bool = False, average: str = "present", ignore_index: int = 255) -> None:
        super().__init__(ignore_index)
        if average not in AVERAGES:
            raise ConfigError(unknown_name("average", str(average), AVERAGES))
        self.per_image, self.average, self.additive = per_image, average, per_image

    def of(self, pixels: Pixels) -> Tensor:
        return lovasz_softmax(pixels, self.per_image, self.average)
