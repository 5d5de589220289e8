"""Which trial an array's task runs, and the sbatch command of an array.

An array has a table, `slurm/tables/NUMBER.txt` beside the trials: line i is the trial of task i. The table is written
before sbatch is called and never changed, and its number is part of the job's name: so a launcher that dies between
the two leaves nothing that the next one could submit twice.
"""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segsuite.errors import SegsuiteError
from segsuite.experiment import Experiment
from segsuite.io import atomic
from segsuite.launch.slurm.command import call
from segsuite.launch.slurm.profile import Profile
from segsuite.launch.slurm.queue import Task

MOST_TABLES = 100_000


@functools.lru_cache
def _table(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text().split()) if path.exists() else ()


@dataclass(frozen=True)
class Place:
    """Where the things of SLURM of an experiment lie."""

    folder: Path  # of the experiment, absolute: a job starts elsewhere

    @classmethod
    def of(cls, experiment: Experiment) -> "Place":
        return cls(experiment.folder.resolve())

    @property
    def tables(self) -> Path:
        return self.folder / "slurm" / "tables"

    @property
    def logs(self) -> Path:
        return self.folder / "slurm" / "logs"

    @property
    def code(self) -> Path:
        return self.folder / "slurm" / "code"

    @property
    def job_prefix(self) -> str:
        """What the names of this experiment's jobs start with; another folder of the same name has another."""
        return f"segsuite-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}-"

    def job_name(self, table: int, experiment: str) -> str:
        """The experiment's name is for people; the table's number is what is read back."""
        return f"{self.job_prefix}{table}-{experiment}"

    def trial_of(self, task: Task) -> str | None:
        """The trial that a task runs; None for what is no array of trials."""
        number = task.name.removeprefix(self.job_prefix).partition("-")[0]
        trials = _table(self.tables / f"{number}.txt") if number.isdecimal() else ()
        return trials[task.index] if 0 <= task.index < len(trials) else None

    def last_table(self) -> int:
        """The number of the newest table, 0 without one."""
        return max((int(path.stem) for path in self.tables.glob("*.txt") if path.stem.isdecimal()), default=0)

    def new_table(self, trials: Sequence[str]) -> int:
        """Writes the next table, which no other launcher can have."""
        content = "".join(f"{trial}\n" for trial in trials).encode()
        for number in range(self.last_table() + 1, MOST_TABLES):
            if atomic.create_exclusively(self.tables / f"{number}.txt", content):
                return number
        raise SegsuiteError("there are too many tables", str(self.tables), "remove this folder when no job is queued")


@dataclass(frozen=True)
class Code:
    """What trials are run with."""

    folder: Path
    python: str

    @property
    def script(self) -> Path:
        return self.folder / "slurm" / "trial.sbatch"


def array_command(place: Place, job_name: str, table: str, size: int, profile: Profile, code: Code) -> list[str]:
    """The sbatch command of an array of `size` tasks, as words. `table` is the table's number."""
    throttle = f"%{profile.throttle}" if profile.throttle else ""
    return [
        "sbatch",
        "--parsable",
        f"--job-name={job_name}",
        f"--array=0-{size - 1}{throttle}",
        f"--output={place.logs}/%A_%a.log",
        "--open-mode=append",  # or a requeued trial loses the log of its first attempt
        "--requeue",
        "--nodes=1",
        "--ntasks-per-node=1",
        *profile.sbatch_options(),
        str(code.script),
        *(str(place.folder), table, str(code.folder), code.python, str(profile.attempts)),
        *(word for module in profile.modules for word in ("--module", module)),
        "--",
        *profile.container,
    ]


def report_command(
    place: Place, job_name: str, jobs: Sequence[str], profile: Profile, code: Code, arguments: Sequence[str]
) -> list[str]:
    """The sbatch command of the report that is written when all `jobs` have ended, however they ended."""
    wanted = {"partition": profile.partition, "account": profile.account, "qos": profile.qos}
    return [
        "sbatch",
        "--parsable",
        f"--job-name={job_name}",
        f"--dependency=afterany:{':'.join(jobs)}",
        "--kill-on-invalid-dep=yes",
        f"--output={place.logs}/report-%j.log",
        "--time=00:30:00",
        *(f"--{name}={value}" for name, value in wanted.items() if value is not None),
        str(code.folder / "slurm" / "report.sbatch"),
        *(str(code.folder), code.python, *arguments),
    ]


def largest_array() -> int:
    """How many tasks an array may have at this site: MaxArraySize bounds the index, which starts at 0."""
    for line in call(["scontrol", "show", "config"]).splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize":
            return max(1, int(value))
    return 1001  # SLURM's own default
