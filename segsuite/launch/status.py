"""What is known of an experiment's trials, from their run directories alone."""

from typing import Any

from segsuite.experiment import Experiment, Trial
from segsuite.io import store


def trial_states(experiment: Experiment) -> list[str]:
    """The state of each trial, in the experiment's order."""
    return [store.state(trial.folder) for trial in experiment.trials]


def plan(experiment: Experiment) -> dict[str, Any]:
    """The trials with their differences and states, as `segsuite plan --json` prints them."""
    return {
        "experiment": experiment.name,
        "trials": [
            {"id": trial.id, "arm": trial.arm, "seed": trial.seed, "state": state, "differences": trial.differences}
            for trial, state in zip(experiment.trials, trial_states(experiment), strict=True)
        ],
    }


def status(experiment: Experiment) -> dict[str, Any]:
    """Counts by state, and of each trial how far it is, its score or why it failed."""
    trials = [describe(trial, state) for trial, state in zip(experiment.trials, trial_states(experiment), strict=True)]
    counts = {state: sum(trial["state"] == state for trial in trials) for state in store.STATES}
    return {"experiment": experiment.name, "folder": str(experiment.folder), "counts": counts, "trials": trials}


def describe(trial: Trial, state: str) -> dict[str, Any]:
    """One trial: id, arm, seed, state, epochs done and planned, mIoU (final, or the last validation's), seconds
    left, reason."""
    epochs = store.events(trial.folder) if state in ("running", "unfinished", "failed") else []
    planned = trial.settings.train.epochs
    found: dict[str, Any] = {"id": trial.id, "arm": trial.arm, "seed": trial.seed, "state": state}
    found |= {
        "epochs_done": len(epochs),
        "epochs": planned,
        "miou": None,
        "seconds_left": None,
        "reason": None,
        "log": None,
    }
    if state == "finished":
        result = store.read_json(trial.folder / "result.json") or {}
        found |= {"epochs_done": result.get("epochs"), "miou": result.get("scores", {}).get("miou")}
    elif epochs:
        found["miou"] = next((event["miou"] for event in reversed(epochs) if event.get("miou") is not None), None)
        if state == "running":
            per_epoch = sum(event["seconds"] for event in epochs) / len(epochs)
            found["seconds_left"] = per_epoch * (planned - len(epochs))
    if state == "failed":
        failure = store.read_json(trial.folder / "failure.json") or {}
        found |= {"reason": failure.get("reason"), "log": str(store.log_file(trial.folder))}
    return found
