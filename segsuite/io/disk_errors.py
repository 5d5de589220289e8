"""What the disk refuses, in sentences: why, where, whose the place is, what to do."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from segsuite.errors import ConfigError, SegsuiteError
from segsuite.io import users

NOT_WRITABLE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ENOENT,
)  # fmt: skip

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def disk_errors(path: Path, doing: str = "write") -> Iterator[None]:
    """Turns an OSError of the body, which writes `path`, into a SegsuiteError, or ConfigError for a wrong place."""
    try:
        yield
    except OSError as error:
        # A full disk is nobody's fault; a folder that may not be written to was named by someone.
        kind = ConfigError if error.errno in NOT_WRITABLE else SegsuiteError
        raise kind(
            f"cannot {doing}: {error.strerror or error}{_whose(error, path)}", str(path), _advice(error)
        ) from error


def _advice(error: OSError) -> str:
    another = "choose another folder with --set runs_root=FOLDER"
    if error.errno in FULL:
        return f"free some space, `segsuite clean` says what is not needed, or {another}"
    if error.errno in FORBIDDEN:
        return f"ask its owner to let your group write there, or {another}"
    if error.errno == errno.ENAMETOOLONG:
        return f"give the experiment a shorter name, or {another}"
    return f"look at this folder and what is in its way, or {another}"


def _whose(error: OSError, path: Path) -> str:
    """Whose the place is that forbids to write, where it forbids."""
    if error.errno not in FORBIDDEN:
        return ""
    with contextlib.suppress(OSError):
        folder = next(place for place in path.absolute().parents if place.exists())
        place = path if os.access(folder, os.W_OK) and os.path.lexists(path) else folder
        return f"; {place} is {users.owner(place)}'s"
    return ""
