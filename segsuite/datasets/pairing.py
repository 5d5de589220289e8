"""Which mask belongs to which image of a folder, by two glob patterns."""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from segsuite.errors import DataError, plural

SPLIT = "{split}"

MASK_SUFFIX = re.compile(r"[_-](masks?|labels?|gt|seg|segmentation|annotation|gtFine_label(Train)?Ids)$", re.IGNORECASE)
IMAGE_SUFFIX = re.compile(r"[_-](image|img|leftImg8bit|sat)$", re.IGNORECASE)
_SHOWN = 3


def paired(folder: Path, images: str, masks: str, split: str) -> list[tuple[Path, Path]]:
    """Each image of the split with its mask; `{split}` in a pattern stands for its name.

    Raises DataError for an image without a mask, a mask without an image, keys that repeat, and what cannot be read.
    Of a pattern for masks without {split}, masks of the images of other splits are let be.
    """
    of_images, of_masks = images.replace(SPLIT, split), masks.replace(SPLIT, split)
    mask_names = files_of(folder, of_masks)
    taken = set(mask_names)  # of *.png and *_mask.png in one folder, the first matches masks too
    image_names = [name for name in files_of(folder, of_images) if name not in taken]
    if not image_names:
        raise DataError(
            f"every file of the pattern {of_images} is also a mask", str(folder), "Tell the two patterns apart."
        )
    image_keys, mask_keys = _keys(image_names, of_images, mask_names, of_masks)
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
            f"{len(alone)} of {plural(len(image_names), 'image')} have no mask of the same "
            f"name: {', '.join(alone[:_SHOWN])}",
            str(folder),
            f"Searched {plural(len(mask_names), 'mask')} of {of_masks}; "
            "correct the patterns, or list the pairs in a CSV.",
        )
    known = set(image_keys)
    left = [name for name, key in zip(mask_names, mask_keys, strict=True) if key not in known]
    if left and SPLIT in images and SPLIT not in masks:
        of_all = set(_stems(_matching(folder, images.replace(SPLIT, "*")), IMAGE_SUFFIX))
        stems = dict(zip(mask_names, _stems(mask_names, MASK_SUFFIX), strict=True))
        left = [name for name in left if stems[name] not in of_all]
    if left:
        raise DataError(
            f"{len(left)} of {plural(len(mask_names), 'mask')} have no image of the same "
            f"name: {', '.join(left[:_SHOWN])}",
            str(folder),
            f"Searched {plural(len(image_names), 'image')} of {of_images}; "
            "add them, remove the masks, or list pairs in a CSV.",
        )
    return [(folder / name, folder / mask_of[key]) for name, key in zip(image_names, image_keys, strict=True)]


def files_of(folder: Path, pattern: str) -> list[str]:
    """Files below `folder` that match, as relative paths in order; the case of the ending does not count.

    Raises DataError when there are none, for a link to nothing, and for a folder that cannot be read.
    """
    names = _matching(folder, pattern)
    regular = {above: regular_files(folder / above) for above in {os.path.dirname(name) for name in names}}
    found = [name for name in names if os.path.basename(name) in regular[os.path.dirname(name)]]
    broken = [name for name in sorted(set(names) - set(found)) if not (folder / name).exists()]
    if broken:
        raise DataError(
            f"{plural(len(broken), 'file')} {'is a broken link' if len(broken) == 1 else 'are broken links'}, "
            f"the first is {broken[0]}",
            str(folder),
            "Restore what they point to, or remove them.",
        )
    closed = [name for name in _folders(folder, pattern) if not os.access(folder / name, os.R_OK | os.X_OK)]
    if closed:
        raise DataError(f"the folder {closed[0]} cannot be read", str(folder), "Ask for the right to read it.")
    if not found:
        raise DataError(f"no file matches the pattern {pattern}", str(folder), "Correct the pattern or data.root.")
    return found


def _matching(folder: Path, pattern: str) -> list[str]:
    return sorted(glob.glob(_any_case(pattern), root_dir=folder, recursive=True))


def regular_files(folder: Path) -> set[str]:
    """Names of the files in `folder`; broken links are none. The listing says it of all files at once: on a network
    file system asking for one after the other takes minutes."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_file()}


def _folders(folder: Path, pattern: str) -> list[str]:
    """The folders that a pattern looks into."""
    above = os.path.dirname(pattern)
    return glob.glob(above + os.sep, root_dir=folder, recursive=True) if above else ["."]


def _any_case(pattern: str) -> str:
    """
    >>> _any_case("{split}/*.Png"), _any_case("*")
    ('{split}/*.[pP][nN][gG]', '*')
    """
    ending = re.search(r"\.[A-Za-z0-9]+$", pattern)
    if ending is None:
        return pattern
    either = (f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in ending[0])
    return pattern[: ending.start()] + "".join(either)


def _keys(
    image_names: Sequence[str], images: str, mask_names: Sequence[str], masks: str
) -> tuple[list[str], list[str]]:
    """What pairs images and masks: their stems, and what the wildcards matched where stems repeat."""
    image_keys, mask_keys = _stems(image_names, IMAGE_SUFFIX), _stems(mask_names, MASK_SUFFIX)
    if len(set(image_keys)) < len(image_keys) or len(set(mask_keys)) < len(mask_keys):
        image_keys = ["/".join((*_matched(n, images), k)) for n, k in zip(image_names, image_keys, strict=True)]
        mask_keys = ["/".join((*_matched(n, masks), k)) for n, k in zip(mask_names, mask_keys, strict=True)]
    return image_keys, mask_keys


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
