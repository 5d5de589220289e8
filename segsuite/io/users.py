"""Whose files and processes are, and files of other programs that a group is to share."""

import contextlib
import os
import pwd
import stat
from pathlib import Path


def name(uid: int | None = None) -> str:
    """The name of the user `uid`, by default of this process; its number where it has none, as in containers."""
    uid = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def owner(path: Path) -> str:
    """Whose the file, link or folder `path` is. Raises OSError."""
    return name(path.lstat().st_uid)


def umask() -> int:
    """The umask of this process, read without changing it where the system tells it."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("Umask:")), 8)
    found = os.umask(0o077)
    os.umask(found)
    return found


def is_shared(folder: Path) -> bool:
    """Whether a group may write to `folder`."""
    try:
        return bool(folder.stat().st_mode & stat.S_IWGRP)
    except OSError:
        return False


def follow_umask(folder: Path) -> None:
    """Gives this user's files in and below `folder` the modes and the group that files of ours have there: what the
    umask leaves, and the folder's group where that is inherited (setgid). For files that other programs have made under
    modes of their own. Links are not followed; what cannot be changed stays."""
    mask, me = umask(), os.geteuid()
    for at, _, files in os.walk(folder):
        with contextlib.suppress(OSError):
            above = os.lstat(at)
            if above.st_uid == me:
                os.chmod(at, (0o777 & ~mask) | (above.st_mode & stat.S_ISGID))
            for path in (os.path.join(at, file) for file in files):
                with contextlib.suppress(OSError):
                    _follow(path, above, mask, me)


def _follow(path: str, above: os.stat_result, mask: int, me: int) -> None:
    found = os.lstat(path)
    if found.st_uid != me or not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        return
    if above.st_mode & stat.S_ISGID and found.st_gid != above.st_gid:
        os.chown(path, -1, above.st_gid)
    if stat.S_IMODE(found.st_mode) != 0o666 & ~mask:
        os.chmod(path, 0o666 & ~mask)
