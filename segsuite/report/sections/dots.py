"""Rows of dots, one row an arm: every seed, the mean, and an interval where there is one."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from segsuite.report.sections.base import Material

ROW = 36
NARROW_ROW = 58
NARROW_RANGE = 0.06


def dot_rows(
    material: Material,
    arms: Sequence[str],
    seeds: Mapping[str, Mapping[int, float]],
    means: Mapping[str, Mapping[str, Any]],
    title: str,
    signed: bool = False,
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Traces, layout, and the layout's changes on a phone. `seeds`: arm -> seed -> value; `means`: arm -> `mean`, and
    `low`, `high` and `text` where there is an interval. `title` names the axis and is read as plotly's small HTML."""
    data: list[dict[str, Any]] = []
    number = "+.3f" if signed else ".3f"
    for row, arm in enumerate(arms):
        style = material.styles[arm]
        of_arm = seeds.get(arm, {})
        if of_arm:
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": list(of_arm.values()),
                    "y": _spread(row, len(of_arm)),
                    "customdata": list(of_arm),
                    "name": style.label,
                    "text": [style.label] * len(of_arm),
                    "marker": {"color": style.colour, "symbol": style.symbol, "size": 8, "opacity": 0.65},
                    "hovertemplate": f"%{{text}}<br>seed %{{customdata}}: %{{x:{number}}}<extra></extra>",
                    "showlegend": False,
                }
            )
        if arm in means:
            data.append(_mean(row, means[arm], style.label, style.colour, style.symbol, number))
    layout, narrow = label_rows(material, arms, title)
    layout["xaxis"] |= {"zeroline": signed, "tickformat": number}
    return data, layout, narrow


def label_rows(
    material: Material, arms: Sequence[str], title: str, narrow_row: int = NARROW_ROW
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The layout of rows with the arms' names, beside them or, on a phone, above them, and its changes there."""
    labels = [material.styles[arm].label + (" (baseline)" if arm == material.gathered.baseline else "") for arm in arms]
    layout: dict[str, Any] = {
        "height": ROW * len(arms) + 84,
        "hovermode": "closest",
        "xaxis": {"title": {"text": title}, "zeroline": False, "nticks": 8},
        "yaxis": {
            "tickvals": list(range(len(arms))),
            "ticktext": labels,
            "range": [len(arms) - 0.5, -0.5],
            "showgrid": False,
            "zeroline": False,
            "ticks": "",
            "fixedrange": True,
        },
    }
    narrow = {
        "height": narrow_row * len(arms) + 84,
        "xaxis.nticks": 4,
        "yaxis.showticklabels": False,
        "yaxis.range": [len(arms) - 0.5, -0.75],
        "annotations": [
            {
                "x": 0,
                "xref": "paper",
                "xanchor": "left",
                "y": row - 0.42,
                "yanchor": "middle",
                "text": label,
                "showarrow": False,
                "font": {"size": 12},
            }
            for row, label in enumerate(labels)
        ],
    }
    return layout, narrow


def reference_line(value: float) -> dict[str, Any]:
    """A dotted vertical line at the baseline's mean."""
    return {
        "type": "line",
        "x0": value,
        "x1": value,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": "#8A8F98", "width": 1, "dash": "dot"},
        "layer": "below",
    }


def mean_of(values: Mapping[int, float]) -> dict[str, Any]:
    """The mean alone."""
    return {"mean": statistics.mean(values.values())}


def _mean(row: int, mean: Mapping[str, Any], label: str, colour: str, symbol: str, number: str) -> dict[str, Any]:
    value, low, high = mean["mean"], mean.get("low"), mean.get("high")
    lines = [label, f"mean {value:{number}}"]
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [value],
        "y": [row],
        "name": label,
        "marker": {"color": colour, "symbol": symbol, "size": 13, "line": {"color": "#FFFFFF", "width": 1}},
        "showlegend": False,
        "hovertemplate": "%{text}<extra></extra>",
    }
    if low is not None and high is not None:
        lines.append(f"{low:{number}} to {high:{number}}")
        trace["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [high - value],
            "arrayminus": [value - low],
            "color": colour,
            "thickness": 2,
            "width": 5,
        }
    lines += mean.get("text", ())
    trace["text"] = ["<br>".join(lines)]
    return trace


def _spread(row: int, count: int) -> list[float]:
    """Seeds lie a little apart from each other, below the mean, in their order."""
    step = 0.12 / max(count - 1, 1)
    return [row + 0.24 + step * (place - (count - 1) / 2) for place in range(count)]
