"""Writing files so that a reader, or a crash, never meets half a file. The only module that renames."""

import contextlib
import errno
import itertools
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from segsuite.io.disk_errors import disk_errors
from segsuite.io.numbers import finite
from segsuite.io.reading import patiently

NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
"""What exFAT, some SMB and some FUSE file systems say to a hard link."""
LONGEST_START = 200
"""Bytes of a file's name in that of its temporary file: names have at most 255."""
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp", re.DOTALL)
"""Names that `_temporary` makes, and nobody else."""


def check_writable(folder: Path) -> None:
    """Makes `folder` where it is not there. Raises SegsuiteError unless files can be made in it."""
    make_folder(folder)
    probe = _temporary(folder / "probe")
    with disk_errors(folder):
        _write_new(probe, lambda file: None)
        probe.unlink(missing_ok=True)


def now_in(folder: Path) -> float:
    """Now, by the clock that stamps files in `folder`, which may be a server's; by this machine's, where nothing can be
    written."""
    probe = _temporary(folder / "now")
    try:
        probe.touch(exist_ok=False)
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)
    except OSError:
        return time.time()


def make_folder(path: Path) -> Path:
    """Creates a folder and its parents, and forces their names to the disk; a failure is one sentence instead of a
    traceback."""
    with disk_errors(path):
        patiently(lambda: _make_folder(path))
    return path


def _make_folder(path: Path) -> None:
    # A synced file in a folder whose own name was lost is lost, too.
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            _sync_folder(folder.parent)


def write_with(path: Path, write: Callable[[BinaryIO], object], previous: Path | None = None) -> None:
    """Lets `write` fill a temporary file beside `path`, then puts it in place of `path` in one step. What was there is
    kept as `previous`, if that is given.

    The temporary file lies beside its target because a rename is atomic only within one file system. The old file stays
    whole when the disk is full or the process dies at any moment. `write` is called anew where a file server was away
    for a moment. Raises SegsuiteError when the disk refuses.
    """

    def replace() -> None:
        temporary, second = _temporary(path), _temporary(path)
        _make_folder(path.parent)
        try:
            _write_new(temporary, write)
            # Only now: while it is written, the one before the old one is what is left when a disk damages the old one.
            if previous is not None and path.exists():
                _second_name(path, second)
                os.replace(second, previous)
            os.replace(temporary, path)
            _sync_folder(path.parent)
        finally:
            _remove(temporary)
            _remove(second)

    with disk_errors(path):
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


def duplicate(path: Path, target: Path) -> None:
    """Makes `target` a second name of the file `path`, or a copy where the file system has no hard links."""

    def link() -> None:
        temporary = _temporary(target)
        try:
            _second_name(path, temporary)
            os.replace(temporary, target)
            _sync_folder(target.parent)
        finally:
            _remove(temporary)  # two names of one file stay as they are

    with disk_errors(target):
        patiently(link)


def set_aside(path: Path) -> Path | None:
    """Gives a damaged file a name beside it that no reader takes for it, `NAME.damaged` or with a number, which is
    returned; None when there is none. A person may want to see it."""
    numbers = ("" if number == 1 else f"-{number}" for number in itertools.count(1))
    names = (path.with_name(f"{path.name}.damaged{number}") for number in numbers)
    with disk_errors(path):
        aside = next(name for name in names if not os.path.lexists(name))
        try:
            patiently(lambda: os.rename(path, aside))
        except FileNotFoundError:
            return None
    return aside


def _second_name(path: Path, new: Path) -> None:
    try:
        os.link(path, new)
    except OSError:
        with open(path, "rb") as source:
            _write_new(new, lambda file: shutil.copyfileobj(source, file))


def append_line(path: Path, line: str) -> None:
    """Adds one line and forces it to the disk; half a line that a killed writer left is ended first. A file must have a
    single writer (O_APPEND is not safe on NFS)."""

    def append() -> None:
        with open(path, "a+b", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            half = file.read(1) not in (b"", b"\n")
            left = memoryview(b"\n" * half + line.encode() + b"\n")
            try:
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):  # so that a further try does not write half of it twice
                    os.truncate(path, end)
                raise
        if end == 0:
            _sync_folder(path.parent)

    with disk_errors(path):
        patiently(append)


def create_exclusively(path: Path, content: bytes) -> bool:
    """Creates `path` with `content` if and only if nobody else has: True for the one winner.

    The content is complete at the moment the name appears: a link to a finished temporary file, which NFS also makes
    atomically. On a file system without hard links a reader may meet the file before its content.
    """

    def create() -> bool:
        temporary = _temporary(path)
        _make_folder(path.parent)
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

    with disk_errors(path):
        return patiently(create)


def remove(path: Path) -> None:
    """Removes a file, or a link but not what it leads to, if it is there. Raises SegsuiteError when that is refused."""
    with disk_errors(path, "remove"):
        patiently(lambda: path.unlink(missing_ok=True))


def take_away(path: Path) -> Path | None:
    """Gives `path` another name, which is returned; None when there is no such file any more."""
    aside = _temporary(path)
    try:
        patiently(lambda: os.rename(path, aside))
    except FileNotFoundError:
        return None
    _sync_folder(path.parent)
    return aside


def put_back(aside: Path, path: Path) -> None:
    """Undoes `take_away` where nobody has made a file of that name since, else removes it."""
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    except OSError:  # no hard links, or none to files of others: a file of that name is looked for, then made
        if not os.path.lexists(path):
            os.rename(aside, path)
            return
    aside.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _remove(temporary: Path) -> None:
    with contextlib.suppress(OSError):  # `remove_stale_temporaries` finds it; what was written counts more
        temporary.unlink(missing_ok=True)


def write_new(path: Path, write: Callable[[BinaryIO], object], mode: int) -> None:
    """Lets `write` fill a file that there is not yet, with the rights that `mode` and the umask both give. Its name is
    on the disk once `put_in_place` has put its folder in place. Raises SegsuiteError when the disk refuses."""
    with disk_errors(path):
        _write_new(path, write, mode)


def _write_new(path: Path, write: Callable[[BinaryIO], object], mode: int = 0o666) -> None:
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _temporary(path: Path) -> Path:
    """A name beside `path` that no other writer has, here or on another machine, and that nobody can foresee."""
    start = os.fsdecode(os.fsencode(path.name)[:LONGEST_START])
    return path.with_name(f".{start}.{secrets.token_hex(8)}.tmp")


def remove_stale_temporaries(folder: Path, older_than: float = 0.0) -> None:
    """Deletes what a killed writer left in `folder`, if it was last written more than `older_than` seconds ago, by the
    clock that stamps it. Files of other names, links and folders are not ours, and stay."""
    now = None
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if TEMPORARY.fullmatch(path.name) and stat.S_ISREG(status.st_mode):
                now = now_in(folder) if now is None else now
                if now - status.st_mtime >= older_than:
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
    """Gives a finished folder, whose files are on the disk, its name in one step: all names in it are on the disk
    before, and its own afterwards. When another process has been quicker, its folder stays and this one goes."""
    with disk_errors(target):
        for inner, _, _ in os.walk(folder, topdown=False):
            _sync_folder(Path(inner))
        try:
            os.rename(folder, target)
        except OSError:
            if not target.is_dir():
                raise
            shutil.rmtree(folder)
        _sync_folder(target.parent)
