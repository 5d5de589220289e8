"""What is still to be submitted: the plan against run directories and the queue. Calling it twice submits nothing
twice."""

import contextlib
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from segsuite.errors import ClaimError
from segsuite.experiment import Experiment, Trial
from segsuite.io import atomic, claims, store
from segsuite.launch.freeze import freeze
from segsuite.launch.slurm.arrays import Code, Place, array_command, largest_array, report_command
from segsuite.launch.slurm.command import call
from segsuite.launch.slurm.profile import Profile
from segsuite.launch.slurm.queue import Task, live_tasks
from segsuite.launch.slurm.snapshot import CHECKOUT, snapshot

LOCK_SECONDS = 120.0
LOOK_SECONDS = 0.2


@dataclass
class Difference:
    """The plan against what is there: trial ids by what becomes of them."""

    finished: list[Trial] = field(default_factory=list)
    running: list[Trial] = field(default_factory=list)
    queued: list[Trial] = field(default_factory=list)
    retry: list[Trial] = field(default_factory=list)  # stopped or failed, and nothing runs it
    new: list[Trial] = field(default_factory=list)
    obsolete: list[str] = field(default_factory=list)  # run directories that the experiment no longer names
    missing: list[Trial] = field(default_factory=list)  # to retry and new, in the plan's order: what is submitted

    def words(self) -> str:
        """One line for people."""
        counts = [
            (len(self.finished), "finished"),
            (len(self.running), "running"),
            (len(self.queued), "queued"),
            (len(self.retry), "to retry"),
            (len(self.new), "new"),
            (len(self.obsolete), "obsolete (in the folder, not in the experiment)"),
        ]
        return ", ".join(f"{number} {word}" for number, word in counts if number) or "nothing"


@dataclass(frozen=True)
class Submission:
    """What was submitted, or would be: the sbatch commands, and SLURM's numbers of the jobs, which end with the
    report's."""

    difference: Difference
    commands: list[list[str]]
    jobs: list[str]


def difference(experiment: Experiment, tasks: Sequence[Task]) -> Difference:
    """Sorts the experiment's trials by run directory first, by the queue second."""
    place = Place.of(experiment)
    queued = {place.trial_of(task): task for task in tasks}
    found = Difference()
    for trial in experiment.trials:
        state = store.state(trial.folder)
        task = queued.get(trial.id)
        if state == "finished":
            found.finished.append(trial)
        elif state == "running" or (task is not None and task.is_running):
            found.running.append(trial)
        elif task is not None:
            found.queued.append(trial)
        else:
            (found.new if state == "new" else found.retry).append(trial)
            found.missing.append(trial)
    planned = {trial.id for trial in experiment.trials}
    there = sorted(path.parent.name for path in experiment.folder.glob("*/trial.yaml"))
    found.obsolete = [name for name in there if name not in planned]
    return found


def submit(
    experiment: Experiment, profile: Profile, report_arguments: Sequence[str], dry_run: bool, live_code: bool = False
) -> Submission:
    """Submits what has no result and that nobody runs or has queued, and a report after it.

    `report_arguments` are those of `segsuite` that write the report. A dry run asks SLURM, but writes and submits
    nothing. One launcher at a time decides: a second one waits for it, and then finds nothing left to submit.
    """
    place = Place.of(experiment)
    if dry_run:
        found = difference(experiment, live_tasks(place.job_prefix))
        code = _code(CHECKOUT, profile)
        numbers = itertools.count(place.last_table() + 1)
        return _submit(experiment, found, profile, code, report_arguments, lambda _: next(numbers), _pretended)
    with _alone(place):
        found = difference(experiment, live_tasks(place.job_prefix))
        if not found.missing:
            return Submission(found, [], [])
        code = _code(CHECKOUT if live_code else snapshot(place.code), profile)
        atomic.make_folder(place.logs)  # SLURM makes none: the job would fail without a log
        return _submit(experiment, found, profile, code, report_arguments, partial(_write_down, place), _sbatch)


def _submit(
    experiment: Experiment,
    found: Difference,
    profile: Profile,
    code: Code,
    report_arguments: Sequence[str],
    new_table: Callable[[Sequence[Trial]], int],
    send: Callable[[list[str]], str],
) -> Submission:
    """Hands each array's command, then the report's, to `send`, which returns the job's number."""
    place = Place.of(experiment)
    submission = Submission(found, [], [])

    def add(command: list[str]) -> None:
        submission.commands.append(command)
        submission.jobs.append(send(command))

    for chunk in _chunks(found.missing, largest_array()):
        table = new_table(chunk)
        add(array_command(place, place.job_name(table, experiment.name), str(table), len(chunk), profile, code))
    if submission.jobs:
        name = f"{place.job_prefix}report-{experiment.name}"
        add(report_command(place, name, list(submission.jobs), profile, code, report_arguments))
    return submission


def _write_down(place: Place, trials: Sequence[Trial]) -> int:
    for trial in trials:
        freeze(trial)
    return place.new_table([trial.id for trial in trials])


def _sbatch(command: list[str]) -> str:
    """The job's number: `sbatch --parsable` prints `number` or `number;cluster`."""
    return call(command).strip().partition(";")[0]


def _pretended(command: list[str]) -> str:
    return "JOB"


def _code(folder: Path, profile: Profile) -> Code:
    return Code(folder, profile.python or sys.executable)


def _chunks(trials: Sequence[Trial], size: int) -> list[Sequence[Trial]]:
    return [trials[at : at + size] for at in range(0, len(trials), size)]


@contextlib.contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Lets one launcher at a time decide what to submit."""
    folder = atomic.make_folder(place.folder / "slurm")
    deadline = time.monotonic() + LOCK_SECONDS
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(claims.claim(folder))
                break
            except ClaimError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_SECONDS)
        yield
