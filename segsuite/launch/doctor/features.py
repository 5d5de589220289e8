"""What a file system can and cannot do that runs make use of, and what it means where it cannot."""

import os
from collections.abc import Iterator
from pathlib import Path

from segsuite.io import users
from segsuite.launch.doctor import Check, ok, warning

LONGEST = 255
"""Bytes of a file's name on most systems; samples/ has the names of images."""
COARSE_SECONDS = 1.0
AT_NS = 1_600_000_001_123_456_789
"""Odd in seconds and in all digits below: what is kept of it shows the precision."""


def features(probe: Path) -> Iterator[Check]:
    """`probe`: an empty folder of our own. Raises OSError where it cannot be written to."""
    file = probe / "feature"
    file.write_bytes(b"x")
    yield hard_links(_links(file))
    os.utime(file, ns=(AT_NS, AT_NS))
    yield time_stamps(abs(AT_NS - file.stat().st_mtime_ns) / 1e9)
    yield names(_fits(probe / ("n" * LONGEST)), not (probe / "FEATURE").exists())
    yield modes(file.stat().st_mode & 0o777, 0o666 & ~users.umask())


def hard_links(there: bool) -> Check:
    """`there`: whether a file can have two names."""
    if there:
        return ok("hard links", "a file can have two names")
    advice = (
        "none is needed: claims are made by exclusive creation instead, whose atomicity the line below tells, and "
        "best.ckpt is a copy: reckon with its space"
    )
    return warning("hard links", "this file system has none", advice)


def time_stamps(lost: float) -> Check:
    """`lost`: seconds by which a time stamp differs that was set to nanoseconds."""
    if lost == 0:
        return ok("time stamps", "kept to the nanosecond")
    found = f"rounded by {lost:.1g} s"
    if lost < COARSE_SECONDS:
        return ok("time stamps", found)
    advice = "data that lie here and change within that time are not seen to have changed: keep them elsewhere"
    return warning("time stamps", found, advice)


def names(long: bool, case: bool) -> Check:
    """`long`: whether names may have 255 bytes; `case`: whether `a` and `A` are two files."""
    if long and case:
        return ok("names", f"of up to {LONGEST} bytes; capitals count")
    found = ", ".join(
        word
        for word, is_so in ((f"of less than {LONGEST} bytes", not long), ("capitals do not count", not case))
        if is_so
    )
    advice = (
        "predictions of images with long names, or with names that differ by capitals alone, fail or replace another"
    )
    return warning("names", found, advice)


def modes(found: int, wanted: int) -> Check:
    """Modes of a new file: those it has, and those that the umask leaves."""
    if found == wanted:
        return ok("modes", f"new files are {found:o}, as the umask says")
    advice = "who may read and write is decided by the mount (its umask, uid and gid), or by default ACLs of the folder"
    return warning("modes", f"new files are {found:o}, and the umask leaves {wanted:o}", advice)


def _links(file: Path) -> bool:
    try:
        os.link(file, file.with_name("second-name"))
    except OSError:
        return False
    return file.samefile(file.with_name("second-name"))


def _fits(path: Path) -> bool:
    try:
        path.touch()
    except OSError:
        return False
    return True
