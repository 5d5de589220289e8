"""`python -m segsuite.launch.slurm.hold FOLDER TABLE JOB`: trial.sbatch asks it after a failure.

It records the failure where the trial could not do so itself. Exit code 3: the array is to be held, and slurm/held.json
says why, until `segsuite retry` or `cancel`. It only decides, and trial.sbatch calls scontrol: in a container there is
no SLURM.
"""

import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from segsuite.errors import SegsuiteError, plural
from segsuite.experiment import Experiment
from segsuite.io import atomic, results, store
from segsuite.launch.causes import cause, read_attempts
from segsuite.launch.same_failure import common_failure, failure_of
from segsuite.launch.slurm import cancelled
from segsuite.launch.slurm.arrays import Place
from segsuite.launch.slurm.command import call
from segsuite.launch.slurm.queue import Task, forget_look, live_tasks

EXIT_HOLD = 3
NO_FAILURE = (None, 0, 75, 77, 138, 143)  # exit codes after which a trial goes on or is not to: see trial.sbatch


def main(folder: Path, table: str, job: str) -> int:
    """3, and slurm/held.json written, when the first trials of this table fail in the same way; else 0."""
    path = folder / "slurm" / "tables" / f"{table}.txt"
    since = path.stat().st_mtime  # what failed before is being repeated; the file server's clock for both
    failed, finished = [], False
    for trial in path.read_text().split():
        _record_death(folder / trial)
        failure = failure_of(folder / trial, since)
        if failure is not None:
            failed.append((failure.time, folder / trial))
        finished = finished or store.state(folder / trial) == "finished"
    told = (folder / "slurm" / "keep-going").exists() or (read(folder) or {}).get("job") == job
    reason = None if told or finished else common_failure([trial for _, trial in sorted(failed)], since)
    if reason is None:
        return 0
    atomic.write_json(_file(folder), {"reason": reason, "job": job, "time": time.time()})
    print(f"{reason}\nthe tasks of array {job} that wait are held; mend it, then call `segsuite retry`")
    return EXIT_HOLD


def _record_death(folder: Path) -> None:
    """Writes failure.json for a trial whose process ended before it could: killed, or broken at its first import."""
    look = store.look(folder)
    if "attempts.jsonl" not in look.names or look.state in ("finished", "running"):
        return
    last: dict[str, Any] = next(reversed(read_attempts(folder)), {})
    told = store.read_json(folder / "failure.json") or {}
    # Both times are of the trial's node; a failure of before is not that of this attempt.
    if last.get("code") not in NO_FAILURE and _seconds(told.get("time")) < _seconds(last.get("begin")):
        atomic.remove(folder / "failure.json")
        found = cause(folder)
        store.record_failure(folder, "Died", found.reason, found.where, found.advice)


def _seconds(value: Any) -> float:
    return float(value) if results.is_number(value) else 0.0


def read(folder: Path) -> dict[str, Any] | None:
    """Why the arrays of an experiment's folder are held (reason, job, time), None when none is."""
    return store.read_json(_file(folder))


def refuse(experiment: Experiment) -> None:
    """Raises SegsuiteError when trials are held: what is submitted beside them would most likely fail, too."""
    held, (waiting, _) = read(experiment.folder), _waiting(Place.of(experiment))
    if held is not None and waiting:
        raise SegsuiteError(
            f"{plural(len(waiting), 'task')} held: {held.get('reason')}",
            str(_file(experiment.folder)),
            f"mend it, then `segsuite retry {experiment.path} --on slurm` submits them with the code as it is then",
        )


def cancel_held(experiment: Experiment, only: Collection[str] | None = None, dry_run: bool = False) -> int:
    """Cancels the tasks that are held, or wait for those, of the trials with the ids `only` (None: of all); how many.

    They are not released: their code is that of the submission, which failed. A dry run only counts.
    """
    place = Place.of(experiment)
    waiting, tasks = _waiting(place)
    chosen = [task for task in waiting if only is None or set(only) & set(place.trials_of(task))]
    if not dry_run:
        cancel(place, chosen, tasks, for_good=False)  # they are submitted anew
    return len(chosen)


def cancel(place: Place, chosen: Sequence[Task], tasks: Sequence[Task], for_good: bool = True) -> None:
    """Cancels `chosen` of all `tasks`: an array by its number when all its tasks are chosen, so that words are few.
    `for_good`: it is a person's wish, and recorded as such."""
    left = set(tasks) - set(chosen)
    partly = {task.job for task in left}
    if chosen:
        call(["scancel", *dict.fromkeys(task.id if task.job in partly else task.job for task in chosen)])
        forget_look(place.folder)
    if for_good:
        cancelled.record(place, chosen)  # now that SLURM has taken it
    if not any(task.is_held for task in left):
        atomic.remove(_file(place.folder))


def _waiting(place: Place) -> tuple[list[Task], list[Task]]:
    """The tasks of trials that wait, if any is held, and all tasks: with a throttle further arrays wait for a held one.
    Without slurm/held.json nothing of ours is held, and nobody is asked."""
    if read(place.folder) is None:
        return [], []
    tasks = live_tasks(place.job_prefix, place.folder)
    waiting = [task for task in tasks if not task.is_running and place.trials_of(task)]
    if not any(task.is_held for task in waiting):
        atomic.remove(_file(place.folder))  # somebody has released or cancelled them
        return [], tasks
    return waiting, tasks


def keep_going(folder: Path, wanted: bool) -> None:
    """Lets the trials of an experiment's folder go on although the first ones fail in the same way, or not."""
    path = folder / "slurm" / "keep-going"
    if wanted:
        atomic.write_text(path, "")
    else:
        atomic.remove(path)


def _file(folder: Path) -> Path:
    return folder / "slurm" / "held.json"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
