"""Cross entropy of the softmax, the mean over the valid pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.errors import ConfigError, DataError


class CrossEntropy(nn.Module):
    """sum over valid pixels of w[y] * -log softmax(z)[y], divided by the sum of w[y].

    Same value and gradient as torch.nn.functional.cross_entropy(reduction="mean") wherever that is defined,
    smoothing included (target = (1 - label_smoothing) * one-hot + label_smoothing / C; Szegedy et al. 2016,
    section 7). It differs where torch returns NaN: a batch of void pixels only gives 0, and non-finite logits
    at void pixels are ignored.

    label_smoothing: 0..1. class_weights: one positive or zero number a class, None for all 1. ignore_index:
    the void label, 0..255.
    """

    weights_C: Tensor | None

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        if not 0.0 <= label_smoothing <= 1.0:
            raise ConfigError(
                f"label_smoothing is {label_smoothing}, outside 0..1", advice="choose a fraction, often 0.1"
            )
        if not 0 <= ignore_index <= 255:
            raise ConfigError(
                f"ignore_index is {ignore_index}, outside 0..255", advice="choose 255, the void of the suite"
            )
        weights = None if class_weights is None else torch.tensor(list(class_weights), dtype=torch.float32)
        if weights is not None and not (torch.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
            raise ConfigError(
                f"class_weights are {list(class_weights or [])}",
                advice="give one number >= 0 a class, not all 0",
            )
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        # not in the state dict: a setting, not something learnt
        self.register_buffer("weights_C", weights, persistent=False)

    def forward(self, logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
        """Scalar fp32. Raises DataError for an unknown label on a CPU, ConfigError when the class weights do
        not fit C."""
        num_classes = logits_NCHW.shape[1]
        if self.weights_C is not None and len(self.weights_C) != num_classes:
            raise ConfigError(
                f"class_weights has {len(self.weights_C)} numbers, the model has {num_classes} classes",
                advice="give one weight a class, in the order of the classes",
            )
        if labels_NHW.device.type == "cpu":
            weight_sum = self._weight_sum_on_cpu(labels_NHW, num_classes)
        else:
            weight_sum = self._weight_sum(labels_NHW)
        total = F.cross_entropy(
            self._without_void(logits_NCHW.float(), labels_NHW),
            labels_NHW.long(),
            self.weights_C,
            ignore_index=self.ignore_index,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        return total / torch.where(weight_sum > 0, weight_sum, 1.0)

    def _without_void(self, logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
        """The logits with 0 at void pixels when it matters: the backward of log-softmax makes NaN of a NaN
        logit even at weight 0.

        One sum says whether it matters; on CUDA reading it would make the step wait for the device, so there
        it always happens.
        """
        if logits_NCHW.device.type == "cpu" and torch.isfinite(logits_NCHW.detach().sum()):
            return logits_NCHW
        return logits_NCHW.masked_fill((labels_NHW == self.ignore_index)[:, None], 0.0)

    def _weight_sum(self, labels_NHW: Tensor) -> Tensor:
        """Sum of w[y] over valid pixels, without waiting for the device."""
        valid_NHW = labels_NHW != self.ignore_index
        if self.weights_C is None:
            return valid_NHW.sum().float()
        # class 0 stands in for void in the look-up, where 255 has no weight
        weights_NHW = self.weights_C[labels_NHW.masked_fill(~valid_NHW, 0).long()]
        return (weights_NHW * valid_NHW).sum()

    def _weight_sum_on_cpu(self, labels_NHW: Tensor, num_classes: int) -> Tensor:
        """The same from one count of the labels, which finds unknown labels at no further cost."""
        labels = labels_NHW.flatten()
        if labels.dtype != torch.uint8 and labels.numel() and (labels.min() < 0 or labels.max() > 255):
            wrong = labels[(labels < 0) | (labels > 255)][0]
            raise _unknown_label(int(wrong), num_classes, self.ignore_index)
        counts = torch.bincount(labels, minlength=256)
        counts[self.ignore_index] = 0
        if counts[num_classes:].any():
            wrong = num_classes + counts[num_classes:].nonzero()[0, 0]
            raise _unknown_label(int(wrong), num_classes, self.ignore_index)
        valid = counts[:num_classes]
        return valid.sum().float() if self.weights_C is None else (valid * self.weights_C).sum()


def _unknown_label(value: int, num_classes: int, ignore_index: int) -> DataError:
    return DataError(
        f"label {value} is neither a class (0..{num_classes - 1}) nor void ({ignore_index})",
        advice="map the raw mask values to class ids, or to void, in the data settings",
    )
