"""How many pixels of each class a split holds, image by image; kept on disk, since counting reads every label.

The counts lie in $XDG_CACHE_HOME/segsuite/label-counts (~/.cache by default) under the fingerprint of the dataset, so
that all experiments on a machine share them; not in a runs root, which may be another one for each experiment. They can
be deleted at any time. Imports no torch.
"""

import contextlib
import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.base import VOID, FileDataset, Label, SegmentationDataset
from segsuite.errors import DataError, SegsuiteError
from segsuite.io import atomic


@dataclass(frozen=True)
class LabelCounts:
    """Pixels of each image: `pixels_NC` of each class, `void_N` of none, both int64."""

    pixels_NC: NDArray[np.int64]
    void_N: NDArray[np.int64]

    @property
    def pixels_C(self) -> list[int]:
        """Pixels of each class."""
        return [int(count) for count in self.pixels_NC.sum(0)]

    @property
    def present_pixels_C(self) -> list[int]:
        """Pixels without void of the images in which the class occurs."""
        valid_N1 = self.pixels_NC.sum(1, keepdims=True)
        return [int(count) for count in (valid_N1 * (self.pixels_NC > 0)).sum(0)]

    @property
    def images_C(self) -> list[int]:
        """Images in which the class occurs."""
        return [int(count) for count in (self.pixels_NC > 0).sum(0)]

    def of(self, indices: Sequence[int]) -> "LabelCounts":
        """The counts of some of the images."""
        return LabelCounts(self.pixels_NC[list(indices)], self.void_N[list(indices)])


def label_counts(dataset: SegmentationDataset, cache: Path | None = None) -> LabelCounts:
    """The counts of all images of `dataset`, from `cache` (a folder; see `cache_folder`) if they are there.

    A cache that cannot be read or written only costs the counting. Raises DataError for a label that cannot be read.
    """
    file = (cache or cache_folder()) / f"{dataset.fingerprint()}.npz"
    kept = _read(file, len(dataset), dataset.num_classes)
    if kept is not None:
        return kept
    counted = count_labels(dataset)
    content = io.BytesIO()
    np.savez_compressed(content, pixels_NC=counted.pixels_NC, void_N=counted.void_N)
    with contextlib.suppress(OSError, SegsuiteError):
        atomic.write_bytes(file, content.getvalue())
    return counted


def count_labels(dataset: SegmentationDataset) -> LabelCounts:
    """The counts of all images of `dataset`, counted anew. Raises DataError for a label that is no class."""
    bins = np.zeros((len(dataset), 256), np.int64)
    for index in range(len(dataset)):
        bins[index] = np.bincount(read_label(dataset, index).ravel(), minlength=256)
    unknown = np.flatnonzero(bins[:, dataset.num_classes : VOID].sum(0))
    if len(unknown):
        label = int(unknown[0]) + dataset.num_classes
        name = dataset.sample_name(int(bins[:, label].argmax()))
        raise DataError(f"label {label} is neither a class (0..{dataset.num_classes - 1}) nor void ({VOID})", name)
    return LabelCounts(bins[:, : dataset.num_classes], bins[:, VOID])


def cache_folder() -> Path:
    """Where counts are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "segsuite" / "label-counts"


def read_label(dataset: SegmentationDataset, index: int) -> Label:
    """The label (H, W) alone: its image takes most of the time to decode."""
    return dataset.read_label(index) if isinstance(dataset, FileDataset) else dataset.read(index)[1]


def _read(file: Path, images: int, classes: int) -> LabelCounts | None:
    """The counts in `file`, or None when it is absent, damaged or not what it should be."""
    try:
        # Opened here: np.load leaves a file open that it cannot read.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            kept = LabelCounts(arrays["pixels_NC"], arrays["void_N"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    right = kept.pixels_NC.shape == (images, classes) and kept.void_N.shape == (images,)
    integers = kept.pixels_NC.dtype == np.int64 and kept.void_N.dtype == np.int64
    return kept if right and integers else None
