"""What is still to be submitted: the plan against run directories and the queue. Calling it twice submits nothing
twice."""

import contextlib
import itertools
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from segsuite.errors import ClaimError, SegsuiteError
from segsuite.experiment import Experiment, Trial
from segsuite.io import atomic, claims, results, store
from segsuite.launch.causes import is_over
from segsuite.launch.freeze import freeze_all
from segsuite.launch.slurm.arrays import (
    DEFAULT_ARRAY,
    Code,
    Layout,
    Place,
    array_command,
    largest_array,
    report_command,
)
from segsuite.launch.slurm.command import CHECKOUT, call
from segsuite.launch.slurm.profile import Profile
from segsuite.launch.slurm.queue import Task, forget_look, live_tasks
from segsuite.launch.slurm.snapshot import snapshot

LOCK_SECONDS = 120.0
LOOK_SECONDS = 0.2
T = TypeVar("T")


@dataclass
class Difference:
    """The plan against what is there: trial ids by what becomes of them."""

    finished: list[Trial] = field(default_factory=list)
    running: list[Trial] = field(default_factory=list)
    queued: list[Trial] = field(default_factory=list)
    retry: list[Trial] = field(default_factory=list)  # stopped or failed, and nothing runs it
    new: list[Trial] = field(default_factory=list)
    unreadable: list[Trial] = field(default_factory=list)  # nobody knows what they hold: they are not submitted
    obsolete: list[str] = field(default_factory=list)  # run directories that the experiment no longer names
    missing: list[Trial] = field(default_factory=list)  # to retry and new, in the plan's order: what is submitted
    jobs: list[str] = field(default_factory=list)  # the arrays that have not ended

    def words(self) -> str:
        """One line for people."""
        counts = [
            (len(self.finished), "finished"),
            (len(self.running), "running"),
            (len(self.queued), "queued"),
            (len(self.retry), "to retry"),
            (len(self.new), "new"),
            (len(self.unreadable), "that cannot be read and are left alone"),
            (len(self.obsolete), "obsolete (in the folder, not in the experiment)"),
        ]
        return ", ".join(f"{number} {word}" for number, word in counts if number) or "nothing"


@dataclass
class Submission:
    """What was submitted, or would be: how many trials, the sbatch commands, SLURM's numbers of the arrays and of the
    report's job. `refused`: why it is not all; `unasked`: why a dry run took nothing as queued."""

    difference: Difference
    trials: int = 0
    commands: list[list[str]] = field(default_factory=list)
    arrays: list[str] = field(default_factory=list)
    report: str | None = None
    refused: SegsuiteError | None = None
    unasked: SegsuiteError | None = None


def difference(experiment: Experiment, tasks: Sequence[Task], only: Collection[str] | None = None) -> Difference:
    """Sorts the experiment's trials by run directory first, by the queue second; `only` these ids are missing."""
    place = Place.of(experiment)
    queued = {trial: task for task in tasks for trial in place.trials_of(task)}
    there = store.names(experiment.folder)
    # What comes after a held array, or after one that waits for it, would wait for a person.
    held = any(task.is_held for task in tasks)
    arrays = [] if held else [task.job for task in tasks if place.trials_of(task)]
    found = Difference(jobs=list(dict.fromkeys(arrays)))
    for trial in experiment.trials:
        state = store.state(trial.folder) if trial.id in there else "new"
        task = queued.get(trial.id)
        if state == "finished":
            found.finished.append(trial)
        elif state == "running":
            found.running.append(trial)
        elif state == "unreadable":
            found.unreadable.append(trial)
        elif task is not None and not (state == "failed" and is_over(trial.folder, task.id)):
            (found.running if task.is_running else found.queued).append(trial)
        else:
            (found.new if state == "new" else found.retry).append(trial)
            if only is None or trial.id in only:
                found.missing.append(trial)
    planned = {trial.id for trial in experiment.trials}
    found.obsolete = [name for name in sorted(there - planned) if (experiment.folder / name / "trial.yaml").exists()]
    return found


def submit(
    experiment: Experiment,
    profile: Profile,
    report_arguments: Sequence[str],
    dry_run: bool,
    live_code: bool = False,
    only: Collection[str] | None = None,
    without_cluster: bool = False,
    untracked: str | None = None,
) -> Submission:
    """Submits what has no result and that nobody runs or has queued, of the trials with the ids `only` (None: of all),
    and a report after it.

    `report_arguments` are those of `segsuite` that write the report. A dry run asks SLURM, but writes and submits
    nothing; with `without_cluster` it goes on where SLURM gives no answer, as if nothing were queued. One launcher at a
    time decides: a second one waits for it, and then finds nothing left to submit. `untracked`: see `code_of`.
    """
    place = Place.of(experiment)
    place.check()
    if dry_run:
        unasked, tasks = None, list[Task]()
        try:
            tasks = live_tasks(place.job_prefix, place.folder)
        except SegsuiteError as error:
            if not without_cluster:
                raise
            unasked = error
        found = difference(experiment, tasks, only)
        code = _code(CHECKOUT, profile)
        numbers = itertools.count(place.last_table() + 1)
        largest = DEFAULT_ARRAY if unasked else None
        planned = _submit(
            experiment, found, profile, code, report_arguments, lambda _: next(numbers), _pretended, largest
        )
        planned.unasked = unasked
        return planned
    with _alone(place):
        found = difference(experiment, live_tasks(place.job_prefix, place.folder), only)
        if not found.missing:
            return Submission(found)
        code = _code(CHECKOUT if live_code else snapshot(place.code, untracked), profile)
        for trial in found.missing:
            if store.state(trial.folder) == "damaged":  # else the job would take it for finished
                atomic.set_aside(trial.folder / results.NAME)
        atomic.make_folder(place.logs)  # SLURM makes none: the job would fail without a log
        try:
            return _submit(experiment, found, profile, code, report_arguments, partial(_write_down, place), _sbatch)
        finally:
            forget_look(place.folder)


def _submit(
    experiment: Experiment,
    found: Difference,
    profile: Profile,
    code: Code,
    report_arguments: Sequence[str],
    new_table: Callable[[Sequence[Sequence[Trial]]], int],
    send: Callable[[list[str]], str],
    largest: int | None = None,
) -> Submission:
    """Hands each array's command, then the report's, to `send`, which returns the job's number.

    With a throttle arrays come one after the other, also after those that are queued: SLURM bounds each by itself.
    """
    place = Place.of(experiment)
    submission = Submission(found)

    def submitted(command: list[str]) -> str:
        job = send(command)
        submission.commands.append(command)
        return job

    try:
        for own, layout, tasks in _arrays(found.missing, profile, largest):
            after = (submission.arrays[-1:] or found.jobs) if profile.throttle else ()
            table = new_table(tasks)
            name = place.job_name(table, experiment.name)
            command = array_command(
                place, name, str(table), len(tasks), own, replace(code, python=own.python or code.python), layout, after
            )
            submission.arrays.append(submitted(command))
            submission.trials += sum(map(len, tasks))
    except SegsuiteError as error:
        if not submission.arrays:
            raise
        submission.refused = error  # a limit of the site, most often: the rest has to wait for those before
    if submission.arrays:
        name = f"{place.job_prefix}report-{experiment.name}"
        try:
            command = report_command(place, name, submission.arrays, profile, code, report_arguments)
            submission.report = submitted(command)
        except SegsuiteError as error:
            submission.refused = submission.refused or error
    return submission


def _arrays(
    trials: Sequence[Trial], profile: Profile, largest: int | None
) -> Iterator[tuple[Profile, Layout, Sequence[Sequence[Trial]]]]:
    """Of each array its profile, its layout and the trials of its tasks: one array has one number of nodes and devices,
    and asks for the same of each node."""
    alike: dict[tuple[tuple[int, ...], Layout], list[Trial]] = {}
    profiles: dict[tuple[int, ...], Profile] = {}
    for trial in trials:
        entries = profile.entries_of(trial)
        own = profiles.setdefault(entries, profile) if not entries else profiles.get(entries)
        if own is None:
            own = profiles[entries] = profile.of(trial)
        alike.setdefault((entries, Layout.of(trial, own)), []).append(trial)
    largest = min(largest or largest_array(), profile.array_size or sys.maxsize)
    for (entries, layout), group in alike.items():
        for tasks in _chunks(_chunks(group, layout.pack), largest):
            yield profiles[entries], layout, tasks


def _write_down(place: Place, tasks: Sequence[Sequence[Trial]]) -> int:
    freeze_all([trial for trials in tasks for trial in trials])
    return place.new_table([[trial.id for trial in trials] for trials in tasks])


def _sbatch(command: list[str]) -> str:
    """The job's number: `sbatch --parsable` prints `number` or `number;cluster`."""
    return call(command).strip().partition(";")[0]


def _pretended(command: list[str]) -> str:
    return "JOB"


def _code(folder: Path, profile: Profile) -> Code:
    return Code(folder, profile.python or sys.executable)


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


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
