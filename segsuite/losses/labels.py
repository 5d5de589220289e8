"""Counting the labels of a batch, which finds unknown ones at no further cost."""

import torch
from torch import Tensor

from segsuite.devices import runs_triton
from segsuite.errors import DataError
from segsuite.losses.strips import on_cpu


def count_classes(labels_NHW: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """int64 (N, C): valid pixels of each class in each image of a batch on the CPU.

    Raises DataError naming a label that is neither a class nor void.
    """
    if labels_NHW.dtype != torch.uint8 and labels_NHW.numel() and (labels_NHW.min() < 0 or labels_NHW.max() > 255):
        wrong = labels_NHW[(labels_NHW < 0) | (labels_NHW > 255)][0]
        raise unknown_label(int(wrong), num_classes, ignore_index)
    if not len(labels_NHW):
        return torch.zeros(0, num_classes, dtype=torch.int64)
    counts = torch.stack([torch.bincount(labels_HW.flatten(), minlength=256) for labels_HW in labels_NHW])
    counts[:, ignore_index] = 0
    unknown = counts[:, num_classes:].sum(0)
    if unknown.any():
        raise unknown_label(num_classes + int(unknown.nonzero()[0, 0]), num_classes, ignore_index)
    return counts[:, :num_classes]


def count_classes_unchecked(labels_NHW: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """The same on any device, without a check and without making the host wait: torch.bincount does on CUDA, and
    other counts are not deterministic there."""
    return class_sums(labels_NHW, num_classes, ignore_index).long()


def class_sums(labels_NHW: Tensor, num_classes: int, ignore_index: int, values_NHW: Tensor | None = None) -> Tensor:
    """fp64 (N, C) on any device but MPS, there fp32: the sum of `values_NHW` over the valid pixels of each class in
    each image, without values their number; likewise deterministic and without making the host wait."""
    if runs_triton(labels_NHW) and labels_NHW.numel():
        from segsuite.losses.kernels.classes import class_sums as by_kernel

        return by_kernel(labels_NHW, num_classes, ignore_index, values_NHW)
    valid_NHW = labels_NHW != ignore_index
    counted_NHW = valid_NHW if values_NHW is None else valid_NHW * values_NHW
    found = [((labels_NHW == label) * counted_NHW).sum((1, 2)) for label in range(num_classes)]
    return torch.stack(found, 1).to(torch.float32 if labels_NHW.device.type == "mps" else torch.float64)


def weight_sum(
    labels_NHW: Tensor,
    weights_C: Tensor | None,
    num_classes: int,
    ignore_index: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Sum of w[y] over the valid pixels of a batch, without weights their number; a scalar.

    On a CPU it is from one count of the labels, which finds unknown labels: raises DataError. Elsewhere nothing is
    checked and the host does not wait.
    """
    if on_cpu(labels_NHW):
        count_C = count_classes(labels_NHW, num_classes, ignore_index).sum(0)
        return count_C.sum().to(dtype) if weights_C is None else (count_C * weights_C.to(dtype)).sum()
    valid_NHW = labels_NHW != ignore_index
    if weights_C is None:
        return valid_NHW.sum().to(dtype)
    # class 0 stands in for void in the look-up, where 255 has no weight
    weights_NHW = weights_C.to(dtype)[labels_NHW.masked_fill(~valid_NHW, 0).long()]
    return (weights_NHW * valid_NHW).sum()


def unknown_label(value: int, num_classes: int, ignore_index: int) -> DataError:
    """The error for a label without a meaning."""
    return DataError(
        f"label {value} is neither a class (0..{num_classes - 1}) nor void ({ignore_index})",
        advice="map the raw mask values to class ids, or to void, in the data settings",
    )
