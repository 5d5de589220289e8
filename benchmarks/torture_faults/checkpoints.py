"""A trial that was killed, and whose last checkpoint a disk has damaged since."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from segsuite.io import trial_warnings
from torture_faults import Row, Torture
from torture_faults.small_trials import attempt, end, frozen, outcome, saved_step, until

STEP = 6


def main(torture: Torture) -> list[Row]:
    """Each kind of damage in turn until the time is over."""
    right = torture.right[0]
    kinds: dict[str, Callable[[Path, Torture], None]] = {"a bit of last.ckpt turned": turn, "last.ckpt cut off": cut}
    rows = [Row(f"{kind}, after a SIGKILL") for kind in kinds]
    for number in torture.rounds(least=len(rows)):
        row, damage = rows[number % len(rows)], list(kinds.values())[number % len(rows)]
        _round(torture, number, row, damage, right)
    for row in rows:
        row.happened = (
            "found by its checksums and told in a warning; the one before it was continued, to the bits of an "
            f"undisturbed run: {row.tried - row.lost} of {row.tried}"
        )
    return rows


def _round(torture: Torture, number: int, row: Row, damage: Callable[[Path, Torture], None], right: str) -> None:
    trial = frozen(torture.place(f"damaged-{number}"))
    first = attempt(trial.folder)
    last = trial.folder / "checkpoints" / "last.ckpt"
    try:
        if not until(lambda: saved_step(trial.folder) >= STEP or first.poll() is not None) or first.poll() is not None:
            row.lose(f"round {number}: it ended before it could be damaged")
            return
        first.send_signal(signal.SIGKILL)
    finally:
        end(first)
    damage(last, torture)
    row.tried += 1
    attempt(trial.folder).wait()
    if outcome(trial.folder) != right:
        row.lose(f"round {number}: {outcome(trial.folder)}")
    elif not any("damaged" in text for text in trial_warnings.noted(trial.folder)):
        row.lose(f"round {number}: the damage was not told")


def turn(path: Path, torture: Torture) -> None:
    """One bit within the tensors."""
    content = bytearray(path.read_bytes())
    at = torture.chance.randrange(len(content) // 4, 3 * len(content) // 4)
    content[at] ^= 1 << torture.chance.randrange(8)
    path.write_bytes(content)


def cut(path: Path, torture: Torture) -> None:
    """At any place."""
    os.truncate(path, torture.chance.randrange(path.stat().st_size))
