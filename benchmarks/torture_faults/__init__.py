"""The faults of benchmarks/torture.py, and what it reports of each."""

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class Impossible(Exception):
    """What a fault needs, and this machine or its user has not."""


@dataclass
class Row:
    """One fault: how often it was tried, what happened, how much was lost; or why it could not be tried."""

    fault: str
    tried: int = 0
    happened: str = ""
    lost: int = 0
    not_tried: str = ""
    faults: list[str] = field(default_factory=list)
    """What was lost, a sentence each."""

    def lose(self, sentence: str) -> None:
        """Counts a loss."""
        self.lost += 1
        self.faults.append(sentence)


@dataclass(frozen=True)
class Torture:
    """What every fault knows: an empty folder, random numbers, how many seconds it has, whether once is enough."""

    folder: Path
    chance: random.Random
    seconds: float
    small: bool
    right: tuple[str, ...] = ()
    """What small trials of the seeds 0, 1 end with that nobody disturbs; empty without trainings."""

    def place(self, name: str) -> Path:
        """A new folder in it."""
        (self.folder / name).mkdir()
        return self.folder / name

    def rounds(self, least: int = 1) -> Iterator[int]:
        """0, 1, 2, ... until the time is over, and at least so many; no more where once is enough."""
        begun = time.monotonic()
        for number in count():
            yield number
            if number + 1 >= least and (self.small or time.monotonic() - begun > self.seconds):
                return


def environment(**more: str) -> dict[str, str]:
    """Of processes of ours: this checkout's package, one thread, no W&B."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", **more}
