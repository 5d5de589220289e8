"""log.txt of a run directory: what a process and its libraries print, with a bound."""

import contextlib
import os
from pathlib import Path

MOST_BYTES = 64 * 1024**2
"""A log that grows beyond this keeps its first and its last KEPT_BYTES."""
KEPT_BYTES = 8 * 1024**2


def bound(path: Path, most: int = MOST_BYTES, kept: int = KEPT_BYTES) -> None:
    """Takes the middle out of a log of more than `most` bytes, while a process may be adding to it: a warning of each
    step must not fill the disk. A failure of the disk is not one of the trial."""
    with contextlib.suppress(OSError):
        size = os.stat(path).st_size
        if size <= most:
            return
        with open(path, "rb") as log:
            log.seek(size - kept)
            end = log.read(kept)
        # In place: the process holds the file open, and what it adds goes to the end, wherever that is.
        os.truncate(path, kept)
        dropped = f"\n[segsuite: {size - 2 * kept} bytes were dropped here, since the log had more than {most}]\n"
        with open(path, "ab", buffering=0) as log:
            log.write(dropped.encode() + end)
