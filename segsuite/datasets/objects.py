"""The objects of a split: connected regions of one class in its labels; kept on disk like the counts of pixels.

Imports no torch.
"""

import contextlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.audit import Progress
from segsuite.datasets.base import VOID, Label, SegmentationDataset
from segsuite.datasets.statistics import LabelCounts, cache_folder, read_label
from segsuite.errors import DataError, SegsuiteError
from segsuite.io import atomic


@dataclass(frozen=True, eq=False)
class Objects:
    """Of each of M objects: its class, its area in pixels and its image; and height and width of the N labels."""

    class_M: NDArray[np.uint8]
    area_M: NDArray[np.int64]
    image_M: NDArray[np.int64]
    sizes_N2: NDArray[np.int64]

    def areas(self, class_id: int) -> NDArray[np.int64]:
        """The areas of a class's objects, in the order of the images."""
        areas: NDArray[np.int64] = self.area_M[self.class_M == class_id]
        return areas

    def counts(self, num_classes: int) -> LabelCounts:
        """Pixels of each class and of none in each image, as `statistics.label_counts` counts them."""
        place_M = self.image_M * num_classes + self.class_M
        pixels = np.bincount(place_M, self.area_M, len(self.sizes_N2) * num_classes).astype(np.int64)
        pixels_NC = pixels.reshape(-1, num_classes)
        return LabelCounts(pixels_NC, self.sizes_N2.prod(axis=1) - pixels_NC.sum(axis=1))


def split_objects(dataset: SegmentationDataset, cache: Path | None = None, progress: Progress | None = None) -> Objects:
    """The objects of all images of `dataset`, from `cache` (a folder, that of the counts by default) if they are there.

    Regions are connected through 8 neighbours, so that touching objects of one class are one. A cache that cannot be
    read or written only costs the search. Raises DataError for a label that cannot be read.
    """
    file = (cache or cache_folder()) / f"{dataset.fingerprint()}-objects.npz"
    kept = _read(file, len(dataset))
    if kept is not None:
        return kept
    found = _search(dataset, progress)
    content = io.BytesIO()
    np.savez_compressed(
        content, class_M=found.class_M, area_M=found.area_M, image_M=found.image_M, sizes_N2=found.sizes_N2
    )
    with contextlib.suppress(OSError, SegsuiteError):
        atomic.write_bytes(file, content.getvalue())
    return found


def _search(dataset: SegmentationDataset, progress: Progress | None) -> Objects:
    classes: list[NDArray[np.uint8]] = [np.empty(0, np.uint8)]
    areas: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    images: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    sizes = np.zeros((len(dataset), 2), np.int64)
    for index in range(len(dataset)):
        label = read_label(dataset, index)
        sizes[index] = label.shape
        there = np.flatnonzero(np.bincount(label.ravel(), minlength=256)[:VOID])
        if len(there) and there[-1] >= dataset.num_classes:
            what = f"label {there[-1]} is neither a class (0..{dataset.num_classes - 1}) nor void ({VOID})"
            raise DataError(what, dataset.sample_name(index), "Correct the dataset's read().")
        for class_id in there:
            area = _areas(label, int(class_id))
            classes.append(np.full(len(area), class_id, np.uint8))
            areas.append(area)
            images.append(np.full(len(area), index, np.int64))
        if progress:
            progress(index + 1, len(dataset))
    return Objects(np.concatenate(classes), np.concatenate(areas), np.concatenate(images), sizes)


def _areas(label_HW: Label, class_id: int) -> NDArray[np.int64]:
    # The loader reads datasets without OpenCV; only this search needs it.
    import cv2

    mask = (label_HW == class_id).view(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    inside = mask[top : top + height, left : left + width]
    _, _, statistics, _ = cv2.connectedComponentsWithStats(inside, connectivity=8, ltype=cv2.CV_32S)
    areas: NDArray[np.int64] = statistics[1:, cv2.CC_STAT_AREA].astype(np.int64)
    return areas


def _read(file: Path, images: int) -> Objects | None:
    """The objects in `file`, or None when it is absent, damaged or not what it should be."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as arrays:
            kept = Objects(arrays["class_M"], arrays["area_M"], arrays["image_M"], arrays["sizes_N2"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    right = kept.sizes_N2.shape == (images, 2) and kept.class_M.shape == kept.area_M.shape == kept.image_M.shape
    return kept if right and kept.class_M.ndim == 1 else None
