"""What SLURM is known to do for an experiment, for those who only look: the kept queue, what is held, what it cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segsuite.experiment import Experiment
from segsuite.launch.causes import Known
from segsuite.launch.slurm import cancelled, hold
from segsuite.launch.slurm.accounting import from_attempts, from_sacct
from segsuite.launch.slurm.arrays import Place
from segsuite.launch.slurm.asking import Answer
from segsuite.launch.slurm.cancelled import Cancelled
from segsuite.launch.slurm.queue import LONGEST_SECONDS, Task, look, tasks_in

OLDEST_SECONDS = 2 * LONGEST_SECONDS  # an older answer says nothing of now


@dataclass(frozen=True)
class View:
    """What the queue holds of an experiment that was submitted."""

    place: Place
    answer: Answer
    tasks: Mapping[str, Task]  # by trial
    held: dict[str, Any] | None
    cancellations: Mapping[str, Cancelled] = field(default_factory=dict)  # by trial

    def since(self, task: Task) -> float:
        """When the attempt began that squeue has seen, or when it was seen to wait; Unix time."""
        return (self.answer.time or 0.0) - task.elapsed_seconds

    def known(self, trial: str, attempts: Sequence[Mapping[str, Any]]) -> Known:
        """What the queue and people's wishes say of a trial with these attempts."""
        task, last = self.tasks.get(trial), attempts[-1] if attempts else {}
        cancelled = self.cancellations.get(trial)
        if (
            cancelled is not None
            and task is None
            and (cancelled.job == last.get("job") or cancelled.time >= float(last.get("end", last.get("begin", 0.0))))
        ):
            return Known("cancelled", cancelled=str(cancelled))
        if not _is_of_now(self.answer):
            return Known("unknown", self.answer.problem)
        if task is not None and not task.is_running and float(last.get("begin", 0.0)) < (self.answer.time or 0.0):
            return Known("queued", node=str(last.get("node")))
        # An attempt that is newer than the answer was begun since.
        if task is not None or float(last.get("begin", 0.0)) >= (self.answer.time or 0.0):
            return Known("alive", node=str((task and task.node) or last.get("node")))
        return Known("gone")

    def queue(self) -> dict[str, Any]:
        """Tasks by what they do, why they wait, and how old that is."""
        tasks = set(self.tasks.values())  # several trials may share one
        waiting = [task for task in tasks if not task.is_running]
        return {
            "running": len(tasks) - len(waiting),
            "queued": sum(not task.is_held for task in waiting),
            "held": sum(task.is_held for task in waiting),
            "reasons": dict(Counter(task.reason_in_words for task in waiting).most_common()),
            "age_seconds": self.answer.age if _is_of_now(self.answer) else None,
            "problem": self.answer.problem or None,
        }


def view(experiment: Experiment) -> View | None:
    """None of an experiment that was never submitted."""
    place = Place.of(experiment)
    if not place.tables.is_dir():
        return None
    answer = look(place.folder, place.job_prefix)
    tasks = tasks_in(answer.text) if _is_of_now(answer) else []
    return View(
        place,
        answer,
        {trial: task for task in tasks for trial in place.trials_of(task)},
        hold.read(place.folder),
        cancelled.read(place.folder),
    )


def _is_of_now(answer: Answer) -> bool:
    return answer.age is not None and answer.age <= OLDEST_SECONDS


def accounting(
    view: View, experiment: Experiment, attempts: Sequence[tuple[Sequence[dict[str, Any]], str, str]]
) -> dict[str, Any]:
    """The cost as sacct knows it, else as the attempts of each trial, with its state and `fate`, tell it."""
    cost, answer = from_sacct(view.place, experiment.name)
    if cost is not None and cost.attempts:
        return cost.to_json() | {"age_seconds": answer.age, "problem": answer.problem or None}
    return from_attempts(attempts).to_json() | {"age_seconds": 0.0, "problem": answer.problem or None}
