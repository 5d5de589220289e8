"""`taker.py ROOT MACHINE SEED`: a process of a machine of its own, whose clock is wrong by minutes, wants the claim of
every folder of ROOT. Whoever gets it writes three lines and ends the folder. It is killed and stopped from outside."""

import os
import random
import socket
import sys
import time
from pathlib import Path

from segsuite.errors import ClaimError
from segsuite.io import claims

BEAT_SECONDS, STALE_SECONDS = 0.05, 0.5
LINES, WORK_SECONDS, ASK_SECONDS = 3, 0.01, 0.01


def scaled(machine: str) -> None:
    """Pretends to be on `machine`, and makes claims stale sooner."""
    socket.gethostname = lambda: machine
    claims.BEAT_SECONDS, claims.STALE_SECONDS = BEAT_SECONDS, STALE_SECONDS


def write(held: claims.Claim, folder: Path, line: str) -> None:
    """A write that only the holder may make, as a trial makes it: a look, then the write. One that was stopped between
    them, which nothing on this side of a file server can see, is noted."""
    before = time.monotonic()
    held.check()
    with open(folder / "written", "a") as file:
        file.write(line)
    if time.monotonic() - before > STALE_SECONDS:
        with open(folder / "late", "a") as file:
            file.write(line)


def main(root: Path, machine: str, seed: int) -> None:
    """Prints how often it was refused, and how often it lost what it held."""
    chance = random.Random(seed)
    scaled(machine)
    right, error = time.time, chance.uniform(-600, 600)
    time.time = lambda: right() + error
    refused = lost = won = 0
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        while not (folder / "done").exists():
            try:
                with claims.claim(folder) as held:
                    won += 1
                    for part in range(LINES):
                        write(held, folder, f"{machine} {os.getpid()} {won} {part}\n")
                        time.sleep(WORK_SECONDS)
                    held.check()
                    (folder / "done").touch()
            except claims.ClaimLost:
                lost += 1
            except ClaimError:
                refused += 1
                time.sleep(ASK_SECONDS)
    print(refused, lost)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
