"""Losses as they are usually written, with a one-hot label: as MONAI and the authors define them, and smp's own."""

from collections.abc import Callable

import numpy as np
import segmentation_models_pytorch as smp
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

VOID = 255
CLASSES = 11
COUNTS = [10.0 ** (7 - 0.3 * label) for label in range(CLASSES)]
"""Pixels of each class in an invented training split."""
WEIGHTS = [1.0 + 0.5 * label for label in range(CLASSES)]
LossFunction = Callable[[Tensor, Tensor], Tensor]


def _valid(labels_NHW: Tensor) -> tuple[Tensor, Tensor]:
    """Where pixels are valid (N, H, W), and labels with class 0 at void."""
    return labels_NHW != VOID, labels_NHW.masked_fill(labels_NHW == VOID, 0)


def _one_hot(logits_NCHW: Tensor, labels_NHW: Tensor) -> tuple[Tensor, Tensor]:
    """The one-hot label, 0 at void pixels, and where pixels are valid (N, 1, H, W), both in fp32."""
    valid_NHW, classes_NHW = _valid(labels_NHW)
    one_hot_NCHW = F.one_hot(classes_NHW, logits_NCHW.shape[1]).permute(0, 3, 1, 2) * valid_NHW[:, None]
    return one_hot_NCHW.float(), valid_NHW[:, None].float()


def _of_pixels(logits_NCHW: Tensor, labels_NHW: Tensor, weights: list[float] | None = None) -> Tensor:
    weights_C = None if weights is None else torch.tensor(weights)
    return F.cross_entropy(logits_NCHW, labels_NHW, weights_C, ignore_index=VOID, reduction="none")


def cross_entropy(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    return F.cross_entropy(logits_NCHW, labels_NHW, ignore_index=VOID)


def weighted_cross_entropy(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    return F.cross_entropy(logits_NCHW, labels_NHW, torch.tensor(WEIGHTS), ignore_index=VOID)


def smoothed_cross_entropy(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    return F.cross_entropy(logits_NCHW, labels_NHW, ignore_index=VOID, label_smoothing=0.1)


def focal(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    one_hot_NCHW, valid_N1HW = _one_hot(logits_NCHW, labels_NHW)
    log_p_NCHW = logits_NCHW.log_softmax(1)
    return (-(1 - log_p_NCHW.exp()).pow(2) * log_p_NCHW * one_hot_NCHW).sum() / valid_N1HW.sum()


def poly(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    """The authors': cross entropy, and the probability of the label from a softmax of its own."""
    one_hot_NCHW, valid_N1HW = _one_hot(logits_NCHW, labels_NHW)
    p_N1HW = (logits_NCHW.softmax(1) * one_hot_NCHW).sum(1, keepdim=True)
    return (_of_pixels(logits_NCHW, labels_NHW)[:, None] + (1 - p_N1HW) * valid_N1HW).sum() / valid_N1HW.sum()


def ohem(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    """As in mmsegmentation: all probabilities sorted for the threshold."""
    valid_NHW, classes_NHW = _valid(labels_NHW)
    p_NHW = logits_NCHW.detach().softmax(1).gather(1, classes_NHW[:, None])[:, 0]
    sorted_P = p_NHW[valid_NHW].sort().values
    threshold = max(float(sorted_P[int(0.0625 * len(sorted_P))]), 0.7)
    kept_NHW = valid_NHW & (p_NHW < threshold)
    return (_of_pixels(logits_NCHW, labels_NHW) * kept_NHW).sum() / kept_NHW.sum()


def topk(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    """As nnU-Net's TopKLoss."""
    losses_P = _of_pixels(logits_NCHW, labels_NHW)[labels_NHW != VOID]
    return losses_P.topk(round(0.1 * len(losses_P)), sorted=False).values.mean()


def logit_adjusted(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    shares_C = torch.tensor(COUNTS) / sum(COUNTS)
    return cross_entropy(logits_NCHW + shares_C.log()[:, None, None], labels_NHW)


def class_balanced(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    beta = 1 - 1e-7
    raw = [(1 - beta) / (1 - beta**count) for count in COUNTS]
    weights = [value * len(raw) / sum(raw) for value in raw]
    return _of_pixels(logits_NCHW, labels_NHW, weights).sum() / (labels_NHW != VOID).sum()


def recall_weighted(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    """The authors': argmax, counts of each class, weights, and a cross entropy."""
    valid_NHW, classes_NHW = _valid(labels_NHW)
    missed_NHW = valid_NHW & (logits_NCHW.argmax(1) != classes_NHW)
    count_C, missed_C = (
        torch.bincount(labels_NHW[mask_NHW], minlength=logits_NCHW.shape[1]).clamp_min(1)
        for mask_NHW in (valid_NHW, missed_NHW)
    )
    weights_C = missed_C / count_C
    losses_NHW = F.cross_entropy(logits_NCHW, labels_NHW, weights_C, ignore_index=VOID, reduction="none")
    return losses_NHW.sum() / valid_NHW.sum()


def boundary_weighted(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    """Distances to borders by scipy, image by image."""
    weights = []
    for label_HW in labels_NHW.numpy():
        border_HW = np.zeros(label_HW.shape, bool)
        for axis in (0, 1):
            near, far = (label_HW.take(range(first, label_HW.shape[axis] - 1 + first), axis) for first in (0, 1))
            differ = (near != far) & (near != VOID) & (far != VOID)
            pad = [(0, 0), (0, 0)]
            for pad[axis] in ((0, 1), (1, 0)):
                border_HW |= np.pad(differ, pad)
        weights.append(1 + 10 * np.exp(-2 * (distance_transform_edt(~border_HW) / 5) ** 2))
    losses_NHW = _of_pixels(logits_NCHW, labels_NHW) * torch.from_numpy(np.stack(weights)).float()
    return losses_NHW.sum() / (labels_NHW != VOID).sum()


def boundary(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    """The authors': signed distances by scipy for each image and class, times the probabilities."""
    one_hot_NCHW, valid_N1HW = _one_hot(logits_NCHW, labels_NHW)
    distance_NCHW = np.zeros(tuple(logits_NCHW.shape), np.float32)
    for at in np.ndindex(*logits_NCHW.shape[:2]):
        inside_HW = one_hot_NCHW[at].numpy().astype(bool)
        if inside_HW.any() and not inside_HW.all():
            outer, inner = distance_transform_edt(~inside_HW), distance_transform_edt(inside_HW)
            distance_NCHW[at] = outer * ~inside_HW - (inner - 1) * inside_HW
    errors_NCHW = (logits_NCHW.softmax(1) - one_hot_NCHW) * valid_N1HW
    return (errors_NCHW * torch.from_numpy(distance_NCHW)).sum() / valid_N1HW.sum()


def _overlaps(logits_NCHW: Tensor, labels_NHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    one_hot_NCHW, valid_N1HW = _one_hot(logits_NCHW, labels_NHW)
    p_NCHW = logits_NCHW.softmax(1) * valid_N1HW
    overlap_NCHW = p_NCHW * one_hot_NCHW
    return overlap_NCHW.sum((0, 2, 3)), p_NCHW.sum((0, 2, 3)), one_hot_NCHW.sum((0, 2, 3))


def dice(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    overlap_C, mass_C, count_C = _overlaps(logits_NCHW, labels_NHW)
    return (1 - 2 * overlap_C / (mass_C + count_C)).mean()


def generalised_dice(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    overlap_C, mass_C, count_C = _overlaps(logits_NCHW, labels_NHW)
    weights_C = 1 / count_C.square()
    return 1 - 2 * (weights_C * overlap_C).sum() / (weights_C * (mass_C + count_C)).sum()


def jaccard(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    overlap_C, mass_C, count_C = _overlaps(logits_NCHW, labels_NHW)
    return (1 - overlap_C / (mass_C + count_C - overlap_C)).mean()


def _tversky(logits_NCHW: Tensor, labels_NHW: Tensor, false_negatives: float) -> Tensor:
    overlap_C, mass_C, count_C = _overlaps(logits_NCHW, labels_NHW)
    return 1 - overlap_C / ((1 - false_negatives) * mass_C + false_negatives * count_C)


def tversky(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    return _tversky(logits_NCHW, labels_NHW, 0.7).mean()


def focal_tversky(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    return _tversky(logits_NCHW, labels_NHW, 0.7).pow(3 / 4).mean()


def unified_focal(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    """The authors', with the last class as the rare one: delta 0.6, gamma 0.5, the halves with equal weight."""
    one_hot_NCHW, valid_N1HW = _one_hot(logits_NCHW, labels_NHW)
    p_NCHW = logits_NCHW.softmax(1)
    losses_NCHW = -one_hot_NCHW * p_NCHW.log()
    frequent = 0.4 * (1 - p_NCHW[:, :-1]).sqrt() * losses_NCHW[:, :-1]
    focal = torch.cat([frequent, 0.6 * losses_NCHW[:, -1:]], 1).sum() / valid_N1HW.sum()
    regions_C = _tversky(logits_NCHW, labels_NHW, 0.6)
    return 0.5 * focal + 0.5 * torch.cat([regions_C[:-1], regions_C[-1:].sqrt()]).mean()


def lovasz_softmax(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    """The authors': the errors of each class sorted, differences of the Jaccard index."""
    p_PC = logits_NCHW.softmax(1).permute(0, 2, 3, 1)[labels_NHW != VOID]
    labels_P = labels_NHW[labels_NHW != VOID]
    losses = []
    for label in labels_P.unique():
        is_label_P = (labels_P == label).float()
        errors_P, order_P = (is_label_P - p_PC[:, label]).abs().sort(descending=True)
        sorted_P = is_label_P[order_P]
        overlap_P, union_P = (
            sorted_P.sum() - sorted_P.cumsum(0),
            sorted_P.sum() + (1 - sorted_P).cumsum(0),
        )
        jaccard_P = 1 - overlap_P / union_P
        jaccard_P[1:] = jaccard_P[1:] - jaccard_P[:-1]
        losses.append(errors_P.dot(jaccard_P))
    return torch.stack(losses).mean()


def total(*functions: LossFunction) -> LossFunction:
    """Their sum, each on its own."""

    def function(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
        values = [function(logits_NCHW, labels_NHW) for function in functions]
        return sum(values[1:], start=values[0])

    return function


# Its JaccardLoss is not here: it takes no void label.
SMP: dict[str, LossFunction] = {
    "smoothed": smp.losses.SoftCrossEntropyLoss(smooth_factor=0.1, ignore_index=VOID),
    "focal": smp.losses.FocalLoss("multiclass", gamma=2.0, ignore_index=VOID),
    "dice": smp.losses.DiceLoss("multiclass", ignore_index=VOID),
    "tversky": smp.losses.TverskyLoss("multiclass", alpha=0.3, beta=0.7, ignore_index=VOID),
    "lovasz_softmax": smp.losses.LovaszLoss("multiclass", ignore_index=VOID),
}
