"""What is known of an experiment's trials: from their run directories, and of submitted ones from SLURM's queue."""

from collections import Counter
from typing import Any

from segsuite.experiment import Experiment, Trial
from segsuite.io import claims, results, store, trial_warnings, users
from segsuite.io.reading import Unreadable
from segsuite.launch.causes import NO_REASON, read_attempts
from segsuite.launch.data_changes import seen_by
from segsuite.launch.notes import as_json, notes
from segsuite.launch.slurm.view import View, accounting, view

STATES = ("finished", "running", "queued", "held", "failed", "damaged", "unfinished", "unreadable", "new")
BAD_STATES = ("failed", "damaged", "unreadable")
"""What a person has to look at: status ends with exit code 1."""
OPEN_STATES = ("running", "queued", "held", "unfinished", "new")  # of what may still come to a result


NOTHING = store.Look("new")


def _seconds(value: Any) -> float:
    return float(value) if results.is_number(value) else 0.0


def plan(experiment: Experiment) -> dict[str, Any]:
    """The trials with their differences and states, as `segsuite plan --json` prints them."""
    there = store.names(experiment.folder)
    return {
        "experiment": experiment.name,
        "trials": [
            {
                "id": trial.id,
                "arm": trial.arm,
                "seed": trial.seed,
                "state": store.state(trial.folder) if trial.id in there else "new",
                "differences": trial.differences,
            }
            for trial in experiment.trials
        ],
    }


class Status:
    """Looks at an experiment again and again: what has finished is read once."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self._finished: dict[str, dict[str, Any]] = {}
        self._attempts: dict[str, list[dict[str, Any]]] = {}
        self._seen: dict[str, str] = {}
        self._told: list[dict[str, str]] | None = None

    def look(self) -> dict[str, Any]:
        """Counts by state, each trial (see `_describe`), and of a submitted experiment its queue and its cost."""
        there = store.names(self.experiment.folder)
        seen = view(self.experiment)
        trials = [
            self._finished.get(trial.id) or self._look_at(trial, seen, trial.id in there)
            for trial in self.experiment.trials
        ]
        counts = Counter(trial["state"] for trial in trials)
        found: dict[str, Any] = {
            "experiment": self.experiment.name,
            "folder": str(self.experiment.folder),
            "counts": {state: counts[state] for state in STATES},
            "cluster": None,
        }
        if seen is not None:
            kept = [(self._attempts.get(trial["id"], []), trial) for trial in trials]
            attempts = [(one, trial["state"], seen.known(trial["id"], one).fate) for one, trial in kept]
            cost = accounting(seen, self.experiment, attempts)
            found["cluster"] = {"queue": seen.queue(), "held": seen.held, "accounting": cost}
        return found | {"notes": self._notes(), "trials": trials}

    def _notes(self) -> list[dict[str, str]]:
        """What is said beside the states; looked for once, since it may read files of the data."""
        if self._told is None:
            self._told = as_json(notes(self.experiment, self._seen))
        return self._told

    def _look_at(self, trial: Trial, seen: View | None, has_folder: bool) -> dict[str, Any]:
        look = store.look(trial.folder) if has_folder else NOTHING
        attempts = read_attempts(trial.folder) if seen is not None and "attempts.jsonl" in look.names else []
        if attempts:
            self._attempts[trial.id] = attempts
        try:
            found = _describe(trial, _state(trial, look, seen), look)
        except Unreadable as error:  # one of its files: the other trials go on
            found = _describe(trial, "unreadable", store.Look("unreadable", error.what, error.advice))
        if (fingerprint := seen_by(look.result or {})) is not None:
            self._seen[trial.id] = fingerprint
        found["attempts"] = len(attempts) or None
        task = seen.tasks.get(trial.id) if seen is not None else None
        if seen is not None and found["state"] in ("new", "unfinished"):
            found["cancelled"] = seen.known(trial.id, attempts).cancelled or None
        if seen is not None and task is not None and found["state"] in ("running", "queued", "held"):
            found["job"] = task.id
            if task.is_running:
                found |= {"node": task.node, "elapsed_seconds": task.elapsed_seconds + (seen.answer.age or 0.0)}
            elif found["state"] != "running":
                found["waits_for"] = task.reason_in_words
        if found["state"] == "finished" and (not attempts or "end" in attempts[-1]):
            self._finished[trial.id] = found
        return found


def _state(trial: Trial, look: store.Look, seen: View | None) -> str:
    """The run directory says what has ended, the queue what is alive: a claim of another machine grows stale when
    clocks or network file systems lag."""
    state = look.state
    task = seen.tasks.get(trial.id) if seen is not None else None
    if seen is None or task is None or state in ("finished", "running"):
        return state
    if state == "failed":
        failure = store.read_json(trial.folder / "failure.json") or {}
        if _seconds(failure.get("time")) > seen.since(task):
            return state  # since squeue was asked, or the task is about to end
    if task.is_running:
        return "running"
    return "held" if task.is_held else "queued"


def _owner(trial: Trial, state: str) -> str | None:
    """Whose the run directory is of a trial that has begun and not ended. Not of thousands that have: each look at a
    folder is a question to a file server, and `why` says it of a failed one."""
    if state in ("new", "finished", "failed", "damaged"):
        return None
    try:
        return users.owner(trial.folder)
    except OSError:
        return None


def _describe(trial: Trial, state: str, look: store.Look) -> dict[str, Any]:
    """One trial: id, arm, seed, state, epochs done and planned, mIoU (final, or the last validation's), seconds left,
    reason of a failed, damaged or unreadable one, what to do and log; whether its batches were made smaller; its
    warnings; on a cluster its attempts, its task's job and node, its seconds so far, what it waits for, or who
    cancelled it; whose it is if it has begun and not ended, and of a running one the claim. Raises Unreadable."""
    there, epochs, damage = look.names, list[dict[str, Any]](), ""
    if store.EVENTS in there and state != "finished":
        epochs, damage = store.events_and_damage(trial.folder)
    planned = trial.settings.train.epochs
    found: dict[str, Any] = {"id": trial.id, "arm": trial.arm, "seed": trial.seed, "state": state}
    found |= {"epochs_done": len(epochs), "epochs": planned}
    found |= dict.fromkeys(("miou", "seconds_left", "reason", "to_do", "log", "attempts", "job", "node"))
    found |= {
        "elapsed_seconds": None,
        "waits_for": None,
        "cancelled": None,
        "smaller_batch": store.SMALLER_BATCH in there,
    }
    found |= {"owner": _owner(trial, state), "claim": claims.read(trial.folder) if state == "running" else None}
    found["warnings"] = trial_warnings.noted(trial.folder) if trial_warnings.FILE in there else []
    found["warnings"] += [damage] if damage else []
    if state == "finished" and look.result is not None:
        found |= {"epochs_done": look.result["epochs"], "miou": look.result["scores"]["miou"]}
    elif epochs:
        found["miou"] = next((event["miou"] for event in reversed(epochs) if event.get("miou") is not None), None)
        if state == "running":
            per_epoch = sum(event.get("seconds") or 0.0 for event in epochs) / len(epochs)
            found["seconds_left"] = per_epoch * (planned - len(epochs))
    if state == "failed":
        failure = store.read_json(trial.folder / "failure.json") or {"reason": NO_REASON}
        found |= {"reason": failure.get("reason"), "log": str(store.log_file(trial.folder))}
    if state in ("damaged", "unreadable"):
        found |= {"reason": look.why, "to_do": look.to_do}
    return found
