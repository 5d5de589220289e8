"""Which splits of which data an experiment's trials use, and with which settings that matter for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segsuite.config import TrialSettings
from segsuite.experiment import Experiment, Trial


@dataclass(frozen=True)
class DataUsed:
    """Settings of one dataset, the splits that are used of it, and the trials that use it: one of each arm."""

    name: str
    options: dict[str, Any]
    splits: tuple[str, ...]
    trials: tuple[Trial, ...]


def splits_of(settings: TrialSettings) -> tuple[str, ...]:
    """Training split, watched split and scored split; a sanity run (overfit_batches) has the first alone."""
    overfit = settings.train.overfit_batches > 0
    return ("train",) if overfit else tuple(dict.fromkeys(("train", "val", settings.evaluation.split)))


def data_used(trials: Sequence[Trial]) -> list[DataUsed]:
    """The data of `trials`, each once."""
    arms = {trial.arm: trial for trial in reversed(trials)}
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        if arms[trial.arm] is trial:
            found.setdefault(trial.settings.data.model_dump_json(), []).append(trial)
    used = []
    for of_data in found.values():
        data = of_data[0].settings.data
        splits = dict.fromkeys(split for trial in of_data for split in splits_of(trial.settings))
        used.append(DataUsed(data.name, data.model_dump(exclude={"name"}), tuple(splits), tuple(of_data)))
    return used


def where_set(experiment: Experiment, *path: str) -> str:
    """File and line of a setting; of one that is compared, the line of its axis."""
    composed, dotted = experiment.composed, ".".join(path)
    for axis in composed.axes():
        if f"{axis}.".startswith(f"{dotted}.") or f"{dotted}.".startswith(f"{axis}."):
            return composed.where(("compare",))
    return composed.where(path)
