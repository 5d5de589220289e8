"""Cross entropy of the softmax, the mean over the valid pixels."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segsuite.errors import ConfigError
from segsuite.losses import kernels
from segsuite.losses.base import Loss, check_length
from segsuite.losses.effective_batch import divisor
from segsuite.losses.labels import weight_sum
from segsuite.losses.pixels import Pixels
from segsuite.losses.ranks import over_ranks
from segsuite.losses.strips import on_cpu


def cross_entropy(pixels: Pixels, weights_C: Tensor | None = None) -> Tensor:
    """sum of w[y] * -log p[y] over the valid pixels, divided by the sum of w[y]; 0 without valid pixels."""
    return weighted_mean(-pixels.log_p_NHW, pixels, weights_C)


def weighted_mean(values_NHW: Tensor, pixels: Pixels, weights_C: Tensor | None) -> Tensor:
    """Mean of values that are 0 at void pixels, each weighted by its class; 0 where all weights are."""
    check_length("class_weights", weights_C, pixels.num_classes)
    if weights_C is None:
        return pixels.mean(values_NHW)
    weights_NHW = pixels.look_up(weights_C)
    weights = weight_divisor(weights_C, pixels.num_classes, pixels.ignore_index, weights_NHW.sum, pixels.dtype)
    return over_ranks((weights_NHW * values_NHW).sum()) / weights


def weight_divisor(
    weights_C: Tensor | None,
    num_classes: int,
    ignore_index: int,
    own: Callable[[], Tensor],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """What a sum weighted by class is divided by: the sum of the weights of the valid pixels, `own` of this batch."""
    return divisor(
        ("weights", weights_C, ignore_index, dtype),
        lambda labels_NHW: weight_sum(labels_NHW, weights_C, num_classes, ignore_index, dtype),
        own,
    )


class CrossEntropy(Loss):
    """sum over valid pixels of w[y] * -log softmax(z)[y], divided by the sum of w[y].

    Same value and gradient as torch.nn.functional.cross_entropy(reduction="mean") wherever that is defined,
    smoothing included (target = (1 - label_smoothing) * one-hot + label_smoothing / C; Szegedy et al. 2016,
    section 7). It differs where torch returns NaN: a batch of void pixels only gives 0, and non-finite logits
    at void pixels are ignored.

    label_smoothing: 0..1. class_weights: one positive or zero number a class, None for all 1. ignore_index:
    the void label, 0..255.
    """

    class_weights_C: Tensor | None

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
    ) -> None:
        super().__init__(ignore_index)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ConfigError(
                f"label_smoothing is {label_smoothing}, outside 0..1", advice="choose a fraction, often 0.1"
            )
        self.label_smoothing = label_smoothing
        self.keep_per_class("class_weights", class_weights)

    def forward(self, logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
        """On a CPU torch's own kernels, which are the fastest as long as no other term shares the softmax."""
        num_classes, weights_C = logits_NCHW.shape[1], self.class_weights_C
        check_length("class_weights", weights_C, num_classes)
        if not self.label_smoothing and kernels.take(logits_NCHW):
            return self.of(Pixels(logits_NCHW, labels_NHW, self.ignore_index))
        weights = weight_divisor(
            weights_C,
            num_classes,
            self.ignore_index,
            lambda: weight_sum(labels_NHW, weights_C, num_classes, self.ignore_index),
        )
        if logits_NCHW.dtype != torch.float64:
            logits_NCHW = logits_NCHW.float()
        total = F.cross_entropy(
            self._without_void(logits_NCHW, labels_NHW),
            labels_NHW.long(),
            None if weights_C is None else weights_C.to(logits_NCHW.dtype),
            ignore_index=self.ignore_index,
            # On CUDA the summing kernel has no deterministic version.
            reduction="none" if torch.are_deterministic_algorithms_enabled() else "sum",
            label_smoothing=self.label_smoothing,
        ).sum()
        mean: Tensor = over_ranks(total) / weights
        return mean

    def of(self, pixels: Pixels) -> Tensor:
        if self.label_smoothing:  # reads log p of every class: a softmax of its own
            return self.forward(pixels.logits_NCHW, pixels.labels_NHW)
        return cross_entropy(pixels, self.class_weights_C)

    def _without_void(self, logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
        """The logits with 0 at void pixels when it matters: the backward of log-softmax makes NaN of a NaN
        logit even at weight 0.

        One sum says whether it matters; on CUDA reading it would make the step wait for the device, so there
        it always happens.
        """
        if on_cpu(logits_NCHW) and torch.isfinite(logits_NCHW.detach().sum()):
            return logits_NCHW
        return logits_NCHW.masked_fill((labels_NHW == self.ignore_index)[:, None], 0.0)
