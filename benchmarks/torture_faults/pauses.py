"""A trial that is stopped for longer than its claim lives, while a trial of another machine takes over."""

import os
import signal
import time
from pathlib import Path

from torture_faults import REPOSITORY, Row, Torture
from torture_faults.small_trials import attempt, end, frozen, holder, outcome, saved_step, until

STEP = 4
STALE_SECONDS = 1.0
# Every Python process of a trial: on a machine of its own, whose claims grow stale sooner.
MACHINE = f"""
import os
if "TORTURE_MACHINE" in os.environ:
    import socket
    socket.gethostname = lambda: os.environ["TORTURE_MACHINE"]
    from segsuite.io import claims
    claims.BEAT_SECONDS, claims.STALE_SECONDS = 0.05, {STALE_SECONDS}
"""


def main(torture: Torture) -> list[Row]:
    """Once in the small form, else until the time is over."""
    sites = torture.place("pauses-site")
    (sites / "sitecustomize.py").write_text(MACHINE)
    row = Row(
        "a training stopped (SIGSTOP) beyond the age of a claim, taken over on another machine, and woken meanwhile"
    )
    right = torture.right[0]
    for number in torture.rounds():
        _round(torture, number, sites, row, right)
    row.happened = (
        "the first one woke, found that it had lost the claim, wrote nothing and ended with a sentence; the other one "
        f"ended with the bits of an undisturbed run: {row.tried - row.lost} of {row.tried}"
    )
    return [row]


def _round(torture: Torture, number: int, sites: Path, row: Row, right: str) -> None:
    folder = frozen(torture.place(f"paused-{number}")).folder
    path = f"{sites}{os.pathsep}{REPOSITORY}"
    first = attempt(folder, PYTHONPATH=path, TORTURE_MACHINE="first")
    second = None
    try:
        until(lambda: saved_step(folder) >= STEP or first.poll() is not None)
        first.send_signal(signal.SIGSTOP)
        row.tried += 1
        if holder(folder) != first.pid:
            row.lose(f"round {number}: it had ended before it could be stopped")
            return
        time.sleep(2 * STALE_SECONDS)
        second = attempt(folder, PYTHONPATH=path, TORTURE_MACHINE="second")
        until(lambda: holder(folder) == second.pid or second.poll() is not None)  # by now nobody refuses it
        time.sleep(torture.chance.uniform(0.0, 3.0))
        first.send_signal(signal.SIGCONT)
        if first.wait(60) == 0 or "another process has taken over" not in (folder / "log.txt").read_text():
            row.lose(f"round {number}: the first one did not end with a sentence: {first.returncode}")
        second.wait()
        if outcome(folder) != right:
            row.lose(f"round {number}: {outcome(folder)}")
    finally:
        for one in (first, second):
            if one is not None:
                end(one)
