"""Whether the data are still those that a trial saw: fingerprints, compared without reading what has not changed.

What the first bytes of a file hash to is kept in $XDG_CACHE_HOME/segsuite/file-digests (~/.cache by default) with the
file's size, time of change and inode, and taken from there while these stay as they are. What is kept can be deleted at
any time. A trial itself reads the files anew. Imports no torch.
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from segsuite.datasets.base import FileDataset, SegmentationDataset, file_digest, files_fingerprint
from segsuite.datasets.statistics import cache_folder
from segsuite.errors import SegsuiteError
from segsuite.io import atomic

SETTLED_SECONDS = 2.0
"""A file that was changed so shortly ago may change again within the resolution of its time: it is not kept."""

Digest = tuple[bytes, int]
"""SHA-256 of a file's first bytes, and its size."""


def trial_fingerprint(train: str, watched: str | None, scored: str) -> str:
    """The fingerprint of all data that a trial sees, from those of its splits; `watched`: the validated split, if it is
    neither of the two others."""
    return "-".join(filter(None, (train, watched, scored)))


def same_data(one: str, other: str) -> bool:
    """Whether two fingerprints of trials are of the same data. Those of earlier versions lack the watched split.

    >>> same_data("a-b", "a-b"), same_data("a-v-b", "a-b"), same_data("a-v-b", "a-w-b")
    (True, True, False)
    """
    parts, others = one.split("-"), other.split("-")
    return parts == others if len(parts) == len(others) else (parts[0], parts[-1]) == (others[0], others[-1])


def quick_fingerprint(dataset: SegmentationDataset, most: int) -> str | None:
    """The dataset's fingerprint, of which only files that have changed are read; None when more than `most` would have
    to be. Raises DataError for a file that is not there."""
    if not isinstance(dataset, FileDataset):
        return dataset.fingerprint()
    remembered = _Remembered(dataset)
    if remembered.to_read() > most:
        return None
    found = files_fingerprint(dataset.classes, dataset.samples, dataset.meaning(), remembered.digest)
    remembered.keep()
    return found


class _Remembered:
    """The digests of a dataset's files: path -> [size, time of change in ns, inode, hex digest]."""

    def __init__(self, dataset: FileDataset) -> None:
        self._paths = [path for sample in dataset.samples for path in (sample.image, sample.mask)]
        folders = sorted({str(path.parent) for path in self._paths})
        name = hashlib.sha256(json.dumps(folders).encode()).hexdigest()[:16]
        self._file = cache_folder().parent / "file-digests" / f"{name}.json"
        self._known: dict[str, list[int | str]] = {}
        self._new: dict[str, list[int | str]] = {}
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            self._known = kept if isinstance(kept, dict) else {}

    def to_read(self) -> int:
        """How many files have changed since they were read, or were never read."""
        return sum(self._of(path) is None for path in self._paths)

    def digest(self, path: Path) -> Digest:
        """As `file_digest`, from what is kept where the file is as it was."""
        kept = self._of(path)
        if kept is not None:
            return kept
        status = path.stat() if path.exists() else None
        found = file_digest(path)
        if status is not None and time.time() - status.st_mtime > SETTLED_SECONDS:
            self._new[str(path)] = [status.st_size, status.st_mtime_ns, status.st_ino, found[0].hex()]
        return found

    def keep(self) -> None:
        """Writes what was read; a cache that cannot be written only costs reading again."""
        if self._new:
            content = json.dumps(self._known | self._new).encode()
            with contextlib.suppress(OSError, SegsuiteError):
                atomic.write_bytes(self._file, content)

    def _of(self, path: Path) -> Digest | None:
        kept = self._known.get(str(path))
        if not isinstance(kept, list) or len(kept) != 4:
            return None
        try:
            status = os.stat(path)
            same = [status.st_size, status.st_mtime_ns, status.st_ino] == kept[:3]
            return (bytes.fromhex(str(kept[3])), status.st_size) if same else None
        except (OSError, ValueError):
            return None
