"""Unified focal loss (Yeung et al. 2022, "Unified focal loss: generalising dice and cross entropy-based losses to
handle class imbalanced medical image segmentation"), with the exponents of the authors' code."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segsuite.errors import ConfigError
from segsuite.losses.base import Loss, check_range
from segsuite.losses.effective_batch import batch_share
from segsuite.losses.focal import focal_term
from segsuite.losses.focal_tversky import power
from segsuite.losses.pixels import Pixels
from segsuite.losses.region import class_mean, regions
from segsuite.losses.tversky import tversky


def asymmetric_focal(pixels: Pixels, rare_C: Tensor, delta: float = 0.6, gamma: float = 0.5) -> Tensor:
    """Mean over the valid pixels of delta * -log p[y] where y is rare, else of
    (1 - delta) (1 - p[y])^gamma * -log p[y]."""
    is_rare_NHW = pixels.look_up(rare_C)
    log_p_NHW = pixels.log_p_NHW
    rest_NHW = (1 - delta) * focal_term(log_p_NHW, gamma)
    return pixels.mean(torch.where(is_rare_NHW > 0, -delta * log_p_NHW, rest_NHW))


def asymmetric_focal_tversky(
    pixels: Pixels, rare_C: Tensor, delta: float = 0.6, gamma: float = 0.5, per_image: bool = False
) -> Tensor:
    """Mean over the present classes of the Tversky loss T (false negatives weigh delta, false positives 1 - delta), and
    of T^(1 - gamma) for rare ones."""
    sums = regions(pixels, per_image)
    loss_MC = tversky(sums, 1 - delta, delta)
    loss_MC = torch.where(rare_C > 0, power(loss_MC, 1 - gamma), loss_MC)
    if per_image:
        return class_mean(loss_MC, sums.count_MC, pixels.image_divisor)
    return batch_share(class_mean(loss_MC, sums.count_MC), pixels.ignore_index)


class UnifiedFocal(Loss):
    """tversky_share * asymmetric focal Tversky + (1 - tversky_share) * asymmetric focal: easy pixels are played down in
    the frequent classes only, and the slope near a perfect overlap is raised in the rare classes only.

    rare_classes: class ids, at least one; Yeung et al. have one rare class, the foreground. tversky_share (their
    lambda), delta and gamma: 0..1, the authors take 0.5, 0.6 and 0.5. tversky_share 0 is the asymmetric focal loss
    alone. Classes without a pixel are left out of the Tversky part. Its sums are the batch's, or each image's with
    `per_image`. Additive with per_image only.
    """

    sums = True

    def __init__(
        self,
        rare_classes: Sequence[int],
        tversky_share: float = 0.5,
        delta: float = 0.6,
        gamma: float = 0.5,
        per_image: bool = False,
        ignore_index: int = 255,
    ) -> None:
        super().__init__(ignore_index)
        for name, value in {"tversky_share": tversky_share, "delta": delta, "gamma": gamma}.items():
            check_range(name, value, 0, 1)
        if not rare_classes or min(rare_classes) < 0:
            raise ConfigError(f"rare_classes are {list(rare_classes)}", advice="name at least one class")
        self.rare_classes, self.tversky_share = tuple(rare_classes), tversky_share
        self.delta, self.gamma = delta, gamma
        self.per_image, self.additive = per_image, per_image

    def of(self, pixels: Pixels) -> Tensor:
        if max(self.rare_classes) >= pixels.num_classes:
            raise ConfigError(
                f"rare_classes name class {max(self.rare_classes)}, the model has {pixels.num_classes} classes",
                advice="class ids start at 0",
            )
        classes_C = torch.arange(pixels.num_classes, device=pixels.labels_NHW.device)
        rare_C = torch.stack([classes_C == rare for rare in self.rare_classes]).any(0)
        focal = asymmetric_focal(pixels, rare_C, self.delta, self.gamma)
        region = asymmetric_focal_tversky(pixels, rare_C, self.delta, self.gamma, self.per_image)
        return self.tversky_share * region + (1 - self.tversky_share) * focal
