"""Mean mIoU over the grid of two axes."""

import statistics
from typing import Any

from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.style import NO_TICKS, inert, scale


def build(material: Material) -> Section | None:
    """A cell an arm; None unless the experiment has exactly two axes with at least two values each."""
    axes = material.gathered.axes
    if len(axes) != 2 or not material.answers.means:
        return None
    (row_axis, row_of), (column_axis, column_of) = axes.items()
    rows, columns = list(dict.fromkeys(row_of.values())), list(dict.fromkeys(column_of.values()))
    if min(len(rows), len(columns)) < 2:
        return None
    arm_at = {(row_of[arm], column_of[arm]): arm for arm in material.gathered.arms}
    z: list[list[float | None]] = []
    text: list[list[str]] = []
    for row in rows:
        cells = [_cell(material, arm_at.get((row, column))) for column in columns]
        z.append([mean for mean, _ in cells])
        text.append([words for _, words in cells])
    trace: dict[str, Any] = {
        "type": "heatmap",
        "z": z,
        "x": list(range(len(columns))),
        "y": list(range(len(rows))),
        "text": text,
        "texttemplate": "%{text}",
        "hovertemplate": "%{text}<extra></extra>",
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
        "meta": "sequential",
        "colorscale": scale("sequential"),
    }
    axis: dict[str, Any] = {"showgrid": False, "zeroline": False, "fixedrange": True, **NO_TICKS}
    layout = {
        "height": 56 * len(rows) + 96,
        "xaxis": axis
        | {
            "title": {"text": inert(column_axis)},
            "tickvals": list(range(len(columns))),
            "ticktext": [inert(column) for column in columns],
        },
        "yaxis": axis
        | {
            "title": {"text": inert(row_axis)},
            "tickvals": list(range(len(rows))),
            "ticktext": [inert(row) for row in rows],
            "autorange": "reversed",
        },
    }
    caption = (
        "Mean mIoU of the finished seeds of each arm; the standard deviation of the seeds (SD) and their number n "
        "below it. Empty: no finished trial, or not part of the experiment."
    )
    figure = Figure("axes", caption, [trace], layout, min_width=150 + 96 * len(columns))
    main = [effect.sentence() for effect in material.answers.effects]
    return Section("axes", "Both axes", figures=[figure], details=main, summary="Main effects and interactions")


def _cell(material: Material, arm: str | None) -> tuple[float | None, str]:
    scores = list(material.gathered.scores(arm, "miou").values()) if arm is not None else []
    if not scores:
        return None, ""
    mean = statistics.mean(scores)
    spread = f"SD {statistics.stdev(scores):.3f}, " if len(scores) > 1 else ""
    return mean, f"{mean:.3f}<br>{spread}n = {len(scores)}"
