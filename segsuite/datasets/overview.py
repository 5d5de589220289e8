"""What the labels of a dataset hold, split by split: shares, presence, sizes of objects. Imports no torch."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets import build_dataset
from segsuite.datasets.audit import Progress
from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.objects import Objects, split_objects
from segsuite.datasets.statistics import LabelCounts
from segsuite.errors import SegsuiteError

SPLITS = ("train", "val", "test")
AREA_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SMALL_AREA = 32**2
"""First area in pixels of an object that is not small (COCO, Lin et al. 2014)."""

Floats = NDArray[np.float64]
Tell = Callable[[str], Progress]
"""Called with what is about to be read; gives what is told of the progress."""


@dataclass(frozen=True, eq=False)
class SplitOverview:
    """One split. Shares are fractions 0..1."""

    dataset: SegmentationDataset
    objects: Objects

    @cached_property
    def counts(self) -> LabelCounts:
        """Pixels of each image."""
        return self.objects.counts(self.dataset.num_classes)

    @cached_property
    def shares(self) -> Floats:
        """(C,) of all pixels, void included."""
        pixels = self.counts.pixels_NC.sum(axis=0)
        shares: Floats = pixels / max(1, int(pixels.sum()) + int(self.counts.void_N.sum()))
        return shares

    @property
    def void_share(self) -> float:
        """Of all pixels."""
        return float(1 - self.shares.sum()) if self.counts.void_N.sum() else 0.0

    @cached_property
    def image_shares(self) -> Floats:
        """(C,): of the images, those that have the class."""
        shares: Floats = (self.counts.pixels_NC > 0).mean(axis=0)
        return shares

    @property
    def sizes(self) -> dict[tuple[int, int], int]:
        """(height, width) of the labels -> number of images, the most frequent first."""
        counted = Counter((int(height), int(width)) for height, width in self.objects.sizes_N2)
        return dict(counted.most_common())

    def areas(self, place: int) -> NDArray[np.int64]:
        """Areas in pixels of the objects of the class."""
        return self.objects.areas(place)

    def small_share(self, place: int) -> float:
        """Of the pixels of a class, those in small objects; 0 without any."""
        areas = self.areas(place)
        return float(areas[areas < SMALL_AREA].sum() / max(1, areas.sum()))

    def to_json(self) -> dict[str, Any]:
        """Everything by name."""
        classes = {}
        for place, name in enumerate(self.dataset.classes):
            areas = self.areas(place)
            quantiles = np.quantile(areas, AREA_QUANTILES).tolist() if len(areas) else [None] * len(AREA_QUANTILES)
            classes[name] = {
                "share": float(self.shares[place]),
                "pixels": int(self.counts.pixels_C[place]),
                "image_share": float(self.image_shares[place]),
                "images": int(self.counts.images_C[place]),
                "objects": len(areas),
                "object_area": dict(zip(map(str, AREA_QUANTILES), quantiles, strict=True)),
                "small_object_share": float((areas < SMALL_AREA).mean()) if len(areas) else None,
                "small_object_pixel_share": self.small_share(place),
            }
        return {
            "images": len(self.dataset),
            "sizes": {f"{height}x{width}": count for (height, width), count in self.sizes.items()},
            "void_share": self.void_share,
            "fingerprint": self.dataset.fingerprint(),
            "classes": classes,
        }


@dataclass(frozen=True, eq=False)
class DatasetOverview:
    """A dataset with the splits that are there; `missing`: why the others are not."""

    name: str
    options: Mapping[str, Any]
    splits: Mapping[str, SplitOverview]
    missing: Mapping[str, str]

    @property
    def first(self) -> SplitOverview:
        """The training split, or the first that is there."""
        return next(iter(self.splits.values()))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.first.dataset.classes

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Class ids by falling share in the training split."""
        return tuple(np.argsort(-self.first.shares, kind="stable").tolist())


def open_splits(name: str, options: Mapping[str, Any]) -> tuple[dict[str, SegmentationDataset], dict[str, str]]:
    """The splits of a dataset that are there, and for the others why not.

    Raises what the first one raises when none is there.
    """
    found: dict[str, SegmentationDataset] = {}
    errors: dict[str, SegsuiteError] = {}
    for split in SPLITS:
        try:
            found[split] = build_dataset(name, split, **options)
        except SegsuiteError as error:
            errors[split] = error
    if not found:
        raise next(iter(errors.values()))
    return found, {split: error.what for split, error in errors.items()}


def overview(name: str, options: Mapping[str, Any], tell: Tell, cache: Path | None = None) -> DatasetOverview:
    """Reads every label of every split that is there, unless what they hold is kept in `cache`.

    Raises DataError for the first label that cannot be used.
    """
    datasets, missing = open_splits(name, options)
    splits = {
        split: SplitOverview(dataset, split_objects(dataset, cache, tell(f"{split}: labels")))
        for split, dataset in datasets.items()
    }
    return DatasetOverview(name, dict(options), splits, missing)
