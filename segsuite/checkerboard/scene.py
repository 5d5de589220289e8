"""The images that a network is measured on, cut to one size, and what they themselves have at each frequency."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segsuite.checkerboard.maps import cut
from segsuite.checkerboard.predictions import isolated_pixels, transitions
from segsuite.checkerboard.spectrum import power_spectrum
from segsuite.checkerboard.textures import Lines, image_lines, spectrum_lines
from segsuite.datasets.base import VOID

LARGEST_SIDE = 256

Sample = tuple[str, NDArray[np.uint8] | NDArray[np.float32], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Scene:
    """Images (N, 3, H, W), RGB in 0..1, and their labels (N, H, W) uint8 with 255 void."""

    images_NCHW: Tensor
    labels_NHW: Tensor
    names: tuple[str, ...]
    _lines: dict[tuple[int, ...], Lines] = field(default_factory=dict)

    @property
    def valid_NHW(self) -> Tensor:
        """Pixels with a class."""
        return self.labels_NHW != VOID

    def image_lines(self, stride: int, periods: Sequence[int]) -> Lines:
        """Of the image averaged over blocks of `stride` pixels a side, cut for `periods` (of the reduced image); a
        network may pick the view in which a texture stands out most (textures.py)."""
        key = (stride, *periods)
        if key not in self._lines:
            reduced = F.avg_pool2d(self.images_NCHW, stride) if stride > 1 else self.images_NCHW
            self._lines[key] = image_lines(reduced, periods, lambda maps: cut(maps, stride, periods))
        return self._lines[key]

    def label_lines(self, periods: Sequence[int]) -> Lines:
        """Of the one-hot maps of the classes that occur; a void pixel is in none."""
        key = (0, *periods)
        if key not in self._lines:
            classes = [c for c in torch.unique(self.labels_NHW).tolist() if c != VOID]
            power: Tensor | float = 0.0
            for label in self.labels_NHW:  # one by one: 150 classes of 64 images would take gigabytes
                maps = torch.stack([(label == c).float() for c in classes or [0]])[None]
                power = power + power_spectrum(cut(maps, 1, periods))
            assert isinstance(power, Tensor)
            self._lines[key] = spectrum_lines([power], periods)
        return self._lines[key]

    @cached_property
    def label_borders(self) -> tuple[Tensor, Tensor]:
        """Transitions of the labels by row and by column, sums over images; void is a label of its own."""
        return summed(transitions(label) for label in self.labels_NHW)

    @cached_property
    def label_isolated(self) -> float:
        """Share of valid pixels whose label is that of no neighbour."""
        pairs = [isolated_pixels(label, valid) for label, valid in zip(self.labels_NHW, self.valid_NHW, strict=True)]
        return sum(pair[0] for pair in pairs) / max(1, sum(pair[1] for pair in pairs))

    def to(self, device: torch.device | str) -> "Scene":
        """The same on `device`."""
        return Scene(self.images_NCHW.to(device), self.labels_NHW.to(device), self.names)


def scene_of(samples: Sequence[Sample], stride: int, largest_side: int = LARGEST_SIDE) -> Scene:
    """The middle of each image (H, W, 3) and label (H, W), as large as the smallest image and `largest_side` allow.

    Height and width are multiples of `stride` where the images are that large: nothing is padded then.
    """
    sides = [min(label.shape[axis] for _, _, label in samples) for axis in (0, 1)]
    height, width = (_side(min(side, max(largest_side, stride)), stride) for side in sides)
    images, labels = [], []
    for _, image, label in samples:
        top, left = (label.shape[0] - height) // 2, (label.shape[1] - width) // 2
        part = np.asarray(image[top : top + height, left : left + width])
        images.append(torch.from_numpy(part.astype(np.float32) / (255 if part.dtype == np.uint8 else 1)))
        labels.append(torch.from_numpy(np.ascontiguousarray(label[top : top + height, left : left + width])))
    images_NCHW = torch.stack(images).permute(0, 3, 1, 2)  # channels_last, as in training
    return Scene(images_NCHW, torch.stack(labels), tuple(name for name, _, _ in samples))


def summed(pairs: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The sum of the first and that of the second of all pairs."""
    first, second = zip(*pairs, strict=True)
    return torch.stack(first).sum(dim=0), torch.stack(second).sum(dim=0)


def _side(length: int, stride: int) -> int:
    return length // stride * stride or length
