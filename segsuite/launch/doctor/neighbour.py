"""`python -m segsuite.launch.doctor.neighbour FOLDER`: the second process of folder.py, which says what it sees.

Torch-free and quick. It answers each line on its standard input with a line of JSON.
"""

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segsuite.io import atomic

NAMES = 50
LENGTH = 200_000
REPLACEMENTS = 20


def replace(folder: Path) -> None:
    """Gives a file new contents again and again, each of one letter."""
    for number in range(REPLACEMENTS):
        atomic.write_bytes(folder / "replaced", bytes([97 + number % 26]) * LENGTH)


def win(folder: Path) -> list[int]:
    """The numbers of the names that this process created and no other."""
    return [at for at in range(NAMES) if atomic.create_exclusively(folder / f"name{at}", str(os.getpid()).encode())]


def lock(folder: Path) -> bool:
    """Whether this process gets the lock of the folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system that locks nothing
        return True
    finally:
        os.close(descriptor)
    return True


def see(folder: Path) -> dict[str, Any]:
    """What the other process wrote, the time of this one, and that of a file which it writes now."""
    mark = folder / "mark"
    own = folder / f"clock.{os.getpid()}"
    before = time.time()
    own.write_text("")
    skew = own.stat().st_mtime - before
    return {"mark": mark.read_text() if mark.exists() else None, "time": time.time(), "skew": skew}


ANSWERS: dict[str, Callable[[Path], Any]] = {"replace": replace, "win": win, "lock": lock, "see": see}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(ANSWERS[line.strip()](Path(sys.argv[1]))), flush=True)
