"""CamVid in the SegNet tutorial's layout: 360x480 frames of driving in Cambridge, 11 classes and void.

Source: Brostow, Fauqueur, Cipolla, "Semantic object classes in video", Pattern Recognition Letters 2009;
layout and splits (367 train, 101 val, 233 test) of Badrinarayanan, Kendall, Cipolla, "SegNet", PAMI 2017.
Licence CC BY-NC 4.0.
"""

from collections import Counter
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.base import VOID, FileDataset, Label, Sample, dataset_folder, unknown_value
from segsuite.datasets.pairing import files_of, regular_files
from segsuite.errors import ConfigError, DataError, plural, unknown_name
from segsuite.io.reading import patiently
from segsuite.io.text_files import NotUtf8, utf8

RAW_VOID = 11
SPLITS = ("train", "val", "test")
_SET_ROOT = "Set it with --set data.root=FOLDER; data/README.md describes CamVid's layout and where to get it."


class CamVid(FileDataset):
    """One split; `root` holds `train/ trainannot/ train.txt` and the same for val and test.

    The lists name files of their author's machine, so samples are matched by file name alone; without a list,
    all PNGs of both folders are taken in order. Only the split that is built must exist.
    """

    classes = (
        *("sky", "building", "pole", "road", "pavement", "tree"),
        *("sign", "fence", "car", "pedestrian", "bicyclist"),
    )
    palette = (
        *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0)),
        *((192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
    )

    def __init__(self, split: str, *, root: str | Path) -> None:
        if split not in SPLITS:
            raise ConfigError(unknown_name("split of camvid", split, SPLITS))
        self.split = split
        folder = dataset_folder(root)
        images, masks, listing = folder / split, folder / f"{split}annot", folder / f"{split}.txt"
        absent = [f"{path.name}/" for path in (images, masks) if not path.is_dir()]
        if absent:
            raise DataError(f"CamVid's root {root} lacks {' and '.join(absent)}", str(folder), _SET_ROOT)
        if listing.is_file():
            names = _listed(listing)
        else:
            names = sorted({name for place in (images, masks) for name in files_of(place, "*.png")})
        if not names:
            raise DataError(
                f"CamVid's split {split} is empty", str(listing if listing.is_file() else images), _SET_ROOT
            )
        there = {place: regular_files(place) for place in (images, masks)}
        missing = [place / name for name in names for place in (images, masks) if name not in there[place]]
        if missing:
            raise DataError(
                f"{plural(len(missing), 'file')} of CamVid's split {split} "
                f"{'is' if len(missing) == 1 else 'are'} missing, the first is "
                f"{missing[0].relative_to(folder).as_posix()}",
                str(folder),
                "Copy the dataset again, whole.",
            )
        self.samples = [Sample(Path(name).stem, images / name, masks / name) for name in names]
        self._ids = np.full(256, -1, dtype=np.int16)
        self._ids[: RAW_VOID + 1] = [*range(RAW_VOID), VOID]

    def sequence(self, index: int) -> str:
        """The recording that the frame comes from, such as 0016E5: the name up to the underscore."""
        return self.sample_name(index).split("_")[0]

    def to_label(self, raw: NDArray[Any], path: Path) -> Label:
        if raw.dtype != np.uint8 or raw.ndim != 2:
            raise DataError(
                "mask is not an 8-bit image of class ids", str(path), "Use the masks of the SegNet tutorial."
            )
        ids = self._ids[raw]
        if (ids < 0).any():
            value = int(raw[ids < 0].min())
            raise unknown_value(str(value), int((raw == value).sum()), path, "0..10 for the classes and 11 for void")
        label: Label = ids.astype(np.uint8)
        return label


def _listed(listing: Path) -> list[str]:
    """The file names of a list, whatever machine's paths it holds."""
    try:
        lines = utf8(patiently(listing.read_bytes)).splitlines()
    except NotUtf8 as error:
        where = f"{listing}:{error.line}"
        raise DataError(f"the list cannot be read: {error.what}", where, "Save it as UTF-8.") from error
    # Image and mask have one name, and the last word ends in it even if folders have spaces.
    # PureWindowsPath splits at both kinds of slash.
    names = [PureWindowsPath(line.split()[-1]).name for line in lines if line.strip()]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"list names {repeated[0]} more than once", str(listing), "Keep one line for each frame.")
    return names
