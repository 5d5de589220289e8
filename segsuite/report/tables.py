"""Result tables of an experiment, for the terminal."""

import statistics
from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from segsuite.experiment import Experiment
from segsuite.io import store
from segsuite.report.same_data import OTHER_DATA, of_other_data

MANY_CLASSES = 16
SMALLER_BATCHES = "* the memory was too small: trained with smaller batches, which batch normalisation sees"


def results(experiment: Experiment) -> dict[str, dict[int, dict[str, Any]]]:
    """arm -> seed -> result.json, of the trials that have one, in the experiment's order."""
    found: dict[str, dict[int, dict[str, Any]]] = {arm: {} for arm in experiment.arms}
    for trial in experiment.trials:
        result = store.read_json(trial.folder / "result.json")
        if result is not None:
            found[trial.arm][trial.seed] = result
    return found


def result_table(experiment: Experiment) -> Group:
    """mIoU of each arm with every seed, then per-class IoU averaged over seeds. A mean never hides how many seeds
    it is of."""
    every = results(experiment)
    others = _other_data(experiment, every)
    found = {arm: {s: one for s, one in seeds.items() if (arm, s) not in others} for arm, seeds in every.items()}
    first = next((result for seeds in found.values() for result in seeds.values()), None)
    if first is None:
        return Group(Text("no trial has a result yet"))
    scored = first["scored"]
    title = (
        f"{experiment.name}: mIoU on {scored['split']} ({scored['images']} images, {scored['checkpoint']} checkpoint)"
    )
    table = Table(title=title)
    table.add_column("arm", overflow="fold")
    for seed in experiment.seeds:
        table.add_column(f"seed {seed}", justify="right")
    for name in ("mean", "sd of seeds", "seeds", "pixel accuracy", "parameters", "training"):
        table.add_column(name, justify="right")
    for arm in experiment.arms:
        table.add_row(*_row(experiment, arm, found[arm], every[arm]))
    parts: list[Table | Text] = [table, _class_table(experiment, found, list(first["class_scores"]["iou"]))]
    if any("smaller_batch" in result for seeds in found.values() for result in seeds.values()):
        parts.insert(1, Text(SMALLER_BATCHES))
    if others:
        parts.insert(1, Text(f"^ {OTHER_DATA}; remove its run directory and run again"))
    return Group(*parts)


def _other_data(experiment: Experiment, found: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> set[tuple[str, int]]:
    """Arm and seed of the trials that are in no mean, because they saw other data."""
    finished = [trial for trial in experiment.trials if trial.seed in found[trial.arm]]
    others = of_other_data((trial.id, trial.settings, found[trial.arm][trial.seed]) for trial in finished)
    return {(trial.arm, trial.seed) for trial in finished if trial.id in others}


def _row(
    experiment: Experiment, arm: str, seeds: Mapping[int, dict[str, Any]], every: Mapping[int, dict[str, Any]]
) -> list[Text]:
    """`every`: also those that are in no mean, which are shown with a mark."""
    scores = [seeds[seed]["scores"]["miou"] for seed in experiment.seeds if seed in seeds]
    known = [score for score in scores if score is not None]
    cells = [arm + (" (baseline)" if arm == experiment.baseline else "")]
    for seed in experiment.seeds:
        cells.append(_score(every[seed]) + "^" * (seed not in seeds) if seed in every else "missing")
    cells.append(_number(statistics.mean(known)) if known else "-")
    cells.append(_number(statistics.stdev(known)) if len(known) > 1 else "-")
    cells.append(f"{len(known)} of {len(experiment.seeds)}")
    if seeds:
        accuracy = [
            result["scores"]["pixel_accuracy"]
            for result in seeds.values()
            if result["scores"]["pixel_accuracy"] is not None
        ]
        cells.append(_number(statistics.mean(accuracy)) if accuracy else "-")
        cells.append(f"{next(iter(seeds.values()))['cost']['parameters'] / 1e6:.2f} M")
        cells.append(f"{statistics.mean(result['cost']['train_seconds'] for result in seeds.values()):.0f} s")
    return [Text(cell) for cell in (*cells, "-", "-", "-")[: 1 + len(experiment.seeds) + 6]]


def _score(result: dict[str, Any]) -> str:
    return _number(result["scores"]["miou"]) + "*" * ("smaller_batch" in result)


def _class_table(experiment: Experiment, found: dict[str, dict[int, dict[str, Any]]], classes: list[str]) -> Table:
    """Classes across when they fit a terminal, else down."""
    title = "IoU per class (mean over seeds; - where the class is not in the split)"
    means = {
        arm: [_mean([result["class_scores"]["iou"][name] for result in seeds.values()]) for name in classes]
        for arm, seeds in found.items()
        if seeds
    }
    table = Table(title=title)
    if len(means) == 1 or len(classes) > MANY_CLASSES:
        table.add_column("class")
        for arm in means:
            table.add_column(Text(arm), justify="right")
        for place, name in enumerate(classes):
            table.add_row(Text(name), *(values[place] for values in means.values()))
    else:
        table.add_column("arm", overflow="fold")
        for name in classes:
            table.add_column(Text(name), justify="right")
        for arm, values in means.items():
            table.add_row(Text(arm), *values)
    return table


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _number(statistics.mean(known)) if known else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
