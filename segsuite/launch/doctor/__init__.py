"""What `segsuite doctor` looks at: a machine, a folder for runs, what an experiment needs; a site: see launch/slurm.

machine.py: Python, torch, GPUs, memory; folder.py and neighbour.py: whether runs can lie in a folder, looked at from
two processes; needs.py: datasets, weights, W&B. Nothing is left behind and nothing is sent.
"""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """One line of the doctor. A warning may be all right; with a problem, trials will fail or be lost."""

    name: str
    level: Level
    found: str
    advice: str = ""


def ok(name: str, found: str) -> Check:
    return Check(name, "ok", found)


def warning(name: str, found: str, advice: str) -> Check:
    return Check(name, "warning", found, advice)


def problem(name: str, found: str, advice: str) -> Check:
    return Check(name, "problem", found, advice)
