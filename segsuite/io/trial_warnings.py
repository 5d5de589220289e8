"""warnings.jsonl of a run directory: what went wrong beside a trial and did not end it, such as failures of a
tracker."""

import contextlib
import json
import time
from pathlib import Path

from segsuite.errors import SegsuiteError, plural
from segsuite.io import atomic, reading

FILE = "warnings.jsonl"
MOST_WARNINGS, MOST_CHARACTERS = 100, 2000
"""That are kept of a trial, and of a warning: a cause whose text differs each time must not fill the disk."""


def note(folder: Path, text: str, lasting: bool = False) -> None:
    """Adds a warning, once a cause; a disk that takes no more is no reason to fail. `lasting`: `settle` leaves it,
    since what it says stays true of the result."""
    text = text[:MOST_CHARACTERS]
    known = noted(folder)
    if text in known or len(known) > MOST_WARNINGS:
        return
    if len(known) == MOST_WARNINGS:
        text = f"there were more warnings than {MOST_WARNINGS}: further ones are not kept"
    _append(folder, {"time": time.time(), "warning": text, "lasting": lasting})


def settle(folder: Path) -> None:
    """From now on the warnings so far are no longer shown but for lasting ones: what they say was lost is there."""
    if noted(folder):
        _append(folder, {"time": time.time(), "settled": True})


def noted(folder: Path) -> list[str]:
    """The warnings of all attempts that were not settled, oldest first."""
    try:
        lines, damaged = reading.json_lines(folder / FILE)
    except FileNotFoundError:
        return []
    except reading.Unreadable as error:
        return [error.what]
    except ValueError as error:
        return [f"{FILE} is damaged: {error}"]
    found: dict[str, bool] = {}
    for record in lines:
        if record.get("settled"):
            found = {text: lasting for text, lasting in found.items() if lasting}
        elif "warning" in record:
            found[str(record["warning"])] = record.get("lasting") is True
        else:
            damaged += 1
    return [*found, *([f"{FILE}: {plural(damaged, 'line')} cannot be read"] if damaged else [])]


def _append(folder: Path, record: dict[str, object]) -> None:
    with contextlib.suppress(OSError, SegsuiteError):
        atomic.append_line(folder / FILE, json.dumps(record))
