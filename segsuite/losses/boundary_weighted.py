"""Cross entropy with U-Net's weights at borders (Ronneberger, Fischer, Brox 2015, "U-Net", equations 1 and 2)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from segsuite.losses.base import Loss, check_length, check_range
from segsuite.losses.border import distance_to, is_border
from segsuite.losses.pixels import Pixels


def border_weights(labels_NHW: Tensor, w0: float = 10.0, sigma: float = 5.0, ignore_index: int = 255) -> Tensor:
    """w0 exp(-(2 d)^2 / (2 sigma^2)) of each pixel (N, H, W), d its distance in pixels to the nearest border; 0 beyond
    2.5 sigma, where it is below w0 / 250000."""
    distance_NHW = distance_to(is_border(labels_NHW, ignore_index), math.ceil(2.5 * sigma))
    return w0 * torch.exp(-2 * (distance_NHW / sigma).square())


def boundary_weighted_cross_entropy(
    pixels: Pixels, w0: float = 10.0, sigma: float = 5.0, weights_C: Tensor | None = None
) -> Tensor:
    """Mean over the valid pixels of (w[y] + border weight) * -log p[y]."""
    check_length("class_weights", weights_C, pixels.num_classes)
    weights_NHW = border_weights(pixels.labels_NHW, w0, sigma, pixels.ignore_index).to(pixels.dtype)
    weights_NHW = weights_NHW + (1.0 if weights_C is None else pixels.look_up(weights_C))
    return pixels.mean(-pixels.log_p_NHW * weights_NHW)


class BoundaryWeightedCrossEntropy(Loss):
    """Mean over the valid pixels of (w[y] + w0 exp(-(d1 + d2)^2 / (2 sigma^2))) * -log p[y].

    d1 and d2 are the distances to the borders of the two nearest objects. Without instances the objects are the regions
    of the label image, which fill it: both borders are the same one, so d1 = d2 = the distance to the nearest pixel
    with a neighbour of another class. The edge of a void region is no border. The sum is divided by the number of valid
    pixels, not by the sum of weights (U-Net divides by nothing). w0: at least 0; 0 without class_weights is cross
    entropy. sigma: in pixels, above 0, at most 100. class_weights: one number >= 0 a class, None for all 1.
    """

    class_weights_C: Tensor | None

    def __init__(
        self,
        w0: float = 10.0,
        sigma: float = 5.0,
        class_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
    ) -> None:
        super().__init__(ignore_index)
        check_range("w0", w0, 0)
        check_range("sigma", sigma, 0, 100, above=True)
        self.w0, self.sigma = w0, sigma
        self.keep_per_class("class_weights", class_weights)

    def of(self, pixels: Pixels) -> Tensor:
        return boundary_weighted_cross_entropy(pixels, self.w0, self.sigma, self.class_weights_C)
