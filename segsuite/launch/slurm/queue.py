"""The one reader of squeue: which tasks of ours wait or run. Text formats, since those of --json differ by version."""

import contextlib
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from segsuite.io import users
from segsuite.launch.slurm.asking import Answer, ask
from segsuite.launch.slurm.command import SECONDS, call
from segsuite.launch.slurm.profile import seconds

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
HELD = ("REQUEUE_HOLD", "SPECIAL_EXIT")
EVERY_SECONDS, LONGEST_SECONDS = 30.0, 300.0  # between two questions of those who only look
PATIENCE_SECONDS = 15.0  # of those
FORMAT = "%i|%j|%T|%N|%M|%r"

# squeue's word, without its underscores, begins with -> what it means to a person. The first that fits.
REASONS: tuple[tuple[str, str], ...] = (
    ("JobHeldUser", "held by its user"),
    ("JobHeldAdmin", "held by an administrator"),
    ("launch failed requeued held", "held: it could not be started"),
    ("job requeued in held state", "held after a requeue"),
    ("Priority", "other jobs come first"),
    ("Resources", "no node is free yet"),
    ("DependencyNeverSatisfied", "waits for a job that has failed: it never starts"),
    ("Dependency", "waits for another job"),
    ("BeginTime", "SLURM lets it start a little later, as after each requeue"),
    ("JobArrayTaskLimit", "throttle of the profile"),
    ("QOSMax", "limit of your quality of service"),
    ("QOSGrp", "limit that all users of the quality of service share"),
    ("AssocMax", "limit of your account"),
    ("AssocGrp", "limit that all users of the account share"),
    ("MaxGRESPerAccount", "limit of your account"),
    ("PartitionTimeLimit", "asks for more time than the partition gives: it never starts"),
    ("PartitionNodeLimit", "asks for more nodes than the partition gives: it never starts"),
    ("PartitionDown", "the partition is down"),
    ("PartitionInactive", "the partition is not active"),
    ("ReqNodeNotAvail", "nodes that it needs are down or reserved"),
    ("Nodes required for job are", "nodes that it needs are down or reserved"),
    ("Reservation", "waits for its reservation"),
    ("Licenses", "no licence is free"),
    ("NodeDown", "its node went down"),
    ("None", "just submitted"),
)


@dataclass(frozen=True)
class Task:
    """One task of an array, as squeue knows it."""

    job: str  # of the array
    index: int  # in the array; -1 for a job that is no array
    name: str
    state: str
    reason: str
    node: str
    elapsed_seconds: int = 0  # of this attempt; 0 while it waits

    @property
    def id(self) -> str:
        """What scancel and scontrol take: never the job's own number, which may be that of the whole array."""
        return self.job if self.index < 0 else f"{self.job}_{self.index}"

    @property
    def is_running(self) -> bool:
        """On a node; a state that is not known here counts as waiting: alive in any case."""
        return self.state in RUNNING

    @property
    def is_held(self) -> bool:
        """Waiting until somebody releases it."""
        return self.state in HELD or (not self.is_running and "held" in self.reason_in_words)

    @property
    def reason_in_words(self) -> str:
        """Why it waits; SLURM's own word where there is none of ours."""
        plain = self.reason.replace("_", " ").strip("( )")
        return next((words for word, words in REASONS if plain.startswith(word)), plain)


def live_tasks(prefix: str, folder: Path | None = None) -> list[Task]:
    """The tasks of jobs whose name starts with `prefix` and that have not ended, in one call of squeue: of this user,
    and of all who have submitted from the experiment's `folder`."""
    return tasks_in(listing(prefix, submitters(folder)))


def submitters(folder: Path | None) -> str:
    """Who has submitted tasks of the experiment in `folder`, and this user, with commas: what others have queued is
    not to be queued again."""
    found = {users.name()}
    for table in (folder / "slurm" / "tables").glob("*.txt") if folder is not None else ():
        with contextlib.suppress(OSError):
            found.add(users.owner(table))
    return ",".join(sorted(found))


def look(folder: Path, prefix: str) -> Answer:
    """The listing for those who only look at the experiment in `folder`: squeue is asked at most every 30 s by all of
    them together, for the jobs of whoever submitted it."""
    question = functools.partial(listing, prefix, submitters(folder), PATIENCE_SECONDS)
    return ask(_kept(folder), "squeue", question, EVERY_SECONDS, LONGEST_SECONDS)


def forget_look(folder: Path) -> None:
    """To be called after a change of the queue: the next look asks again; in a folder of another user, after 30 s."""
    with contextlib.suppress(OSError):
        _kept(folder).unlink()


def _kept(folder: Path) -> Path:
    return folder / "slurm" / "squeue.json"


def listing(prefix: str, of: str, patience: float = SECONDS) -> str:
    """What squeue says of jobs whose name starts with `prefix`, a line each, of the users `of`, with commas. Raises
    SegsuiteError when it refuses, or gives no answer for `patience` seconds."""
    words = ["squeue", "--noheader", "--array", "--states=all", f"--user={of}", f"--format={FORMAT}"]
    said = call(words, patience)
    return "".join(f"{line}\n" for line in said.splitlines() if line.partition("|")[2].startswith(prefix))


def tasks_in(lines: str) -> list[Task]:
    """The tasks of a listing that have not ended."""
    return [task for task in _tasks(lines.splitlines()) if task.state.split()[0] not in ENDED]


def _tasks(lines: Iterable[str]) -> Iterable[Task]:
    for line in lines:
        number, name, state, node, elapsed, reason = line.strip().split("|", 5)
        job, _, index = number.partition("_")
        ran = 0
        with contextlib.suppress(ValueError):  # INVALID, when a node's clock is off
            ran = seconds(elapsed)
        yield Task(job, int(index) if index.isdecimal() else -1, name, state, reason, node, ran)
