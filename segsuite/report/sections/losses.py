"""Which loss each arm minimised, with its class weights and the size of its gradient at the start of training."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from segsuite.report.gather import Gathered
from segsuite.report.losses import TIMES, ArmLoss, arm_losses, losses_differ
from segsuite.report.sections.base import Cell, Figure, Material, Section, Table
from segsuite.report.sections.class_order import ClassOrder, class_order
from segsuite.report.sections.heatmaps import group_marks, heatmap, heatmap_layout
from segsuite.report.style import inert, scale

NOTHING = Cell("-")
ADAMW = (
    "With AdamW a constant factor of the loss changes hardly any step: each gradient is divided by its own running "
    "size, and the weight decay does not depend on it. So gradients of other sizes are no other step sizes here."
)
CLIPPED = (
    "AdamW divides each gradient by its own running size, so that a constant factor of the loss would hardly change a "
    "step; but gradients are clipped before that, those of a loss with larger ones more often."
)
SGD = (
    "With SGD a loss whose gradient is k times as large takes steps k times as long, so that arms of other sizes are "
    "also other learning rates."
)
MATCHED = "The losses of all arms were multiplied so that they start with gradients as large as those of cross entropy."
UNMATCHED = "`train.match_gradient_norm: true` makes them equal at the start."


def build(material: Material) -> Section | None:
    """None unless arms differ in their loss."""
    if not losses_differ(material.gathered):
        return None
    losses = arm_losses(material.gathered)
    figure = _weights(material, losses, class_order(material))
    return Section(
        "losses",
        "Losses",
        notes=(meaning(material.gathered, losses),),
        figures=[figure] if figure is not None else [],
        table=_table(material, losses),
    )


def meaning(gathered: Gathered, losses: Mapping[str, ArmLoss]) -> str:
    """What the sizes of the gradients mean for the comparison, by the optimizers that the arms were trained with."""
    trainings = [trial.settings.train for trial in gathered.trials]
    sentences = []
    if any(one.optimizer.name == "sgd" for one in trainings):
        sentences.append(SGD)
    if any(one.optimizer.name == "adamw" for one in trainings):
        clipped = any(one.gradient_clip is not None for one in trainings if one.optimizer.name == "adamw")
        sentences.append(CLIPPED if clipped else ADAMW)
    matters = sentences != [ADAMW]
    if all(loss.matched for loss in losses.values()):
        sentences.append(MATCHED)
    elif matters and not any(loss.matched for loss in losses.values()):
        sentences.append(UNMATCHED)
    return " ".join(sentences)


def _table(material: Material, losses: Mapping[str, ArmLoss]) -> Table:
    matched = any(loss.matched for loss in losses.values())
    several = any(len(loss.relative) > 1 for loss in losses.values())
    columns = [("arm", False), ("gradient / CE's", True)]
    columns += [("over seeds", True)] if several else []
    columns += [("factor", True)] if matched else []
    # Long words last: a phone then shows the numbers.
    columns.append(("loss", False))
    rows = []
    for arm, loss in losses.items():
        style = material.styles[arm]
        baseline = " (baseline)" if arm == material.gathered.baseline else ""
        row = [Cell(style.name + baseline, style.name, colour=style.colour)]
        row += [_mean(loss.relative), *([_range(loss.relative)] if several else [])]
        row += [_mean(loss.factors)] if matched else []
        words = loss.words + (", matched" if loss.matched else "")
        rows.append([*row, Cell(words, words)])
    caption = (
        "Gradient: norm of the gradient that the loss sends to the logits on the first training batch, before any "
        "factor, divided by that of plain cross entropy (CE) on the same logits; mean of the finished seeds"
    )
    caption += ", and their lowest and highest." if several else "."
    if matched:
        caption += " Factor: what a matched loss was then multiplied by in training, mean of the seeds."
    return Table(columns, rows, caption)


def _mean(values: Mapping[int, float]) -> Cell:
    mean = statistics.mean(values.values()) if values else None
    return NOTHING if mean is None else Cell(f"{mean:.3g}", mean)


def _range(values: Mapping[int, float]) -> Cell:
    if len(values) < 2:
        return NOTHING
    low, high = min(values.values()), max(values.values())
    text = f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
    return Cell(text, high - low)


def _weights(material: Material, losses: Mapping[str, ArmLoss], order: ClassOrder | None) -> Figure | None:
    """A row for each table of class weights; None without one."""
    rows = [
        (material.styles[arm].name if len(loss.weights) == 1 else f"{material.styles[arm].name}: {setting}", table)
        for arm, loss in losses.items()
        for setting, table in loss.weights.items()
    ]
    if not rows or order is None:
        return None
    values = [[table.get(name) for name in order.names] for _, table in rows]
    text = [["" if value is None else f"{value:.3g}" for value in row] for row in values]
    hover = [
        [f"{inert(label)}<br>{inert(name)}: {value}" for name, value in zip(order.names, row, strict=True)]
        for (label, _), row in zip(rows, text, strict=True)
    ]
    trace: dict[str, Any] = heatmap(list(map(_places, values)), text, hover)
    trace |= {"zmin": 0, "zmax": 1, "meta": "sequential", "colorscale": scale("sequential")}
    layout = heatmap_layout([inert(label) for label, _ in rows], order.ticks)
    caption = (
        "Weights of the classes in the loss; the stronger the colour, the larger within its row (logarithmic). "
        f"{order.told} Where a loss divides by the sum of the weights, as cross entropy does, a row {TIMES} 2 is the "
        "same loss."
    )
    return Figure("class-weights", caption, [trace], group_marks(layout, order), min_width=170 + 62 * len(order.names))


def _places(values: Sequence[float | None]) -> list[float | None]:
    """0 for the smallest weight above 0, 1 for the largest, by their logarithms; 0 for none."""
    known = [math.log(value) for value in values if value]
    width = max(known, default=0.0) - min(known, default=0.0)
    return [
        None if value is None else (math.log(value) - min(known)) / width if value and width else 0.0
        for value in values
    ]
