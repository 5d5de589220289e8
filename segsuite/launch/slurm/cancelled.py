"""Which trials `segsuite cancel` has taken out of the queue: slurm/cancelled.json of an experiment's folder. A trial
that was killed leaves no word itself, and would else be told to have lost its node."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from segsuite.io import atomic, store, users
from segsuite.launch.slurm.arrays import Place
from segsuite.launch.slurm.queue import Task


@dataclass(frozen=True)
class Cancelled:
    """One cancellation."""

    job: str  # of the task, as in attempts.jsonl
    time: float  # Unix time
    by: str

    def __str__(self) -> str:
        return f"cancelled by {self.by}, {time.strftime('%Y-%m-%d %H:%M', time.localtime(self.time))}"


def record(place: Place, tasks: Sequence[Task]) -> None:
    """Adds the trials of `tasks`, which are being cancelled now."""
    new = {trial: Cancelled(task.id, time.time(), users.name()) for task in tasks for trial in place.trials_of(task)}
    if new:
        kept = read(place.folder) | new
        atomic.write_json(_file(place.folder), {trial: asdict(one) for trial, one in kept.items()})


def read(folder: Path) -> dict[str, Cancelled]:
    """The last cancellation of each trial."""
    found = {}
    for trial, one in (store.read_json(_file(folder)) or {}).items():
        with contextlib.suppress(TypeError):  # of another version
            found[trial] = Cancelled(**one)
    return found


def _file(folder: Path) -> Path:
    return folder / "slurm" / "cancelled.json"
