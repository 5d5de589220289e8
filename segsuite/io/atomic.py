"""Writing files so that a reader, or a crash, never meets half a file. The only module that renames."""

import contextlib
import errno
import itertools
import json
import math
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from segsuite.errors import ConfigError, SegsuiteError
from segsuite.io.reading import patiently

NOT_WRITABLE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ENOENT,
)  # fmt: skip

NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
"""What exFAT, some SMB and some FUSE file systems say to a hard link."""
LONGEST_START = 200
"""Bytes of a file's name in that of its temporary file: names have at most 255."""


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # A full disk is nobody's fault; a folder that may not be written to was named by someone.
        kind = ConfigError if error.errno in NOT_WRITABLE else SegsuiteError
        raise kind(
            f"cannot write: {error.strerror or error}",
            str(path),
            "check the free space and the rights of this folder, or choose another with --set runs_root=FOLDER",
        ) from error


def make_folder(path: Path) -> Path:
    """Creates a folder and its parents; a failure is one sentence instead of a traceback."""
    with _disk_errors(path):
        patiently(lambda: path.mkdir(parents=True, exist_ok=True))
    return path


def write_with(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Lets `write` fill a temporary file beside `path`, then puts it in place of `path` in one step.

    The temporary file lies beside its target because a rename is atomic only within one file system. The old file stays
    whole when the disk is full or the process dies at any moment. `write` is called anew where a file server was away
    for a moment. Raises SegsuiteError when the disk refuses.
    """

    def replace() -> None:
        temporary = _temporary(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_new(temporary, write)
            os.replace(temporary, path)
            _sync_folder(path.parent)
        finally:
            _remove(temporary)

    with _disk_errors(path):
        patiently(replace)


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces `path` by `content` atomically."""
    write_with(path, lambda file: file.write(content))


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by UTF-8 `text` atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Replaces `path` by `value` as JSON; NaN and infinity become null, since JSON has no word for them."""
    write_text(path, json.dumps(finite(value), indent=1, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """`value` with every NaN or infinite float replaced by None, through dicts, lists and tuples.

    >>> finite({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def duplicate(path: Path, target: Path) -> None:
    """Makes `target` a second name of the file `path`, or a copy where the file system has no hard links."""

    def link() -> None:
        temporary = _temporary(target)
        try:
            os.link(path, temporary)
        except OSError:
            write_with(target, lambda file: _copy(path, file))
            return
        try:
            os.replace(temporary, target)
            _sync_folder(target.parent)
        finally:
            _remove(temporary)  # two names of one file stay as they are

    with _disk_errors(target):
        patiently(link)


def _copy(path: Path, file: BinaryIO) -> None:
    with open(path, "rb") as source:
        shutil.copyfileobj(source, file)


def set_aside(path: Path) -> Path | None:
    """Gives a damaged file a name beside it that no reader takes for it, `NAME.damaged` or with a number, which is
    returned; None when there is none. A person may want to see it."""
    with _disk_errors(path):
        for number in itertools.count(1):
            aside = path.with_name(f"{path.name}.damaged" + (f"-{number}" if number > 1 else ""))
            if patiently(lambda aside=aside: aside.is_symlink() or aside.exists()):  # type: ignore[misc]
                continue
            try:
                patiently(lambda aside=aside: os.rename(path, aside))  # type: ignore[misc]
            except FileNotFoundError:
                return None
            return aside
    return None


def append_line(path: Path, line: str) -> None:
    """Adds one line and forces it to the disk. A file must have a single writer (O_APPEND is not safe on NFS)."""

    def append() -> None:
        with open(path, "ab", buffering=0) as file:
            length, left = file.tell(), memoryview(line.encode() + b"\n")
            try:
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):  # so that a further try does not write half of it twice
                    os.truncate(path, length)
                raise

    with _disk_errors(path):
        patiently(append)


def create_exclusively(path: Path, content: bytes) -> bool:
    """Creates `path` with `content` if and only if nobody else has: True for the one winner.

    The content is complete at the moment the name appears: a link to a finished temporary file, which NFS also makes
    atomically. On a file system without hard links a reader may meet the file before its content.
    """

    def create() -> bool:
        temporary = _temporary(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_new(temporary, lambda file: file.write(content))
            try:
                patiently(lambda: os.link(temporary, path))
            except FileExistsError:
                return os.stat(temporary).st_nlink > 1  # the link was made although the server had said no
            except OSError as error:
                if error.errno not in NO_HARD_LINKS:
                    raise
                try:
                    _write_new(path, lambda file: file.write(content))
                except FileExistsError:
                    return False
            _sync_folder(path.parent)
            return True
        finally:
            _remove(temporary)

    with _disk_errors(path):
        return patiently(create)


def take_away(path: Path) -> Path | None:
    """Gives `path` another name, which is returned; None when there is no such file any more."""
    aside = _temporary(path)
    try:
        patiently(lambda: os.rename(path, aside))
    except FileNotFoundError:
        return None
    return aside


def put_back(aside: Path, path: Path) -> None:
    """Undoes `take_away` where nobody has made a file of that name since, else removes it."""
    with contextlib.suppress(OSError):
        os.link(aside, path)
    aside.unlink(missing_ok=True)


def _remove(temporary: Path) -> None:
    with contextlib.suppress(OSError):  # `remove_stale_temporaries` finds it; what was written counts more
        temporary.unlink(missing_ok=True)


def _write_new(path: Path, write: Callable[[BinaryIO], object]) -> None:
    with open(path, "xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _temporary(path: Path) -> Path:
    """A name beside `path` that no other writer has, here or on another machine, and that nobody can foresee."""
    start = os.fsdecode(os.fsencode(path.name)[:LONGEST_START])
    return path.with_name(f".{start}.{secrets.token_hex(8)}.tmp")


def remove_stale_temporaries(folder: Path, older_than: float = 0.0) -> None:
    """Deletes what a killed writer left in `folder`, if it was last written more than `older_than` seconds ago."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime >= older_than:
                path.unlink()


def _sync_folder(folder: Path) -> None:
    # Without this the new name itself may be lost by a power cut. Not every file system lets a folder be opened.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def put_in_place(folder: Path, target: Path) -> None:
    """Gives a finished folder its name in one step; when another process has been quicker, its folder stays and this
    one goes."""
    with _disk_errors(target):
        try:
            os.rename(folder, target)
        except OSError:
            if not target.is_dir():
                raise
            shutil.rmtree(folder)
