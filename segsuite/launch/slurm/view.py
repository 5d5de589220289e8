"""What SLURM is known to do for an experiment, for those who only look: the kept queue, what is held, what it cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsuite.experiment import Experiment
from segsuite.launch.slurm import hold
from segsuite.launch.slurm.accounting import from_attempts, from_sacct
from segsuite.launch.slurm.arrays import Place
from segsuite.launch.slurm.asking import Answer
from segsuite.launch.slurm.queue import LONGEST_SECONDS, Task, look, tasks_in

OLDEST_SECONDS = 2 * LONGEST_SECONDS  # an older answer says nothing of now


@dataclass(frozen=True)
class View:
    """What the queue holds of an experiment that was submitted."""

    place: Place
    answer: Answer
    tasks: Mapping[str, Task]  # by trial
    held: dict[str, Any] | None

    def since(self, task: Task) -> float:
        """When the attempt began that squeue has seen, or when it was seen to wait; Unix time."""
        return (self.answer.time or 0.0) - task.elapsed_seconds

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
    )


def _is_of_now(answer: Answer) -> bool:
    return answer.age is not None and answer.age <= OLDEST_SECONDS


def accounting(
    view: View, experiment: Experiment, attempts: Sequence[tuple[Sequence[dict[str, Any]], str]]
) -> dict[str, Any]:
    """The cost as sacct knows it, else as the attempts of each trial, with its state, tell it."""
    cost, answer = from_sacct(view.place, experiment.name)
    if cost is not None and cost.attempts:
        return cost.to_json() | {"age_seconds": answer.age, "problem": answer.problem or None}
    return from_attempts(attempts).to_json() | {"age_seconds": 0.0, "problem": answer.problem or None}
