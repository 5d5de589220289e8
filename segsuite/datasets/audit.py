"""Reads every sample once, before a trial spends time on them, and says all that is wrong at once."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.base import VOID, SegmentationDataset
from segsuite.datasets.image_header import Depth
from segsuite.errors import DataError
from segsuite.io.atomic import write_json

SHOWN_PROBLEMS = 10

Progress = Callable[[int, int], None]
"""Called with (samples done, samples in all) after each sample."""


class Found(NamedTuple):
    """How many images have something in common, which of the split is the first, and where it is."""

    images: int
    first: int
    place: str


@dataclass(frozen=True)
class Audit:
    """What one split holds.

    `pixels` (C,) int64 pixels of each class; `void_pixels`; `presence` (N, C) bool: image n has class c;
    `sizes` (N, 2) int64 height and width, 0 where reading failed; `problems`: one error for each sample that
    cannot be used; `depths`: of the image files, how many have each and where the first is; `limits`: lowest and
    highest value in 0..1 of the images of more than 8 bits, if no value_range says what becomes 0 and 1;
    `outside_range`: the value_range that no value of any image lies in, if it is so.
    """

    split: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    pixels: NDArray[np.int64]
    void_pixels: int
    presence: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    problems: tuple[DataError, ...] = ()
    depths: Mapping[Depth, Found] = field(default_factory=dict)
    limits: tuple[float, float] | None = None
    outside_range: tuple[float, float] | None = None

    @property
    def shares(self) -> NDArray[np.float64]:
        """(C,) fraction 0..1 of all pixels, void included, that each class has."""
        shares: NDArray[np.float64] = self.pixels / max(1, int(self.pixels.sum()) + self.void_pixels)
        return shares

    def raise_if_bad(self) -> None:
        """Raises one DataError that lists the first problems and how many there are, if there are any."""
        if not self.problems:
            return
        shown = [f"    {problem.where}: {problem.what}" for problem in self.problems[:SHOWN_PROBLEMS]]
        if len(self.problems) > SHOWN_PROBLEMS:
            shown.append(f"    and {len(self.problems) - SHOWN_PROBLEMS} more")
        count = f"{len(self.problems)} of {len(self.names)} samples of split {self.split} cannot be used:"
        raise DataError("\n".join([count, *shown]), self.problems[0].where, self.problems[0].advice)


def audit(dataset: SegmentationDataset, progress: Progress | None = None) -> Audit:
    """Reads every sample once and counts; one that raises DataError becomes a problem and reading goes on."""
    total, num_classes = len(dataset), dataset.num_classes
    counts = np.zeros((total, 256), dtype=np.int64)
    sizes = np.zeros((total, 2), dtype=np.int64)
    problems: list[DataError] = []
    depths: dict[Depth, Found] = {}
    limits: tuple[float, float] | None = None
    outside_range = dataset.value_range
    for i in range(total):
        try:
            image, label = dataset.read(i)
            depth = dataset.depth(i)
            count, first, place = depths.get(depth, (0, i, dataset.place(i)))
            depths[depth] = Found(count + 1, first, place)
            if outside_range is not None and bool(((image > 0) & (image < 1)).any()):
                outside_range = None
            if image.dtype != np.uint8 and dataset.value_range is None:
                low, high = limits or (1.0, 0.0)
                limits = min(low, float(image.min())), max(high, float(image.max()))
            counted = np.bincount(label.ravel(), minlength=256)
            foreign = num_classes + np.flatnonzero(counted[num_classes:VOID])
            if foreign.size or image.shape[:2] != label.shape:
                what = f"ids {foreign.tolist()} of {num_classes} classes" if foreign.size else "sizes that differ"
                raise DataError(f"sample has {what}", dataset.sample_name(i), "Correct the dataset's read().")
            counts[i], sizes[i] = counted, label.shape
        except DataError as error:
            problems.append(error)
        if progress:
            progress(i + 1, total)
    names = tuple(dataset.sample_name(i) for i in range(total))
    per_class = counts[:, :num_classes]
    void_pixels = int(counts[:, VOID].sum())
    return Audit(
        dataset.split,
        dataset.classes,
        names,
        per_class.sum(0),
        void_pixels,
        per_class > 0,
        sizes,
        tuple(problems),
        depths,
        limits,
        outside_range if depths else None,
    )


def audit_cached(dataset: SegmentationDataset, folder: Path, progress: Progress | None = None) -> Audit:
    """As `audit`, but a good audit is kept in `folder` as JSON and read back while the fingerprint stays the
    same.

    A bad audit is never kept: the user corrects files and calls again. A cache file that cannot be read is made
    anew.
    """
    path = Path(folder) / f"audit-{dataset.fingerprint()}-{dataset.split}.json"
    cached = _load(path, dataset)
    if cached is not None:
        return cached
    result = audit(dataset, progress)
    if not result.problems:
        write_json(
            path,
            {
                "names": list(result.names),
                "pixels": result.pixels.tolist(),
                "void_pixels": result.void_pixels,
                "presence": result.presence.astype(int).tolist(),
                "sizes": result.sizes.tolist(),
                "depths": [[*depth, found.images, found.first] for depth, found in result.depths.items()],
                "limits": result.limits,
            },
        )
    return result


def _load(path: Path, dataset: SegmentationDataset) -> Audit | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        names, count = tuple(stored["names"]), len(dataset)
        pixels = np.array(stored["pixels"], dtype=np.int64)
        presence = np.array(stored["presence"], dtype=bool).reshape(count, dataset.num_classes)
        sizes = np.array(stored["sizes"], dtype=np.int64).reshape(count, 2)
        void_pixels = int(stored["void_pixels"])
        depths = {
            Depth(bits, numbers): Found(images, first, dataset.place(first))
            for bits, numbers, images, first in stored["depths"]
        }
        limits = None if stored["limits"] is None else (float(stored["limits"][0]), float(stored["limits"][1]))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    if len(names) != count or pixels.shape != (dataset.num_classes,):
        return None
    return Audit(dataset.split, dataset.classes, names, pixels, void_pixels, presence, sizes, (), depths, limits)
