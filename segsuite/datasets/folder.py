"""Any images and masks, by settings alone: globs or a CSV, classes, what raw mask values mean, the split."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.base import (
    VOID,
    FileDataset,
    Label,
    Sample,
    dataset_folder,
    default_palette,
    unknown_value,
)
from segsuite.datasets.fractions import parts
from segsuite.datasets.mask_values import Range, check_classes, mask_values
from segsuite.datasets.pair_list import listed
from segsuite.datasets.pairing import SPLIT, paired
from segsuite.errors import ConfigError, DataError, unknown_name
from segsuite.io.numbers import percent
from segsuite.io.paths import as_written

MOST_COLOURS = 16


class Folder(FileDataset):
    """One split of images and masks below `root`; every other path and pattern is relative to it.

    `images`, `masks`: glob patterns ("**" for any depth), paired by file stem, or by what the wildcards
    matched when stems repeat; a suffix that all masks share, such as _mask, does not count. Or `csv`: a file
    with the columns image, mask and, if wanted, split. `classes`: names of the ids 0, 1, ... `values`: raw
    mask value -> class name or "void"; keys are integers, ranges such as "0-127", or "#rrggbb" for coloured
    masks; without it a raw value is the class id, and 255 is void. The split is "{split}" in a pattern or in
    the CSV's name, a CSV column, or `fractions` such as {"train": 0.8, "val": 0.2}: then each image's own path
    and `split_seed` decide (see `fractions.parts`). `value_range`: raw values (low, high) of an image of more
    than 8 bits that become 0 and 1; the full range of its bits by default.
    """

    def __init__(
        self,
        split: str,
        *,
        root: str | Path,
        classes: Sequence[str],
        images: str | None = None,
        masks: str | None = None,
        csv: str | None = None,
        values: Mapping[int | str, str] | None = None,
        fractions: Mapping[str, float] | None = None,
        split_seed: int = 0,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.split, self.classes, self.palette = split, tuple(classes), default_palette(len(classes))
        check_classes(self.classes)
        if value_range is not None:
            low, high = value_range
            if not low < high:
                raise ConfigError(f"value_range ({low}, {high}) is empty", advice="Give (low, high) with low < high.")
            self.value_range = (float(low), float(high))
        self._values = mask_values(values, self.classes)
        self._intervals, self._colours = self._values.intervals, self._values.colours
        self.lossy_masks = bool(self._values.ranges)
        self._plain_pair = values is None and len(self.classes) == 2
        folder = dataset_folder(root)
        images, masks, csv = (place if place is None else as_written(place) for place in (images, masks, csv))

        fixed_split = any(SPLIT in place for place in (images, masks, csv) if place)
        if csv is not None and images is None and masks is None:
            pairs, column = listed(folder, csv.replace(SPLIT, split), split)
            fixed_split = fixed_split or column
        elif csv is None and images is not None and masks is not None:
            pairs = paired(folder, images, masks, split)
        else:
            raise ConfigError(
                "folder needs images and masks, or csv alone", advice="Give either the two globs or a CSV."
            )
        if fixed_split == (fractions is not None):
            state = (
                "twice, by fractions and otherwise" if fixed_split else "nowhere: all splits would hold the same images"
            )
            raise ConfigError(
                f"folder's split is given {state}",
                advice='Give exactly one of: "{split}" in a pattern, a CSV column split, or fractions.',
            )
        keys = [_relative_key(image, folder) for image, _ in pairs]
        if fractions is not None:
            if split not in fractions:
                raise ConfigError(unknown_name("split", split, fractions), "data.fractions", "Give it a share.")
            chosen = [part == split for part in parts(keys, fractions, split_seed)]
        else:
            chosen = [True] * len(keys)
        stems = Counter(image.stem for image, _ in pairs)
        self.samples = [
            Sample(image.stem if stems[image.stem] == 1 else key, image, mask)
            for (image, mask), key, wanted in zip(pairs, keys, chosen, strict=True)
            if wanted
        ]
        if not self.samples:
            raise DataError(f"split {split} has no images", str(folder), "Check the split's name and its images.")

    def meaning(self) -> str:
        meaning = (sorted(self._values.ids.items()), sorted(self._colours.items()), self.value_range)
        return repr((*meaning, self._values.ranges) if self._values.ranges else meaning)

    def to_label(self, raw: NDArray[Any], path: Path) -> Label:
        colours = raw.ndim == 3
        if colours and not self._colours and (raw == raw[:, :, :1]).all():
            raw, colours = raw[:, :, 0], False  # a grey mask that a tool saved as RGB
        if colours:
            wide = raw.astype(np.int64)
            raw = wide[:, :, 0] << 16 | wide[:, :, 1] << 8 | wide[:, :, 2]
        intervals = [(key, key, id) for key, id in sorted(self._colours.items())] if colours else self._intervals
        if not intervals and colours:
            raise DataError("mask holds RGB colours, and values names none", str(path), _name_them(raw))
        if not intervals:
            advice = "Add them to values, as {0: NAME, 1: NAME}."
            raise DataError('mask holds integer ids, and values names only "#rrggbb" colours', str(path), advice)
        ids = _looked_up(raw, intervals)
        if (ids < 0).any():
            value = int(raw[ids < 0].min())
            others = len(np.unique(raw[ids < 0])) - 1
            first, last = self.classes[0], self.classes[-1]
            ranges = "" if colours else f'values: {{"0-127": {first}, "128-255": {last}}}'
            count, known = int((raw == value).sum()), self._values.known(colours)
            raise unknown_value(_text(value, colours), count, path, known, others, ranges)
        label: Label = ids.astype(np.uint8)
        if self._plain_pair and (label == VOID).any() and not (label == 1).any():
            raise DataError(
                "mask holds 255 and no 1: it is unclear whether 255 means void or the second class",
                str(path),
                f"Write values, such as {{0: {self.classes[0]}, 255: {self.classes[1]}}}.",
            )
        return label


def _relative_key(image: Path, folder: Path) -> str:
    """The image's path below the root without its extension: the same text on every system."""
    place = image.relative_to(folder) if image.is_relative_to(folder) else image
    return unicodedata.normalize("NFC", place.with_suffix("").as_posix())


def _looked_up(raw: NDArray[Any], intervals: Sequence[Range]) -> NDArray[np.int16]:
    """The class id of each raw value, -1 for values without a meaning. `intervals` are in order and apart."""
    if raw.dtype in (np.uint8, np.uint16):  # one indexing is five times faster than a search
        lookup = np.full(int(np.iinfo(raw.dtype).max) + 1, -1, dtype=np.int16)
        for low, high, class_id in intervals:
            if high >= 0:
                lookup[max(0, low) : high + 1] = class_id
        indexed: NDArray[np.int16] = lookup[raw]
        return indexed
    lows, highs = (np.array([one[at] for one in intervals], dtype=np.int64) for at in (0, 1))
    place = (np.searchsorted(lows, raw, side="right") - 1).clip(min=0)
    ids = np.array([class_id for _, _, class_id in intervals], dtype=np.int16)
    found: NDArray[np.int16] = np.where((lows[place] <= raw) & (raw <= highs[place]), ids[place], np.int16(-1))
    return found


def _text(value: int, colour: bool) -> str:
    return f"#{value:06x}" if colour else str(value)


def _name_them(raw: NDArray[np.int64]) -> str:
    """What to do about colours without a meaning: `values` with those of the mask, the most frequent first."""
    found, counts = np.unique(raw, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_COLOURS]
    shown = ", ".join(f'"{_text(int(found[at]), True)}" ({percent(counts[at] / raw.size)})' for at in order)
    more = f", and {len(found) - MOST_COLOURS} more" if len(found) > MOST_COLOURS else ""
    return f'Write values, such as {{"#ff0000": NAME, "#000000": void}}, for all colours; this mask has {shown}{more}.'
