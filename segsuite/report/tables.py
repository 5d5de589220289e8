"""Result tables of an experiment, for the terminal."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from segsuite.errors import plural
from segsuite.experiment import Experiment
from segsuite.io import store
from segsuite.report.columns import columns_left_out, left_out, short_arms, widths_of
from segsuite.report.same_data import OTHER_DATA, of_other_data

MANY_CLASSES = 16
GAP, EDGE = 3, 4  # that rich draws between columns, and around them
ARM_WIDTH = 28
SMALLER_BATCHES = "* the memory was too small: trained with smaller batches, which batch normalisation sees"


def results(experiment: Experiment) -> dict[str, dict[int, dict[str, Any]]]:
    """arm -> seed -> result.json, of the trials that have one, in the experiment's order."""
    found: dict[str, dict[int, dict[str, Any]]] = {arm: {} for arm in experiment.arms}
    for trial in experiment.trials:
        result = store.look(trial.folder).result
        if result is not None:
            found[trial.arm][trial.seed] = dict(result)
    return found


def result_table(experiment: Experiment, width: int | None = None) -> Group:
    """mIoU of each arm with every seed, then per-class IoU averaged over seeds. A mean never hides how many seeds
    it is of. Where it is wider than `width`, arms are called by what differs and columns are left out."""
    every = results(experiment)
    others = _other_data(experiment, every)
    found = {arm: {s: one for s, one in seeds.items() if (arm, s) not in others} for arm, seeds in every.items()}
    first = next((result for seeds in found.values() for result in seeds.values()), None)
    if first is None:
        return Group(Text("no trial has a result yet"))
    scored = first["scored"]
    images = plural(scored["images"], "image")
    title = f"{experiment.name}: mIoU on {scored['split']} ({images}, {scored['checkpoint']} checkpoint)"
    seeds = [f"seed {seed}" for seed in experiment.seeds]
    names = ["arm", *seeds, "mean", "sd of seeds", "seeds", "pixel accuracy", "parameters", "training"]
    rows = [_row(experiment, arm, found[arm], every[arm]) for arm in experiment.arms]
    short = dict(zip(experiment.arms, experiment.arms, strict=True))
    if width is not None and _width([names, *rows]) > width:
        names[0], short = short_arms(experiment.arms)
        rows = [[row[0].replace(arm, short[arm], 1), *row[1:]] for arm, row in zip(short, rows, strict=True)]
    parts: list[Table | Text] = [
        *_fitted(title, names, rows, width, ("training", "pixel accuracy", "parameters", *seeds))
    ]
    parts += _class_tables({short[arm]: one for arm, one in found.items()}, list(first["class_scores"]["iou"]), width)
    if any("smaller_batch" in result for seeds in found.values() for result in seeds.values()):
        parts.insert(1, Text(SMALLER_BATCHES))
    if others:
        parts.insert(1, Text(f"^ {OTHER_DATA}; remove its run directory and run again"))
    return Group(*parts)


def _width(table: Sequence[Sequence[str]]) -> int:
    """Of a table that rich draws."""
    widths = widths_of(table)
    return sum(widths) + GAP * (len(widths) - 1) + EDGE


def _fitted(
    title: str, names: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, leave: Sequence[str]
) -> Iterator[Table | Text]:
    """A table without the columns that `width` has no place for, and a sentence about them. The first column is folded
    where it has to be."""
    widths = widths_of([names, *rows])
    gone = columns_left_out(names, [min(widths[0], ARM_WIDTH), *widths[1:]], width, leave, GAP, EDGE)
    if gone and any(names[at].startswith("seed ") for at in gone):  # all of them or none
        gone |= {at for at, name in enumerate(names) if name.startswith("seed ")}
    table = Table(title=title)
    kept = [at for at in range(len(names)) if at not in gone]
    for at in kept:
        table.add_column(Text(names[at]), justify="right" if at else "left", overflow="fold", no_wrap=at > 0)
    for row in rows:
        table.add_row(*(Text(row[at]) for at in kept))
    yield table
    if gone and width is not None:
        yield Text(left_out(width, [names[at] for at in sorted(gone)]))


def _other_data(experiment: Experiment, found: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> set[tuple[str, int]]:
    """Arm and seed of the trials that are in no mean, because they saw other data."""
    finished = [trial for trial in experiment.trials if trial.seed in found[trial.arm]]
    others = of_other_data((trial.id, trial.settings, found[trial.arm][trial.seed]) for trial in finished)
    return {(trial.arm, trial.seed) for trial in finished if trial.id in others}


def _row(
    experiment: Experiment, arm: str, seeds: Mapping[int, dict[str, Any]], every: Mapping[int, dict[str, Any]]
) -> list[str]:
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
    return [*cells, "-", "-", "-"][: 1 + len(experiment.seeds) + 6]


def _score(result: dict[str, Any]) -> str:
    return _number(result["scores"]["miou"]) + "*" * ("smaller_batch" in result)


def _class_tables(
    found: Mapping[str, Mapping[int, dict[str, Any]]], classes: list[str], width: int | None
) -> Iterator[Table | Text]:
    """Classes across when they fit, else down, else across in as many tables as it takes."""
    title = "IoU per class (mean over seeds; - where the class is not in the split)"
    means = {
        arm: [_mean([result["class_scores"]["iou"][name] for result in seeds.values()]) for name in classes]
        for arm, seeds in found.items()
        if seeds
    }
    across = [["arm", *classes], *([arm, *values] for arm, values in means.items())]
    down = [["class", *means], *([name, *(one[at] for one in means.values())] for at, name in enumerate(classes))]
    if width is None:
        chosen = [down if len(means) == 1 or len(classes) > MANY_CLASSES else across]
    elif _width(across) <= width and len(means) > 1:
        chosen = [across]
    elif _width(down) <= width or len(means) == 1:
        chosen = [down]
    else:
        chosen = list(_pieces(across, width))
    for at, table in enumerate(chosen):
        yield from _fitted(title if at == 0 else "", table[0], table[1:], width, ())


def _pieces(table: Sequence[Sequence[str]], width: int) -> Iterator[list[list[str]]]:
    """The table in parts that fit, each with the first column."""
    widths = widths_of(table)
    start = at = 1
    while start < len(widths):
        at = start + 1
        while (
            at < len(widths)
            and min(widths[0], ARM_WIDTH) + sum(widths[start : at + 1]) + GAP * (at + 1 - start) + EDGE <= width
        ):
            at += 1
        yield [[row[0], *row[start:at]] for row in table]
        start = at


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _number(statistics.mean(known)) if known else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
