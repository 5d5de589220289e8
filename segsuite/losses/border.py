"""Distances to the borders between classes, on any device without waiting for it."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from segsuite.devices import runs_triton


def is_border(labels_NHW: Tensor, ignore_index: int = 255) -> Tensor:
    """bool (N, H, W): pixels with one of the four neighbours in another class; void is no class."""
    valid_NHW = labels_NHW != ignore_index
    border_NHW = torch.zeros_like(valid_NHW)
    for before, after in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None), slice(None), slice(None, -1)), (slice(None), slice(None), slice(1, None))),
    ):
        differ = (labels_NHW[before] != labels_NHW[after]) & valid_NHW[before] & valid_NHW[after]
        border_NHW[before] |= differ
        border_NHW[after] |= differ
    return border_NHW


def distance_to(mask_NHW: Tensor, radius: int) -> Tensor:
    """Euclidean distance in pixels (N, H, W) to the nearest pixel of `mask_NHW` (bool) in the same image; infinite
    where that is beyond `radius`.

    Exact, in two passes: along the rows, then over the rows that are at most `radius` away.
    """
    height, width = mask_NHW.shape[1:]
    rows = min(radius, height - 1)
    far = float(width + radius + 1)
    column_W = torch.arange(width, device=mask_NHW.device, dtype=torch.float32)
    left_NHW = column_W - torch.where(mask_NHW, column_W, -far).cummax(2).values
    right_NHW = torch.where(mask_NHW, column_W, far + width).flip(2).cummin(2).values.flip(2) - column_W
    row_NHW = torch.minimum(left_NHW, right_NHW).square()
    if runs_triton(row_NHW):
        from segsuite.losses.kernels.distance import nearest_over_rows

        nearest_NHW = nearest_over_rows(row_NHW, rows)
        return torch.where(nearest_NHW <= radius**2, nearest_NHW.sqrt(), math.inf)
    padded_NHW = F.pad(row_NHW, (0, 0, rows, rows), value=far**2)
    nearest_NHW = row_NHW
    for offset in range(2 * rows + 1):
        squared_NHW = padded_NHW[:, offset : offset + height] + float(offset - rows) ** 2
        nearest_NHW = torch.minimum(nearest_NHW, squared_NHW)
    return torch.where(nearest_NHW <= radius**2, nearest_NHW.sqrt(), math.inf)
