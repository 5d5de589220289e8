"""The one reader of squeue: which tasks of ours wait or run. Text formats, since those of --json differ by version."""

import getpass
from dataclasses import dataclass

from segsuite.launch.slurm.command import call

ENDED = (
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "DEADLINE",
    "BOOT_FAIL",
    "REVOKED",
)
RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")


@dataclass(frozen=True)
class Task:
    """One task of an array, as squeue knows it."""

    job: str  # of the array
    index: int  # in the array; -1 for a job that is no array
    name: str
    state: str
    reason: str
    node: str

    @property
    def id(self) -> str:
        """What scancel and scontrol take: never the job's own number, which may be that of the whole array."""
        return self.job if self.index < 0 else f"{self.job}_{self.index}"

    @property
    def is_running(self) -> bool:
        """On a node; a state that is not known here counts as waiting: alive in any case."""
        return self.state in RUNNING


def live_tasks(prefix: str) -> list[Task]:
    """The tasks of this user's jobs whose name starts with `prefix` and that have not ended, in one call of squeue."""
    listing = call(
        ["squeue", "--noheader", "--array", "--states=all", f"--user={getpass.getuser()}", "--format=%i|%j|%T|%N|%r"]
    )
    return [task for task in map(_task, listing.splitlines()) if task.name.startswith(prefix) and not _ended(task)]


def _task(line: str) -> Task:
    number, name, state, node, reason = line.strip().split("|", 4)
    job, _, index = number.partition("_")
    return Task(job, int(index) if index.isdecimal() else -1, name, state, reason, node)


def _ended(task: Task) -> bool:
    return task.state.split()[0] in ENDED
