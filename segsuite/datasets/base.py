"""What every dataset is: named samples of an image and a label, plus what datasets of files share."""

import colorsys
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.image_header import Depth, read_header
from segsuite.datasets.image_io import read_image, read_mask
from segsuite.datasets.mask_values import VOID as VOID
from segsuite.errors import DataError, plural
from segsuite.io.paths import RELATIVE, expanded
from segsuite.io.reading import patiently

FINGERPRINT_BYTES = 64 * 1024

Image = NDArray[np.uint8] | NDArray[np.float32]
Label = NDArray[np.uint8]
Palette = tuple[tuple[int, int, int], ...]


class SegmentationDataset(ABC):
    """One split of a dataset; see `segsuite.datasets` for the contract."""

    classes: tuple[str, ...]
    palette: Palette
    split: str

    @property
    def num_classes(self) -> int:
        """Number of classes without void."""
        return len(self.classes)

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples in this split."""

    @abstractmethod
    def sample_name(self, index: int) -> str:
        """A short name, unique within the split."""

    @abstractmethod
    def read(self, index: int) -> tuple[Image, Label]:
        """Image (H, W, 3) uint8 or float32 in 0..1, label (H, W) uint8. Raises DataError naming the file."""

    @abstractmethod
    def fingerprint(self) -> str:
        """16 hex digits that change when the data or what they mean change; free of paths and times."""

    value_range: tuple[float, float] | None = None
    """Raw values that become 0 and 1 in images of more than 8 bits; None: the limits of their bits."""

    def depth(self, index: int) -> Depth:
        """What the numbers of the image file are. Without a value_range, images of unlike depth have unlike scales."""
        return Depth()

    def place(self, index: int) -> str:
        """Where the image is, for messages."""
        return self.sample_name(index)

    def sequence(self, index: int) -> str:
        """The group of correlated samples (frames of one video) that this one is in; its own by default."""
        return self.sample_name(index)


class Sample(NamedTuple):
    """Where one sample of a dataset of files lies."""

    name: str
    image: Path
    mask: Path


def dataset_folder(root: str | Path) -> Path:
    """The absolute folder that the setting `root` means. Raises DataError when there is none."""
    folder = expanded(root)
    if not folder.is_dir():
        advice = f"Set it with --set data.root=FOLDER; {RELATIVE}. See data/README.md."
        raise DataError(f"there is no dataset folder {root}", str(folder), advice)
    return folder


class FileDataset(SegmentationDataset):
    """A dataset of image and mask files; a subclass fills `samples` and says what a raw mask value means."""

    samples: Sequence[Sample]
    lossy_masks = False
    """Whether a mask may be a JPEG: only where ranges of raw values have a meaning."""

    def __len__(self) -> int:
        return len(self.samples)

    def sample_name(self, index: int) -> str:
        return self.samples[index].name

    @abstractmethod
    def to_label(self, raw: NDArray[Any], path: Path) -> Label:
        """Class ids (H, W) of the raw mask of `path`. Raises DataError for a value without a meaning."""

    def read(self, index: int) -> tuple[Image, Label]:
        sample = self.samples[index]
        image = read_image(sample.image, self.value_range)
        raw = read_mask(sample.mask, self.lossy_masks)
        check_sizes(image.shape[:2], raw.shape[:2], sample)
        return image, self.to_label(raw, sample.mask)

    def read_label(self, index: int) -> Label:
        """The label (H, W) alone: its image takes most of the time to decode."""
        mask = self.samples[index].mask
        return self.to_label(read_mask(mask, self.lossy_masks), mask)

    def place(self, index: int) -> str:
        return str(self.samples[index].image)

    def depth(self, index: int) -> Depth:
        return read_header(self.samples[index].image).depth

    def fingerprint(self) -> str:
        return files_fingerprint(self.classes, self.samples, self.meaning())

    def meaning(self) -> str:
        """Settings that change what `read` returns for the same files; part of the fingerprint."""
        return ""


def files_fingerprint(
    classes: Sequence[str],
    samples: Iterable[Sample],
    meaning: str = "",
    digest_of: Callable[[Path], tuple[bytes, int]] | None = None,
) -> str:
    """16 hex digits of the class names, `meaning`, and name, size and first 64 KiB of every image and mask.

    Neither places nor times of the files count, so that copies on two machines agree. Damage beyond the first
    64 KiB that keeps the size goes unseen here; decoding finds it. `digest_of`: in place of `file_digest`.
    """
    digest = hashlib.sha256(repr((tuple(classes), meaning)).encode())
    for sample in samples:
        digest.update(repr(sample.name).encode())
        for path in (sample.image, sample.mask):
            first, size = (digest_of or file_digest)(path)
            digest.update(first)
            digest.update(size.to_bytes(8, "big"))
    return digest.hexdigest()[:16]


def file_digest(path: Path) -> tuple[bytes, int]:
    """SHA-256 of a file's first 64 KiB, and its size. Raises DataError when it cannot be read."""
    try:
        return patiently(lambda: _digest(path))
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror}", str(path), "Restore the file.") from error


def _digest(path: Path) -> tuple[bytes, int]:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(FINGERPRINT_BYTES)).digest(), path.stat().st_size


def check_sizes(image: tuple[int, ...], mask: tuple[int, ...], sample: Sample) -> None:
    """Raises DataError unless image and mask have the same height and width."""
    if image != mask:
        raise DataError(
            f"mask is {mask[0]}x{mask[1]} but its image is {image[0]}x{image[1]} (height x width)",
            f"{sample.mask} of {sample.image}",
            "Give each image a mask of its size.",
        )


MANY_VALUES = 8
"""Raw values without a class in one mask from which on it is likely one of probabilities or of grey edges."""


def unknown_value(value: str, count: int, path: Path, known: str, others: int = 0, ranges: str = "") -> DataError:
    """The error for a mask value that means nothing: value, number of pixels, file and what is known. `others`: how
    many more such values the mask holds; `ranges`: how one writes ranges of them, said if they are many."""
    also = f", and {plural(others, 'other value')} that {'does' if others == 1 else 'do'} not either" if others else ""
    advice = f"Correct the mask, or give the value a class or void; known are {known}."
    if ranges and others + 1 >= MANY_VALUES:
        advice = f"Give ranges of values a class, such as {ranges}, or correct the mask; known are {known}."
    what = f"mask holds the raw value {value} in {plural(count, 'pixel')}, which stands for no class{also}"
    return DataError(what, str(path), advice)


def default_palette(num_classes: int) -> Palette:
    """`num_classes` distinct RGB colours, always the same ones.

    The first eight are told apart by colour-blind readers (Okabe and Ito, "Color universal design", 2008);
    later ones step the hue by the golden ratio and cycle through three lightnesses.
    """
    first = (
        (0, 0, 0),
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
    )
    colours = [*first, (204, 121, 167)][:num_classes]
    for k in range(num_classes - len(colours)):
        red, green, blue = colorsys.hls_to_rgb(k * 0.618034 % 1.0, (0.35, 0.6, 0.8)[k % 3], (0.9, 0.5)[k // 3 % 2])
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return tuple(colours)
