"""Any images and masks, by settings alone: globs or a CSV, classes, what raw mask values mean, the split."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.base import (
    MAX_CLASSES,
    VOID,
    FileDataset,
    Label,
    Sample,
    default_palette,
    unknown_value,
)
from segsuite.datasets.pairing import listed, paired
from segsuite.errors import ConfigError, DataError, unknown_name

SPLIT = "{split}"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class Folder(FileDataset):
    """One split of images and masks below `root`; every other path and pattern is relative to it.

    `images`, `masks`: glob patterns ("**" for any depth), paired by file stem, or by what the wildcards
    matched when stems repeat; a suffix that all masks share, such as _mask, does not count. Or `csv`: a file
    with the columns image, mask and, if wanted, split. `classes`: names of the ids 0, 1, ... `values`: raw
    mask value -> class name or "void"; keys are integers, or "#rrggbb" for coloured masks; without it a raw
    value is the class id, and 255 is void. The split is "{split}" in a pattern or in the CSV's name, a CSV
    column, or `fractions` such as {"train": 0.8, "val": 0.2}: then each image's own path and `split_seed`
    decide, so that added images move no other one between splits. `value_range`: raw values (low, high) of an
    image of more than 8 bits that become 0 and 1; its type's full range by default.
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
        _check_classes(self.classes)
        if value_range is not None:
            low, high = value_range
            if not low < high:
                raise ConfigError(f"value_range ({low}, {high}) is empty", advice="Give (low, high) with low < high.")
            self.value_range = (float(low), float(high))
        self._ids, self._colours = _tables(values, self.classes)
        self._plain_pair = values is None and len(self.classes) == 2
        folder = Path(root)
        if not folder.is_dir():
            raise DataError("dataset folder does not exist", str(folder), "Set it with --set data.root=FOLDER.")

        fixed_split = any(SPLIT in place for place in (images, masks, csv) if place)
        if csv is not None and images is None and masks is None:
            pairs, column = listed(folder, csv.replace(SPLIT, split), split)
            fixed_split = fixed_split or column
        elif csv is None and images is not None and masks is not None:
            pairs = paired(folder, images.replace(SPLIT, split), masks.replace(SPLIT, split))
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
            chosen = [split_of(key, fractions, split_seed) == split for key in keys]
            if split not in fractions:
                raise ConfigError(unknown_name("split", split, fractions), "fractions")
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

    def _meaning(self) -> str:
        return repr((sorted(self._ids.items()), sorted(self._colours.items()), self.value_range))

    def to_label(self, raw: NDArray[Any], path: Path) -> Label:
        colours = raw.ndim == 3
        if colours and not self._colours and (raw == raw[:, :, :1]).all():
            raw, colours = raw[:, :, 0], False  # a grey mask that a tool saved as RGB
        table = self._colours if colours else self._ids
        if not table:
            kinds = ("RGB colours", "integers") if colours else ("integer ids", '"#rrggbb" colours')
            raise DataError(f"mask holds {kinds[0]} but values names only {kinds[1]}", str(path), "Extend values.")
        if colours:
            wide = raw.astype(np.int64)
            raw = wide[:, :, 0] << 16 | wide[:, :, 1] << 8 | wide[:, :, 2]
        ids = _looked_up(raw, table)
        if (ids < 0).any():
            value = int(raw[ids < 0].min())
            known = ", ".join(_text(key, colours) for key in sorted(table)[:20]) + (", ..." if len(table) > 20 else "")
            raise unknown_value(_text(value, colours), int((raw == value).sum()), path, known)
        label: Label = ids.astype(np.uint8)
        if self._plain_pair and (label == VOID).any() and not (label == 1).any():
            raise DataError(
                "mask holds 255 and no 1: it is unclear whether 255 means void or the second class",
                str(path),
                f"Write values, such as {{0: {self.classes[0]}, 255: {self.classes[1]}}}.",
            )
        return label


def split_of(key: str, fractions: Mapping[str, float], split_seed: int) -> str | None:
    """The split of the image with this relative path; None in the rest that fractions below 1 in all leave.

    SHA-256 of seed and path gives a number in 0..1 that no other image and no machine changes; so the shares
    of few images differ from the fractions by chance.
    """
    if min(fractions.values(), default=0) <= 0 or sum(fractions.values()) > 1 + 1e-9:
        raise ConfigError(f"fractions {dict(fractions)} are not positive shares of 1", advice="Let them add up to 1.")
    digest = hashlib.sha256(f"{split_seed}:{key}".encode()).digest()
    place, end = int.from_bytes(digest[:6], "big") / 2**48, 0.0
    for name, share in fractions.items():
        end += share
        if place < end or end > 1 - 1e-9:
            return name
    return None


def _relative_key(image: Path, folder: Path) -> str:
    """The image's path below the root without its extension: the same text on every system."""
    place = image.relative_to(folder) if image.is_relative_to(folder) else image
    return unicodedata.normalize("NFC", place.with_suffix("").as_posix())


def _check_classes(classes: tuple[str, ...]) -> None:
    repeated = [name for name, count in Counter(classes).items() if count > 1]
    if not 1 <= len(classes) <= MAX_CLASSES or repeated or "void" in classes:
        raise ConfigError(
            f"classes {list(classes)[:20]} are not 1 to {MAX_CLASSES} different names without void",
            advice='Name each class once; map values without a class to "void" in values.',
        )


def _tables(values: Mapping[int | str, str] | None, classes: tuple[str, ...]) -> tuple[dict[int, int], dict[int, int]]:
    """Raw integer -> class id, and packed RGB (0xrrggbb) -> class id."""
    if values is None:
        return {**{i: i for i in range(len(classes))}, VOID: VOID}, {}
    ids: dict[int, int] = {}
    colours: dict[int, int] = {}
    for raw, name in values.items():
        if name != "void" and name not in classes:
            raise ConfigError(unknown_name("class", str(name), [*classes, "void"]), f"values, raw value {raw!r}")
        class_id = VOID if name == "void" else classes.index(name)
        text = str(raw)
        if _COLOUR.fullmatch(text):
            colours[int(text[1:], 16)] = class_id
        elif not isinstance(raw, bool) and re.fullmatch(r"-?\d+", text):
            ids[int(text)] = class_id
        else:
            raise ConfigError(f"raw value {raw!r} in values is no integer", advice='Colours are "#rrggbb", in quotes.')
    unreached = [name for k, name in enumerate(classes) if k not in (set(ids.values()) | set(colours.values()))]
    if unreached:
        raise ConfigError(
            f"values gives no raw value to {', '.join(unreached)}", advice="Give each class at least one."
        )
    return ids, colours


def _looked_up(raw: NDArray[Any], table: Mapping[int, int]) -> NDArray[np.int16]:
    """The class id of each raw value, -1 for values that the table lacks."""
    if raw.dtype in (np.uint8, np.uint16):  # one indexing is five times faster than a search
        lookup = np.full(int(np.iinfo(raw.dtype).max) + 1, -1, dtype=np.int16)
        for key, class_id in table.items():
            if 0 <= key < lookup.size:
                lookup[key] = class_id
        indexed: NDArray[np.int16] = lookup[raw]
        return indexed
    keys = np.array(sorted(table), dtype=np.int64)
    place = np.searchsorted(keys, raw).clip(max=keys.size - 1)
    ids = np.array([table[int(key)] for key in keys], dtype=np.int16)
    found: NDArray[np.int16] = np.where(keys[place] == raw, ids[place], np.int16(-1))
    return found


def _text(value: int, colour: bool) -> str:
    return f"#{value:06x}" if colour else str(value)
