"""Patterns in predicted class ids, which the label itself hardly has."""

import math

import torch
from torch import Tensor

INTERIOR_MARGIN = 16
"""Pixels at the border in which a shifted image differs by what moved in."""


def isolated_pixels(labels_HW: Tensor, valid_HW: Tensor) -> tuple[int, int]:
    """Valid pixels that differ from all four neighbours, and all valid ones, away from the image's border."""
    middle = labels_HW[1:-1, 1:-1]
    neighbours = (labels_HW[:-2, 1:-1], labels_HW[2:, 1:-1], labels_HW[1:-1, :-2], labels_HW[1:-1, 2:])
    isolated = valid_HW[1:-1, 1:-1].clone()
    for neighbour in neighbours:
        isolated &= middle != neighbour
    return int(isolated.sum()), int(valid_HW[1:-1, 1:-1].sum())


def transitions(labels_HW: Tensor) -> tuple[Tensor, Tensor]:
    """Counts (H,) and (W,): neighbours with different labels between rows i - 1 and i, and columns j - 1 and j, on the
    CPU. Index 0 is always 0; the sum of all is the length of the borders in pixels. Void is a label like others."""
    counts = []
    for dim in (0, 1):
        changes = labels_HW.diff(dim=dim).ne(0).sum(dim=1 - dim).cpu()
        counts.append(torch.cat([changes.new_zeros(1), changes]))
    return counts[0], counts[1]


def blockiness(transitions_by_place: tuple[Tensor, Tensor], stride: int) -> float:
    """Total variation distance between the phases (place mod `stride`) of transitions and equal phases, 0..1 - 1/s.

    Mean of rows and columns, of those that have any transition; NaN when neither has. Labels that were enlarged s
    times by repetition have exactly 1 - 1/s.
    """
    found = []
    for counts in transitions_by_place:
        place = torch.arange(1, len(counts)) % stride
        sums = torch.zeros(stride, dtype=torch.float64).scatter_add_(0, place, counts[1:].double())
        rate = sums / torch.bincount(place, minlength=stride).clamp(min=1)
        if rate.sum() > 0:
            found.append(float((rate / rate.sum() - 1 / stride).abs().sum()) / 2)
    return sum(found) / len(found) if found else math.nan


def moved(images_NCHW: Tensor, pixels: int) -> Tensor:
    """The images moved down and right by `pixels`; the first row and column are repeated."""
    padded = torch.nn.functional.pad(images_NCHW, (pixels, 0, pixels, 0), mode="replicate")
    return padded[..., :-pixels, :-pixels]


def shift_flips(prediction_HW: Tensor, of_moved_HW: Tensor, pixels: int) -> tuple[int, int]:
    """Pixels whose class changes when the image is moved by `pixels` and the prediction back, and all; the margin of
    16 pixels (of a small image an eighth) is left out at each side."""
    height, width = prediction_HW.shape
    margin = min(INTERIOR_MARGIN, height // 8, width // 8)
    end = max(margin, pixels)
    back = of_moved_HW[margin + pixels : height - end + pixels, margin + pixels : width - end + pixels]
    changed = prediction_HW[margin : height - end, margin : width - end] != back
    return int(changed.sum()), changed.numel()
