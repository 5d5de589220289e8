"""Reading files that may be away for a moment, unreadable or damaged.

Three things that must not be taken for each other: a file that is not there (FileNotFoundError), one that cannot be
read (Unreadable), and one whose content is damaged (ValueError).
"""

import errno
import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from segsuite.errors import SegsuiteError
from segsuite.io import users

T = TypeVar("T")

TRANSIENT = (errno.ESTALE, errno.EIO, errno.EAGAIN, errno.ETIMEDOUT, errno.ENOTCONN, errno.EREMOTEIO)
"""What a file server says that is restarting, or a client whose handle of a file has grown old."""
WAITS = (0.05, 0.3, 1.0, 3.0)
"""Seconds before each further try."""
MOST_WAITED = 60.0
"""Seconds of such waiting in a row without a success, after which nothing is tried again: thousands of run directories
on a server that is gone must not take hours."""
MOST_BYTES = 256 * 1024**2
"""A record of a run directory has some kilobytes; one larger than this is not read into memory."""

_waited = 0.0


class Unreadable(SegsuiteError):
    """A file or folder is there, but may not or cannot be read."""


def patiently(action: Callable[[], T]) -> T:
    """What `action` returns; tried again a few times, for some seconds, while the file system says that it is away.
    Raises the last OSError, and any other one at once."""
    global _waited
    for seconds in WAITS:
        try:
            found = action()
        except OSError as error:
            if error.errno not in TRANSIENT or _waited >= MOST_WAITED:
                raise
        else:
            if seconds != WAITS[0]:  # waiting was worth it; a success at once says nothing of what is away
                _waited = 0.0
            return found
        _waited += seconds
        time.sleep(seconds)
    return action()


def unreadable(path: Path, error: OSError) -> Unreadable:
    """The sentence for a path that is there and cannot be read: why, whose it is, what to do."""
    advice = "try again; if it stays so, ask who runs this file system"
    if error.errno in (errno.EACCES, errno.EPERM):
        advice = "ask its owner to let the group read it (chmod -R g+rX), or use a runs_root of your own"
    elif error.errno in (errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR):
        advice = "correct the path, or remove what stands in its place"
    return Unreadable(f"{path.name} cannot be read: {error.strerror or error}{owner(path)}", str(path), advice)


def owner(path: Path) -> str:
    """`; it is NAME's`, as the end of a sentence; empty where that is not known.

    >>> owner(Path("nowhere"))
    ''
    """
    try:
        return f"; it is {users.owner(path)}'s"
    except OSError:
        return ""


def read_bytes(path: Path) -> bytes:
    """The file's content. Raises FileNotFoundError when there is none, Unreadable when it cannot be read, ValueError
    when it is larger than a record can be."""
    try:
        return patiently(lambda: content(path))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    except OSError as error:
        raise unreadable(path, error) from error


def content(path: Path) -> bytes:
    """The same in one try, with the OSErrors of the system. A pipe of that name, which would be waited for, is none."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no file")
        if status.st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES // 1024**2} MiB")
        return file.read()


def exists(path: Path) -> bool:
    """Whether there is such a file or folder. Raises Unreadable when that cannot be known."""
    try:
        patiently(lambda: os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(path, error) from error
    return True


def parsed(content: bytes, strict: bool = True) -> Any:
    """The value of JSON in UTF-8. Raises ValueError for anything else; if `strict` also for NaN, which JSON does not
    have."""
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refused if strict else None)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refused(word: str) -> Any:
    raise ValueError(f"it holds {word}")


def json_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The mappings in a file of one JSON value a line, oldest first, and how many lines are damaged. What a killed
    writer left of the last line counts as neither. Raises FileNotFoundError, Unreadable, and ValueError for a huge
    file."""
    *lines, rest = read_bytes(path).split(b"\n")
    found: list[dict[str, Any]] = []
    damaged = 0
    for line in [*lines, rest]:
        try:
            value = parsed(line)
        except ValueError:
            damaged += line is not rest and bool(line.strip())
            continue
        if isinstance(value, dict):
            found.append(value)
        else:
            damaged += 1
    return found, damaged
