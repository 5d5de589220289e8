"""A disk that is full while a trial saves."""

import contextlib
import subprocess
from pathlib import Path

from segsuite.io import store
from torture_faults import Row, Torture
from torture_faults.small_trials import attempt, end, frozen, outcome, saved_step, until

MEBIBYTES = 64
STEP = 4


def main(torture: Torture) -> list[Row]:
    """A file system of its own that somebody fills while a trial saves; then it is freed."""
    row = Row(f"the disk filled while a trial saves (a tmpfs of {MEBIBYTES} MiB), then freed, the same command again")
    right = torture.right[0]
    for number in torture.rounds():
        place = torture.place(f"full-{number}")
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "none", str(place)], capture_output=True, check=False
        )
        if mounted.returncode != 0:
            row.not_tried = "needs the right to mount a tmpfs (root)"
            return [row]
        try:
            _fill(place, number, row, right)
        finally:
            subprocess.run(["umount", str(place)], check=True)
    row.happened = (
        "the trial ended with a sentence about the disk, its last checkpoint was whole, and went on to the bits of an "
        f"undisturbed run: {row.tried - row.lost} of {row.tried}"
    )
    return [row]


def _fill(place: Path, number: int, row: Row, right: str) -> None:
    folder = frozen(place).folder
    first = attempt(folder)
    try:
        until(lambda: saved_step(folder) >= STEP or first.poll() is not None)
        with open(place / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(2**16))
        row.tried += 1
        first.wait(120)
    finally:
        end(first)
    failure = store.read_json(folder / "failure.json") or {}
    said = f"{failure.get('reason')} {(folder / 'log.txt').read_text()[-2000:]}"
    (place / "filler").unlink()
    if first.returncode == 0 or "No space left" not in said or "Traceback" in said:
        row.lose(f"round {number}: it ended with {first.returncode} and said {said[-300:]}")
    attempt(folder).wait()
    if outcome(folder) != right:
        row.lose(f"round {number}: {outcome(folder)}")
