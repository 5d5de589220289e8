"""warnings.jsonl of a run directory: what went wrong beside a trial and did not end it, such as failures of a
tracker."""

import contextlib
import json
import time
from pathlib import Path

from segsuite.errors import SegsuiteError
from segsuite.io import atomic

FILE = "warnings.jsonl"


def note(folder: Path, text: str) -> None:
    """Adds a warning, once a cause; a disk that takes no more is no reason to fail."""
    if text not in noted(folder):
        _append(folder, {"time": time.time(), "warning": text})


def settle(folder: Path) -> None:
    """From now on the warnings so far are no longer shown: what they say was lost is there."""
    if noted(folder):
        _append(folder, {"time": time.time(), "settled": True})


def noted(folder: Path) -> list[str]:
    """The warnings of all attempts that were not settled, oldest first."""
    try:
        lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found: list[str] = []
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):  # half a line of a process that was killed
            record = json.loads(line)
            if record.get("settled"):
                found.clear()
            else:
                found.append(str(record["warning"]))
    return found


def _append(folder: Path, record: dict[str, object]) -> None:
    with contextlib.suppress(OSError, SegsuiteError):
        atomic.append_line(folder / FILE, json.dumps(record))
