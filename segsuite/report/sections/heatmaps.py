"""Heatmaps with a number in every cell: rows are arms, columns classes or scores."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from segsuite.report.sections.class_order import ClassOrder
from segsuite.report.style import NO_TICKS

ROW = 34
DIVIDER = {"color": "#8A8F98", "width": 1.5}


def heatmap(
    z: Sequence[Sequence[float | None]], text: Sequence[Sequence[str]], hover: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """The trace, without its colours. `hover`: plotly's small HTML."""
    return {
        "type": "heatmap",
        "z": z,
        "text": text,
        "customdata": hover,
        "texttemplate": "%{text}",
        "hovertemplate": "%{customdata}<extra></extra>",
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
    }


def heatmap_layout(rows: Sequence[str], columns: Sequence[str]) -> dict[str, Any]:
    """`rows` and `columns`: their labels, as plotly's small HTML."""
    lines = max((label.count("<br>") for label in columns), default=0)
    axis: dict[str, Any] = {"showgrid": False, "zeroline": False, "fixedrange": True, **NO_TICKS}
    return {
        "height": ROW * len(rows) + 56 + 16 * lines,
        "margin": {"b": 32},
        "xaxis": axis | {"tickvals": list(range(len(columns))), "ticktext": list(columns), "tickangle": 0},
        "yaxis": axis | {"tickvals": list(range(len(rows))), "ticktext": list(rows), "autorange": "reversed"},
    }


def group_marks(layout: dict[str, Any], order: ClassOrder) -> dict[str, Any]:
    """`layout` of a figure whose columns are the classes of `order`, with its groups named above them and divided."""
    if order.groups is None:
        return layout
    layout = layout | {"height": layout["height"] + 18, "shapes": [], "annotations": []}
    layout["margin"] = layout.get("margin", {}) | {"t": 30}
    start = 0
    for group, members in groupby(order.groups):
        count = len(list(members))
        layout["annotations"].append(
            {
                **{"text": group, "x": start - 0.45, "xref": "x", "xanchor": "left"},
                **{"y": 1, "yref": "paper", "yanchor": "bottom", "yshift": 3, "showarrow": False, "font": {"size": 12}},
            }
        )
        if start:
            layout["shapes"].append(divider(start - 0.5))
        start += count
    return layout


def divider(at: float) -> dict[str, Any]:
    """A vertical line between columns."""
    return {"type": "line", "x0": at, "x1": at, "xref": "x", "y0": 0, "y1": 1, "yref": "paper", "line": DIVIDER}
