"""Which mask belongs to which image of a folder: by two glob patterns, or by a CSV that lists the pairs."""

import csv
import glob
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from segsuite.errors import DataError, unknown_name

MASK_SUFFIX = re.compile(r"[_-](masks?|labels?|gt|seg|segmentation|annotation|gtFine_label(Train)?Ids)$", re.IGNORECASE)
IMAGE_SUFFIX = re.compile(r"[_-](image|img|leftImg8bit|sat)$", re.IGNORECASE)
_SHOWN = 3


def _found(folder: Path, pattern: str) -> list[str]:
    """Files below `folder` that match, as relative paths in order. Raises DataError when there are none."""
    found = sorted(name for name in glob.glob(pattern, root_dir=folder, recursive=True) if (folder / name).is_file())
    if not found:
        raise DataError(f"no file matches the pattern {pattern}", str(folder), "Correct the pattern or data.root.")
    return found


def paired(folder: Path, images: str, masks: str) -> list[tuple[Path, Path]]:
    """Each image with its mask. Raises DataError for an image without one and for keys that repeat."""
    mask_names = _found(folder, masks)
    taken = set(mask_names)  # of *.png and *_mask.png in one folder, the first matches masks too
    image_names = [name for name in _found(folder, images) if name not in taken]
    if not image_names:
        raise DataError(
            f"every file of the pattern {images} is also a mask", str(folder), "Tell the two patterns apart."
        )
    image_keys, mask_keys = _stems(image_names, IMAGE_SUFFIX), _stems(mask_names, MASK_SUFFIX)
    if len(set(image_keys)) < len(image_keys) or len(set(mask_keys)) < len(mask_keys):
        image_keys = ["/".join((*_matched(n, images), k)) for n, k in zip(image_names, image_keys, strict=True)]
        mask_keys = ["/".join((*_matched(n, masks), k)) for n, k in zip(mask_names, mask_keys, strict=True)]
    for names, keys in ((image_names, image_keys), (mask_names, mask_keys)):
        counts = Counter(keys)
        repeated = [name for name, key in zip(names, keys, strict=True) if counts[key] > 1][:_SHOWN]
        if repeated:
            raise DataError(
                f"files share one name: {', '.join(repeated)}",
                str(folder),
                "Rename them, or list pairs in a CSV.",
            )
    mask_of = dict(zip(mask_keys, mask_names, strict=True))
    alone = [name for name, key in zip(image_names, image_keys, strict=True) if key not in mask_of]
    if alone:
        raise DataError(
            f"{len(alone)} of {len(image_names)} images have no mask of the same name: {', '.join(alone[:_SHOWN])}",
            str(folder),
            f"Searched {len(mask_names)} masks of {masks}; correct the patterns, or list the pairs in a CSV.",
        )
    return [(folder / name, folder / mask_of[key]) for name, key in zip(image_names, image_keys, strict=True)]


def _stems(names: Sequence[str], suffix: re.Pattern[str]) -> list[str]:
    """File stems, without the suffix if all of them have one."""
    stems = [Path(name).stem for name in names]
    return [suffix.sub("", stem) for stem in stems] if all(suffix.search(stem) for stem in stems) else stems


def _matched(name: str, pattern: str) -> Iterator[str]:
    """The folders of a file that wildcards matched: "a" of a/images/1.png under */images/*.png."""
    folders, wanted = Path(name).parts[:-1], Path(pattern).parts[:-1]
    head = wanted.index("**") if "**" in wanted else len(wanted)
    tail = len(folders) - max(0, len(wanted) - head - 1)
    for i, folder in enumerate(folders):
        part = wanted[i] if i < head else "**" if i < tail else wanted[i - len(folders)]
        if glob.has_magic(part):
            yield folder


def listed(folder: Path, name: str, split: str) -> tuple[list[tuple[Path, Path]], bool]:
    """A split's pairs in a CSV, and whether it has a column split. Raises DataError with file:line."""
    path = folder / name
    if not path.is_file():
        raise DataError("CSV of images and masks does not exist", str(path), "Correct csv or data.root.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = [column.strip() for column in reader.fieldnames or ()]
        reader.fieldnames = columns
        if not {"image", "mask"} <= set(columns):
            raise DataError(
                f"CSV has the columns {columns}", f"{path}:1", "The first line must name image,mask[,split]."
            )
        rows = [(reader.line_num, {key: (row[key] or "").strip() for key in columns}) for row in reader]
    seen: dict[str, int] = {}
    for line, row in rows:
        if not row["image"] or not row["mask"] or ("split" in columns and not row["split"]):
            raise DataError("CSV line lacks a value", f"{path}:{line}", f"Fill the columns {', '.join(columns)}.")
        if seen.setdefault(row["image"], line) != line:
            raise DataError(
                f"CSV names {row['image']} twice",
                f"{path}:{line}",
                f"See line {seen[row['image']]}; keep one.",
            )
    if "split" in columns and split not in (names := {row["split"] for _, row in rows}):
        raise DataError(unknown_name("split", split, names), str(path), "Correct the CSV's column split.")
    chosen = [(line, row) for line, row in rows if row.get("split", split) == split]
    pairs = [(folder / row["image"], folder / row["mask"]) for _, row in chosen]
    missing = [(line, p) for (line, _), pair in zip(chosen, pairs, strict=True) for p in pair if not p.is_file()]
    if missing:
        line, first = missing[0]
        raise DataError(
            f"{len(missing)} files of the CSV are missing, the first is {first}",
            f"{path}:{line}",
            "Add them.",
        )
    return pairs, "split" in columns
