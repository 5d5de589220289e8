"""Stale claims with four takers at once, whose clocks are wrong, and which are stopped and killed."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from torture_faults import Row, Torture, environment, taker

TAKERS = 4
AT_A_TIME, SMALL_AT_A_TIME = 100, 25
EVERY_SECONDS = (0.1, 0.5)
STOPPED_SECONDS = (0.2, 1.2)
KILLED_SHARE = 0.2
LONGEST_SECONDS = 120.0


@dataclass
class Counts:
    """What was done to the takers, and what they say of themselves."""

    pauses: int = 0
    kills: int = 0
    refused: int = 0
    lost: int = 0
    broken: int = 0


def main(torture: Torture) -> list[Row]:
    """Batches of stale claims until the time is over."""
    counts, folders = Counts(), list[Path]()
    for batch in torture.rounds():
        root = torture.place(f"claims-{batch}")
        new = [stale(root / f"{at:03d}") for at in range(SMALL_AT_A_TIME if torture.small else AT_A_TIME)]
        fight(torture, root, counts)
        folders += new
    times = STOPPED_SECONDS[1] / taker.STALE_SECONDS
    row = Row(
        f"a stale claim, {TAKERS} takers as of so many machines, without locks, clocks up to 10 minutes off, takers "
        f"stopped for up to {times:.1f} times the age at which a claim is stale, and killed",
        len(folders),
    )
    holders, late = judge(folders, row)
    for _ in range(counts.broken):
        row.lose("a taker ended with a traceback")
    row.happened = (
        f"{sum(holders.values())} claims taken, up to {max(holders.values())} of one trial; {counts.pauses} pauses, "
        f"{counts.kills} SIGKILLs, {counts.refused} refusals; {counts.lost} holders found that they had lost theirs "
        f"and wrote nothing; trials in which two wrote: {row.lost - counts.broken}; writes stopped after their look: "
        f"{late}"
    )
    return [row]


def stale(folder: Path) -> Path:
    """A folder with the claim of a process of yesterday, on a machine that nobody can ask."""
    folder.mkdir()
    (folder / "claim.json").write_text('{"host": "of-yesterday", "pid": 1}')
    os.utime(folder / "claim.json", (time.time() - 86400,) * 2)
    return folder


def fight(torture: Torture, root: Path, counts: Counts) -> None:
    """Lets takers end all folders of `root`, and hinders them."""
    numbers = count()

    def start() -> "subprocess.Popen[str]":
        words = [
            sys.executable,
            taker.__file__,
            str(root),
            f"machine-{next(numbers)}",
            str(torture.chance.random())[2:],
        ]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment())

    takers, deadline = [start() for _ in range(TAKERS)], time.monotonic() + LONGEST_SECONDS
    try:
        while any(one.poll() is None for one in takers) and time.monotonic() < deadline:
            time.sleep(torture.chance.uniform(*EVERY_SECONDS))
            at = torture.chance.randrange(TAKERS)
            if takers[at].poll() is not None:
                continue
            if torture.chance.random() < KILLED_SHARE:
                takers[at].kill()
                takers[at].communicate()
                counts.kills += 1
                takers[at] = start()
            else:
                takers[at].send_signal(signal.SIGSTOP)
                time.sleep(torture.chance.uniform(*STOPPED_SECONDS))
                takers[at].send_signal(signal.SIGCONT)
                counts.pauses += 1
    finally:
        for one in takers:
            if one.poll() is None and time.monotonic() >= deadline:
                one.kill()
            said, _ = one.communicate()
            if one.returncode not in (0, -signal.SIGKILL):
                counts.broken += 1
            if one.returncode == 0:
                refused, lost = map(int, said.split())
                counts.refused, counts.lost = counts.refused + refused, counts.lost + lost


def judge(folders: list[Path], row: Row) -> tuple[Counter[Path], int]:
    """How many took the claim of each folder and wrote, and how many writes were stopped within the look before them.
    A loss is a folder that nobody has ended, or in which one wrote after another had begun to."""
    holders: Counter[Path] = Counter()
    late = 0
    for folder in folders:
        lines = (folder / "written").read_text().splitlines() if (folder / "written").exists() else []
        stopped = (folder / "late").read_text().splitlines() if (folder / "late").exists() else []
        late += len(stopped)
        holders[folder] = len({line.rpartition(" ")[0] for line in lines})
        names = [line.rpartition(" ")[0] for line in lines if line not in stopped]
        order = list(dict.fromkeys(names))
        if names != sorted(names, key=order.index):
            row.lose(f"two holders wrote in {folder.name}: {names}")
        elif not (folder / "done").exists():
            row.lose(f"nobody ended {folder.name}")
    return holders, late
