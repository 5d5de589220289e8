"""warnings.jsonl of a run directory: what went wrong beside a trial and did not end it, such as failures of a
tracker."""

import contextlib
import json
import time
from pathlib import Path

from segsuite.errors import SegsuiteError
from segsuite.io import atomic

FILE = "warnings.jsonl"


def note(folder: Path, text: str, lasting: bool = False) -> None:
    """Adds a warning, once a cause; a disk that takes no more is no reason to fail. `lasting`: `settle` leaves it,
    since what it says stays true of the result."""
    if text not in noted(folder):
        _append(folder, {"time": time.time(), "warning": text, "lasting": lasting})


def settle(folder: Path) -> None:
    """From now on the warnings so far are no longer shown but for lasting ones: what they say was lost is there."""
    if noted(folder):
        _append(folder, {"time": time.time(), "settled": True})


def noted(folder: Path) -> list[str]:
    """The warnings of all attempts that were not settled, oldest first."""
    try:
        lines = (folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found: dict[str, bool] = {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):  # half a line of a process that was killed
            record = json.loads(line)
            if record.get("settled"):
                found = {text: lasting for text, lasting in found.items() if lasting}
            else:
                found[str(record["warning"])] = record.get("lasting") is True
    return list(found)


def _append(folder: Path, record: dict[str, object]) -> None:
    with contextlib.suppress(OSError, SegsuiteError):
        atomic.append_line(folder / FILE, json.dumps(record))
