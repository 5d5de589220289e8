"""Losses as they are usually written, with a one-hot label: as in MONAI, and in segmentation-models-pytorch itself."""

from collections.abc import Callable

import segmentation_models_pytorch as smp
from torch import Tensor
from torch.nn import functional as F

VOID = 255
LossFunction = Callable[[Tensor, Tensor], Tensor]


def _one_hot(logits_NCHW: Tensor, labels_NHW: Tensor) -> tuple[Tensor, Tensor]:
    """The one-hot label, 0 at void pixels, and where pixels are valid (N, 1, H, W), both in fp32."""
    valid_N1HW = (labels_NHW != VOID)[:, None]
    classes_NHW = labels_NHW.masked_fill(labels_NHW == VOID, 0)
    one_hot_NCHW = F.one_hot(classes_NHW, logits_NCHW.shape[1]).permute(0, 3, 1, 2) * valid_N1HW
    return one_hot_NCHW.float(), valid_N1HW.float()


def cross_entropy(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    return F.cross_entropy(logits_NCHW, labels_NHW, ignore_index=VOID)


def focal(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    one_hot_NCHW, valid_N1HW = _one_hot(logits_NCHW, labels_NHW)
    log_p_NCHW = logits_NCHW.log_softmax(1)
    return (-(1 - log_p_NCHW.exp()).pow(2) * log_p_NCHW * one_hot_NCHW).sum() / valid_N1HW.sum()


def _overlaps(logits_NCHW: Tensor, labels_NHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    one_hot_NCHW, valid_N1HW = _one_hot(logits_NCHW, labels_NHW)
    p_NCHW = logits_NCHW.softmax(1) * valid_N1HW
    overlap_NCHW = p_NCHW * one_hot_NCHW
    return overlap_NCHW.sum((0, 2, 3)), p_NCHW.sum((0, 2, 3)), one_hot_NCHW.sum((0, 2, 3))


def dice(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    overlap_C, mass_C, count_C = _overlaps(logits_NCHW, labels_NHW)
    return (1 - 2 * overlap_C / (mass_C + count_C)).mean()


def jaccard(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    overlap_C, mass_C, count_C = _overlaps(logits_NCHW, labels_NHW)
    return (1 - overlap_C / (mass_C + count_C - overlap_C)).mean()


def tversky(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    overlap_C, mass_C, count_C = _overlaps(logits_NCHW, labels_NHW)
    return (1 - overlap_C / (0.3 * mass_C + 0.7 * count_C)).mean()


def total(*functions: LossFunction) -> LossFunction:
    """Their sum, each on its own."""

    def function(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
        values = [function(logits_NCHW, labels_NHW) for function in functions]
        return sum(values[1:], start=values[0])

    return function


# Its JaccardLoss is not here: it takes no void label.
SMP: dict[str, LossFunction] = {
    "focal": smp.losses.FocalLoss("multiclass", gamma=2.0, ignore_index=VOID),
    "dice": smp.losses.DiceLoss("multiclass", ignore_index=VOID),
    "tversky": smp.losses.TverskyLoss("multiclass", alpha=0.3, beta=0.7, ignore_index=VOID),
    "lovasz_softmax": smp.losses.LovaszLoss("multiclass", ignore_index=VOID),
}
NAIVE: dict[str, LossFunction] = {"focal": focal, "dice": dice, "jaccard": jaccard, "tversky": tversky}
