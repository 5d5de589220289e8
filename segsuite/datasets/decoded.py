"""A dataset's decoded images in one file that all processes of a machine map into their memory.

Reading a PNG of 360 x 480 takes 4 to 7 ms of a core, and a trial reads each image in every epoch; out of this file it
takes a tenth of a millisecond, and workers, trials and other users of the file share one copy in the system's memory.
The files lie in $XDG_CACHE_HOME/segsuite/decoded (~/.cache by default), under a name made of the dataset's fingerprint,
its classes and the sizes and times of its files, so that a changed image is decoded anew. They can be deleted at any
time. Imports no torch.
"""

import contextlib
import hashlib
import json
import mmap
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from segsuite.datasets.base import FileDataset, Image, Label, SegmentationDataset
from segsuite.errors import DataError, SegsuiteError
from segsuite.io import atomic

GIB = 2**30
MOST_BYTES = 4 * GIB
"""Of one dataset under auto."""
MOST_BYTES_TOGETHER = 20 * GIB
"""Of all files; the ones that were not used for the longest time are removed first."""
SUFFIX = ".decoded"
NAME = re.compile(r"[0-9a-f]{32}\.decoded")
INDEX_BYTES = 8
"""At the end of a file: the length of its index, which stands before that."""
Progress = Callable[[int, int], None]
Shape = tuple[int, int, int]
"""Height and width of a sample, and the bytes of a value of its image: 1 of uint8, 4 of float32."""


class DecodedDataset(SegmentationDataset):
    """`dataset` whose images and labels are read from a file made by `decoded`."""

    def __init__(self, dataset: SegmentationDataset, file: Path, shapes: list[Shape]) -> None:
        self.dataset, self.file, self._shapes = dataset, file, shapes
        self.classes, self.palette, self.split = dataset.classes, dataset.palette, dataset.split
        self._starts = [0, *accumulate(map(_size, shapes))]
        self._bytes: mmap.mmap | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Another process maps the file itself."""
        return self.__dict__ | {"_bytes": None}

    def __len__(self) -> int:
        return len(self.dataset)

    def sample_name(self, index: int) -> str:
        return self.dataset.sample_name(index)

    def sequence(self, index: int) -> str:
        return self.dataset.sequence(index)

    def fingerprint(self) -> str:
        return self.dataset.fingerprint()

    def read(self, index: int) -> tuple[Image, Label]:
        height, width, value = shape = self._shapes[index]
        content = np.frombuffer(self._mapped(), np.uint8, _size(shape), self._starts[index])
        image, label = np.split(content, [3 * value * height * width])
        # A copy first: what follows an image of bytes is not aligned to floats.
        pixels: Image = image.copy().view(np.float32) if value == 4 else image.copy()
        return pixels.reshape(height, width, 3), label.copy().reshape(height, width)

    def _mapped(self) -> mmap.mmap:
        if self._bytes is None:
            with self.file.open("rb") as opened:
                self._bytes = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        return self._bytes


def decoded(
    dataset: SegmentationDataset,
    wanted: bool | Literal["auto"] = "auto",
    threads: int = 1,
    progress: Progress = lambda done, of: None,
    folder: Path | None = None,
) -> SegmentationDataset:
    """`dataset` from its file of decoded images, which is made first where there is none; itself where there can be
    none.

    auto: where the decoded images take at most MOST_BYTES and half of the free disk; `wanted`: where the disk has room.
    Raises DataError as reading does; a disk that refuses only costs the decoding in each epoch.
    """
    if wanted is False or not len(dataset):
        return dataset
    file = (folder or cache_folder()) / f"{_key(dataset)}{SUFFIX}"
    shapes = _shapes(file, len(dataset))
    if shapes is None:
        most = _room(file.parent) if wanted is True else min(MOST_BYTES, _room(file.parent) // 2)
        try:
            _make(file, dataset, most, threads, progress)
        except DataError:
            raise
        except (_TooLarge, OSError, SegsuiteError):
            return dataset
        shapes = _shapes(file, len(dataset))
    if shapes is None:
        return dataset
    with contextlib.suppress(OSError):
        os.utime(file)  # the time of its last use
    return DecodedDataset(dataset, file, shapes)


class _TooLarge(Exception):
    """The images take more bytes than they may."""


def _size(shape: Shape) -> int:
    """Bytes of a sample: image, then label."""
    height, width, value = shape
    return height * width * (3 * value + 1)


def cache_folder() -> Path:
    """Where the files lie."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "segsuite" / "decoded"


def _key(dataset: SegmentationDataset) -> str:
    digest = hashlib.sha256(repr((dataset.fingerprint(), dataset.classes, len(dataset))).encode())
    if isinstance(dataset, FileDataset):
        for sample in dataset.samples:
            for path in (sample.image, sample.mask):
                found = path.stat()
                digest.update(f"{found.st_size} {found.st_mtime_ns};".encode())
    return digest.hexdigest()[:32]


def _room(folder: Path) -> int:
    """Bytes that are free where the folder is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _make(file: Path, dataset: SegmentationDataset, most: int, threads: int, progress: Progress) -> None:
    """Writes the file. Two processes may do so at once: each writes its own, and the last one stays, which is equal."""

    def write(opened: BinaryIO) -> None:
        shapes: list[Shape] = []
        for image, label in _read_ahead(dataset, threads):
            shapes.append((label.shape[0], label.shape[1], image.itemsize))
            if opened.tell() + _size(shapes[-1]) > most:
                raise _TooLarge
            opened.write(np.ascontiguousarray(image).data)
            opened.write(np.ascontiguousarray(label).data)
            progress(len(shapes), len(dataset))
        index = json.dumps(shapes).encode()
        opened.write(index + len(index).to_bytes(INDEX_BYTES, "little"))

    atomic.write_with(file, write)
    _remove_old(file)


def _read_ahead(dataset: SegmentationDataset, threads: int) -> Iterator[tuple[Image, Label]]:
    """All samples in their order, decoded by threads that are some images ahead."""
    with ThreadPoolExecutor(max(1, threads)) as readers:  # decoding does not hold Python's lock
        waiting: deque[Future[tuple[Image, Label]]] = deque()
        try:
            for index in range(len(dataset)):
                waiting.append(readers.submit(dataset.read, index))
                if len(waiting) > 4 * max(1, threads):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


def _shapes(file: Path, count: int) -> list[Shape] | None:
    """The shapes of the samples in a file, None where there is none or it is not whole."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            opened.seek(size - INDEX_BYTES)
            length = int.from_bytes(opened.read(INDEX_BYTES), "little")
            opened.seek(size - INDEX_BYTES - length)
            shapes = [(int(height), int(width), int(value)) for height, width, value in json.loads(opened.read(length))]
    except (OSError, ValueError, TypeError):
        return None
    whole = sum(map(_size, shapes)) + length + INDEX_BYTES == size
    return shapes if whole and len(shapes) == count else None


def _remove_old(newest: Path) -> None:
    """Keeps the files together below MOST_BYTES_TOGETHER; whoever has one mapped keeps it until the process ends."""
    with contextlib.suppress(OSError):
        paths = [path for path in newest.parent.glob(f"*{SUFFIX}") if NAME.fullmatch(path.name)]
        files = sorted((path.lstat().st_mtime, path.lstat().st_size, path) for path in paths)
        together = sum(size for _, size, _ in files)
        for _, size, path in files:
            if together <= MOST_BYTES_TOGETHER or path == newest:
                continue
            path.unlink(missing_ok=True)
            together -= size
