"""Which trials an array's task runs, and the sbatch command of an array.

An array has a table, `slurm/tables/NUMBER.txt` beside the trials: line i has the trials of task i, one or, packed,
several. The table is written before sbatch is called and never changed, and its number is part of the job's name: so a
launcher that dies between the two leaves nothing that the next one could submit twice.
"""

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segsuite.errors import ConfigError, SegsuiteError, plural
from segsuite.experiment import Experiment, Trial
from segsuite.io import atomic
from segsuite.launch.slurm.command import call
from segsuite.launch.slurm.profile import Profile
from segsuite.launch.slurm.queue import Task

MOST_TABLES = 100_000
DEFAULT_ARRAY = 1001  # SLURM's own MaxArraySize


@functools.lru_cache
def _table(path: Path) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(line.split()) for line in path.read_text().splitlines()) if path.exists() else ()


@dataclass(frozen=True)
class Place:
    """Where the things of SLURM of an experiment lie."""

    folder: Path  # of the experiment, absolute: a job starts elsewhere

    @classmethod
    def of(cls, experiment: Experiment) -> "Place":
        return cls(experiment.folder.resolve())

    def check(self) -> None:
        """Raises ConfigError for a folder that jobs could not use: its name becomes part of PYTHONPATH."""
        if os.pathsep in str(self.folder):
            what = f"jobs cannot run in a folder whose path has a `{os.pathsep}`: it divides the folders of PYTHONPATH"
            raise ConfigError(what, f"runs_root: {self.folder}", "choose another with --set runs_root=FOLDER")

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

    def trials_of(self, task: Task) -> tuple[str, ...]:
        """The trials that a task runs; none for what is no array of trials."""
        number = task.name.removeprefix(self.job_prefix).partition("-")[0]
        lines = _table(self.tables / f"{number}.txt") if number.isdecimal() else ()
        return lines[task.index] if 0 <= task.index < len(lines) else ()

    def last_table(self) -> int:
        """The number of the newest table, 0 without one."""
        return max((int(path.stem) for path in self.tables.glob("*.txt") if path.stem.isdecimal()), default=0)

    def new_table(self, tasks: Sequence[Sequence[str]]) -> int:
        """Writes the next table, which no other launcher can have; `tasks` are the ids of the trials of each task."""
        content = "".join(f"{' '.join(trials)}\n" for trials in tasks).encode()
        for number in range(self.last_table() + 1, MOST_TABLES):
            if atomic.create_exclusively(self.tables / f"{number}.txt", content):
                return number
        raise SegsuiteError("there are too many tables", str(self.tables), "remove this folder when no job is queued")


@dataclass(frozen=True)
class Code:
    """What trials are run with, and where: in the folder that relative paths begin at."""

    folder: Path
    python: str
    work: Path = field(default_factory=Path.cwd)

    @property
    def script(self) -> Path:
        return self.folder / "slurm" / "trial.sbatch"


@dataclass(frozen=True)
class Layout:
    """A task of an array: its nodes, the processes of a trial on each of them, and the trials that share it."""

    nodes: int = 1
    devices: int = 1
    pack: int = 1

    @classmethod
    def of(cls, trial: Trial, profile: Profile) -> "Layout":
        """Raises ConfigError when the trial's devices do not fit the profile."""
        execution = trial.settings.execution
        nodes, devices = execution.nodes, execution.devices
        where = f"{trial.arm}, seed {trial.seed}"
        if profile.pack > 1 and nodes * devices > 1:
            raise ConfigError(
                f"pack: {profile.pack} shares a job among trials, and this one wants {nodes} x {devices} devices",
                where,
                "leave `pack` out of the profile, or set execution.nodes and execution.devices to 1",
            )
        if execution.device != "cpu" and 0 < profile.gpus < devices:
            raise ConfigError(
                f"execution.devices is {devices}, and the profile asks for {plural(profile.gpus, 'GPU')} of a node",
                where,
                f"set gpus_per_node: {devices} in the profile",
            )
        return cls(nodes, devices, profile.pack)


def array_command(
    place: Place,
    job_name: str,
    table: str,
    size: int,
    profile: Profile,
    code: Code,
    layout: Layout,
    after: Sequence[str] = (),
) -> list[str]:
    """The sbatch command of an array of `size` tasks, as words. `table` is the table's number; it starts when the jobs
    `after` have ended."""
    throttle = f"%{max(1, profile.throttle // layout.pack)}" if profile.throttle else ""
    return [
        "sbatch",
        "--parsable",
        f"--job-name={job_name}",
        f"--array=0-{size - 1}{throttle}",
        f"--output={in_pattern(place.logs)}/%A_%a.log",
        f"--chdir={code.work}",
        "--open-mode=append",  # or a requeued trial loses the log of its first attempt
        "--requeue",
        *([f"--dependency=afterany:{':'.join(after)}"] if after else []),
        f"--nodes={layout.nodes}",
        f"--ntasks-per-node={layout.devices * layout.pack}",
        *profile.sbatch_options(),
        str(code.script),
        *(str(place.folder), table, str(code.folder), code.python, str(code.work)),
        *(str(profile.attempts), str(layout.devices)),
        *profile.site_words(with_data=True),
    ]


def report_command(
    place: Place, job_name: str, jobs: Sequence[str], profile: Profile, code: Code, arguments: Sequence[str]
) -> list[str]:
    """The sbatch command of the report that is written when all `jobs` have ended, however they ended."""
    return [
        "sbatch",
        "--parsable",
        f"--job-name={job_name}",
        f"--dependency=afterany:{':'.join(jobs)}",
        "--kill-on-invalid-dep=yes",
        f"--output={in_pattern(place.logs)}/report-%j.log",
        f"--chdir={code.work}",
        *profile.report_options(),
        "--time=00:30:00",
        str(code.folder / "slurm" / "report.sbatch"),
        *(str(code.folder), code.python, str(code.work), str(len(arguments)), *arguments),
        *profile.site_words(),
    ]


def in_pattern(path: Path) -> str:
    """A path within sbatch's --output, where a percent sign begins a replacement.

    >>> in_pattern(Path("/a/50%_dropout"))
    '/a/50%%_dropout'
    """
    return str(path).replace("%", "%%")


def largest_array() -> int:
    """How many tasks an array may have at this site: MaxArraySize bounds the index, which starts at 0."""
    for line in call(["scontrol", "show", "config"]).splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize":
            return max(1, int(value))
    return DEFAULT_ARRAY
