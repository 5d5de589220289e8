"""Two containers in which processes have the same low numbers: pid namespaces of their own, by unshare."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from torture_faults import Impossible, Row, Torture, environment, taker

ROUNDS, SMALL_ROUNDS = 10, 2

# Holds the claim of a folder until it is killed; prints its number once it has it.
HOLD = """
import os, sys, time
from pathlib import Path
from torture_faults import taker
taker.scaled("container")
from segsuite.errors import ClaimError
from segsuite.io import claims
begun, refused = time.monotonic(), 0
while True:
    try:
        with claims.claim(Path(sys.argv[1])) as held:
            print(os.getpid(), refused, flush=True)
            while True:
                held.check()
                time.sleep(0.05)
    except ClaimError:
        refused += 1
        time.sleep(0.05)
"""


def main(torture: Torture) -> list[Row]:
    """One container holds a claim, another of the same names and numbers wants it; then the first one is killed."""
    row = Row("a claim held in a container (pid namespace), wanted in another of the same host name and process number")
    if shutil.which("unshare") is None or not _allowed():
        row.not_tried = "needs unshare and the right to make pid namespaces (root)"
        return [row]
    waited, refusals = [], 0
    for at in range(SMALL_ROUNDS if torture.small else ROUNDS):
        folder = torture.place(f"container-{at}")
        first = _contained(folder)
        number = _line(first)[0]
        second = _contained(folder)
        time.sleep(2 * taker.STALE_SECONDS)
        row.tried += 1
        if second.poll() is not None or _has_spoken(second):
            row.lose("the second container took the claim of a living process")
        _end(first)
        begun = time.monotonic()
        other, refused = _line(second)
        waited.append(time.monotonic() - begun)
        refusals += refused
        if number != other:
            raise Impossible(f"processes have other numbers in new namespaces: {number} and {other}")
        _end(second)
    row.happened = (
        f"{refusals} refusals while the first one lived; taken over {max(waited):.1f} s after its death at the latest "
        f"(stale after {taker.STALE_SECONDS:g} s here, 180 s else)"
    )
    return [row]


def _allowed() -> bool:
    return subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode == 0


def _contained(folder: Path) -> "subprocess.Popen[str]":
    words = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", HOLD, str(folder)]
    path = os.pathsep.join((environment()["PYTHONPATH"], str(Path(__file__).parents[1])))
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment(PYTHONPATH=path))


def _line(process: "subprocess.Popen[str]") -> tuple[int, int]:
    assert process.stdout is not None
    number, refused = process.stdout.readline().split()
    return int(number), int(refused)


def _has_spoken(process: "subprocess.Popen[str]") -> bool:
    import select

    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], 0)[0])


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)  # --kill-child ends what it holds
    process.communicate()
