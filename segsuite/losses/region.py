"""What losses on overlapping regions (dice and its kin) share: sums over the batch, an image or all ranks, and the
average over classes."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from segsuite.errors import ConfigError, unknown_name
from segsuite.losses.base import Loss, check_length, check_range
from segsuite.losses.effective_batch import batch_share
from segsuite.losses.pixels import Pixels
from segsuite.losses.ranks import over_ranks

AVERAGES = ("present", "all")


class Regions(NamedTuple):
    """Sums over valid pixels, (M, C) with M images or 1 for the batch: of p at the pixels of the class, of p (or p
    squared), and the number of pixels of the class."""

    overlap_MC: Tensor
    mass_MC: Tensor
    count_MC: Tensor


def regions(pixels: Pixels, per_image: bool = False, squared: bool = False) -> Regions:
    """The sums of each image, or of the whole batch, of all ranks."""
    mass_NC = pixels.squares_NC if squared else pixels.mass_NC
    sums = Regions(pixels.overlap_NC, mass_NC, pixels.count_NC)
    if per_image:
        return sums
    whole_3C = over_ranks(torch.stack([value.sum(0) for value in sums]))
    return Regions(*whole_3C[:, None])


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """numerator / denominator; numerator where the denominator is 0, which only happens without valid pixels."""
    return numerator / torch.where(denominator > 0, denominator, 1.0)


def class_mean(
    loss_MC: Tensor,
    count_MC: Tensor,
    images: Tensor | None = None,
    average: str = "present",
    weights_C: Tensor | None = None,
) -> Tensor:
    """The mean over classes of the loss of each, of the batch; or with `images` over the images of all ranks with a
    valid pixel, whose number (`Pixels.image_divisor`) it is."""
    value = (loss_MC * average_weights(count_MC, images, average, weights_C)).sum()
    return value if images is None else over_ranks(value)


def average_weights(
    count_MC: Tensor, images: Tensor | None = None, average: str = "present", weights_C: Tensor | None = None
) -> Tensor:
    """What each class of each image, or of the batch (M, C), weighs in `class_mean`.

    average: `present` leaves out the classes without a pixel in the image (or batch), `all` does not. The weights add
    up to 1 (over all `images` of all ranks), or to 0 without a valid pixel.
    """
    check_length("class_weights", weights_C, count_MC.shape[1])
    has_pixels_M1 = (count_MC.sum(1, keepdim=True) > 0).to(count_MC.dtype)
    counted_MC = (count_MC > 0).to(count_MC.dtype) if average == "present" else has_pixels_M1.expand_as(count_MC)
    if weights_C is not None:
        counted_MC = counted_MC * weights_C.to(count_MC.dtype)
    share_MC = ratio(counted_MC, counted_MC.sum(1, keepdim=True))
    return share_MC if images is None else share_MC / images


class RegionLoss(Loss):
    """The mean over classes of a loss of the sums in `Regions`.

    per_image: the loss of each image, averaged over the images with a valid pixel, instead of the loss of the batch's
    sums. average: `present` averages over the classes with a pixel in the image (or
    batch), so that its scale does not depend on how many are absent; probability on an absent class then costs only
    what it takes from the present ones. `all` averages over all classes; an absent one has loss 1 - smooth / (mass +
    smooth), so it needs smooth above 0. smooth: pixels added to numerator and denominator, at least 0. class_weights:
    weights of that average, one number >= 0 a class. Additive with per_image only.
    """

    sums = True
    class_weights_C: Tensor | None

    def __init__(
        self,
        per_image: bool = False,
        average: str = "present",
        smooth: float = 0.0,
        class_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
        squared: bool = False,
    ) -> None:
        super().__init__(ignore_index)
        if average not in AVERAGES:
            raise ConfigError(unknown_name("average", str(average), AVERAGES))
        check_range("smooth", smooth, 0)
        if average == "all" and smooth == 0:
            raise ConfigError(
                "average is all and smooth is 0: an absent class would have a constant loss",
                advice="set smooth to 1, or average to present",
            )
        self.per_image, self.average, self.smooth, self.squared = per_image, average, smooth, squared
        self.additive, self.squares = per_image, squared
        self.keep_per_class("class_weights", class_weights)

    @abstractmethod
    def of_regions(self, regions: Regions) -> Tensor:
        """The loss of each class (M, C)."""

    def of(self, pixels: Pixels) -> Tensor:
        sums = regions(pixels, self.per_image, self.squared)
        images = pixels.image_divisor if self.per_image else None
        value = class_mean(self.of_regions(sums), sums.count_MC, images, self.average, self.class_weights_C)
        return value if self.per_image else batch_share(value, self.ignore_index)
