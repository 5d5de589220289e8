"""Which images and which part of them are shown, by rule and never by taste."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.base import VOID

Label = NDArray[np.uint8]
IMAGES = 4


class Choice(NamedTuple):
    """An image, by its place in the split, and the rule that chose it."""

    image: int
    why: str


class Window(NamedTuple):
    """Part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """The part of (H, W, ...) values."""
        return values[self.top : self.top + self.height, self.left : self.left + self.width]


def choose(miou: Mapping[str, NDArray[np.float64]], candidates: Sequence[int]) -> list[Choice]:
    """Up to four of `candidates`, each once, by the arms' mIoU of single images (N,): two on which the best and the
    worst arm are furthest apart, the median one, the worst one. NaN (nothing labelled) is never chosen."""
    arms_AN = np.array(list(miou.values()))
    known = [index for index in candidates if np.isfinite(arms_AN[:, index]).all()]
    if not known:
        return []
    mean = {index: float(arms_AN[:, index].mean()) for index in known}
    gap = {index: float(np.ptp(arms_AN[:, index])) for index in known}
    middle = float(np.median(list(mean.values())))
    apart = sorted(known, key=lambda index: -gap[index]) if len(arms_AN) > 1 else []
    usual = sorted(known, key=lambda index: abs(mean[index] - middle))
    worst = sorted(known, key=mean.__getitem__)
    rules = [
        ("arms disagree most", apart),
        ("arms disagree next most", apart),
        ("median image", usual),
        ("worst image", worst),
    ]
    chosen: dict[int, str] = {}
    for why, order in rules:
        index = next((index for index in order if index not in chosen), None)
        if index is not None:
            chosen[index] = why
    return [Choice(index, why) for index, why in chosen.items()][:IMAGES]


def window(label: Label, predictions: Sequence[Label], height: int, width: int) -> Window:
    """The part of at most (height, width) with the most labelled pixels on which the arms disagree, or, of a single
    arm, that are wrong; the middle of the image when there is none."""
    full_height, full_width = label.shape
    height, width = min(height, full_height), min(width, full_width)
    first = predictions[0]
    others = predictions[1:] or [label]
    differs = np.any([other != first for other in others], axis=0)
    sums = np.zeros((full_height + 1, full_width + 1))
    sums[1:, 1:] = (differs & (label != VOID)).cumsum(axis=0).cumsum(axis=1)
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    if not inside.any():
        return Window((full_height - height) // 2, (full_width - width) // 2, height, width)
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return Window(int(top), int(left), height, width)
