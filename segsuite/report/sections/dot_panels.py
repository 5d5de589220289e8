"""Panels of dots beside each other that share their rows, one row an arm; below each other on a phone."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segsuite.report.sections.base import Material
from segsuite.report.sections.scale import Scale, scale_of
from segsuite.report.style import inert
from segsuite.stats import mean_interval

ROW, TOP, BOTTOM = 32, 46, 38
NARROW_ROW, NARROW_TOP, NARROW_BOTTOM = 44, 50, 30
GAPS = {2: 0.06}
GAP = 0.035
"""Between panels, of the width."""
FEW_PANELS = 3
ZERO_SHADE = "rgba(128,136,146,0.13)"
GREY = "#8A8F98"
TICK = "line-ns"


@dataclass(frozen=True)
class Panel:
    """One measure. `values`: arm -> seed -> value. `start` and `control`: arm -> value, if there is one. `intervals`:
    arm -> mean, low, high, in place of the t interval over seeds. `floor`: see `scale_of`; `reference`: a dotted line.
    `strong`: the arms whose mean is filled, the others being hollow; None: all.
    """

    title: str
    values: Mapping[str, Mapping[int, float]]
    start: Mapping[str, float] = field(default_factory=dict)
    control: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float, float]] | None = None
    percent: bool = False
    floor: float | None = None
    reference: float | None = None
    strong: frozenset[str] | None = None

    def interval(self, arm: str) -> tuple[float, float, float] | None:
        """Mean and interval of an arm, where there is one."""
        if self.intervals is not None:
            return self.intervals.get(arm)
        found = mean_interval(list(self.values.get(arm, {}).values()))
        return None if found is None else (found.mean, found.low, found.high)


def dot_panels(
    material: Material, arms: Sequence[str], panels: Sequence[Panel]
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Traces, layout, and the layout's changes on a phone."""
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "height": ROW * len(arms) + TOP + BOTTOM,
        "hovermode": "closest",
        "showlegend": False,
        "margin": {"t": TOP, "b": BOTTOM},
        "annotations": [],
        "shapes": [],
    }
    narrow: dict[str, Any] = {
        "height": len(panels) * (NARROW_ROW * len(arms) + NARROW_TOP + NARROW_BOTTOM),
        "margin": {"l": 12, "r": 16, "t": 0, "b": NARROW_BOTTOM},
        "annotations": [],
    }
    labels = [material.styles[arm].label + (" (baseline)" if arm == material.gathered.baseline else "") for arm in arms]
    for place, panel in enumerate(panels):
        number = "" if place == 0 else str(place + 1)
        scale = _scale(panel, 5 if len(panels) < FEW_PANELS else 4)
        left, right = _columns(place, len(panels))
        low, high = _rows(place, len(panels), len(arms))
        data += _traces(material, arms, panel, scale, number)
        layout[f"xaxis{number}"] = {"domain": [left, right], "anchor": f"y{number}", **scale.axis()}
        layout[f"yaxis{number}"] = {
            "anchor": f"x{number}",
            "tickvals": list(range(len(arms))),
            "ticktext": labels,
            "showticklabels": place == 0,
            "range": [len(arms) - 0.5, -0.5],
            "showgrid": False,
            "zeroline": False,
            "ticks": "",
            "fixedrange": True,
        }
        narrow |= {
            f"xaxis{number}.domain": [0, 1],
            f"yaxis{number}.domain": [low, high],
            f"yaxis{number}.showticklabels": False,
            f"yaxis{number}.range": [len(arms) - 0.5, -0.75],
        }
        layout["annotations"].append(_title(panel.title, left, 1.0))
        narrow["annotations"].append(_title(panel.title.replace("<br>", " "), 0, high))
        narrow["annotations"] += [_label(text, row, number) for row, text in enumerate(labels)]
        if panel.reference is not None:
            layout["shapes"].append(_line(scale.at(panel.reference), number))
        if scale.has_zero:
            layout["shapes"].append(_shade(scale, number))
    return data, layout, narrow


def _scale(panel: Panel, most_ticks: int) -> Scale:
    values = [value for of_arm in panel.values.values() for value in of_arm.values()]
    values += [*panel.start.values(), *panel.control.values()]
    intervals = [found for arm in panel.values if (found := panel.interval(arm)) is not None]
    ends = [end for found in intervals for end in found]
    needs = ends + ([panel.reference] if panel.reference is not None else [])
    if panel.floor is not None:
        # Nothing that cannot be below zero has an axis that goes there because of an interval.
        needs = [max(0.0, value) for value in needs]
        values += [high for _, _, high in intervals]
    return scale_of(values, panel.percent, panel.floor, needs, most_ticks)


def _columns(place: int, count: int) -> tuple[float, float]:
    gap = GAPS.get(count, GAP)
    width = (1 - gap * (count - 1)) / count
    return place * (width + gap), place * (width + gap) + width


def _rows(place: int, count: int, arms: int) -> tuple[float, float]:
    """The domain of a panel on a phone; the last one's axis is in the margin."""
    each = NARROW_ROW * arms + NARROW_TOP + NARROW_BOTTOM
    whole = count * each - NARROW_BOTTOM
    top = place * each + NARROW_TOP
    return 1 - (top + NARROW_ROW * arms) / whole, 1 - top / whole


def _traces(material: Material, arms: Sequence[str], panel: Panel, scale: Scale, number: str) -> list[dict[str, Any]]:
    common = {"type": "scatter", "xaxis": f"x{number}", "yaxis": f"y{number}", "showlegend": False}
    common["hovertemplate"] = "%{text}<extra></extra>"
    styles = [material.styles[arm] for arm in arms]
    traces: list[dict[str, Any]] = []
    told = [(row, arm, panel.control[arm]) for row, arm in enumerate(arms) if arm in panel.control]
    if told:
        traces.append(
            common
            | {
                "mode": "markers",
                "x": [scale.at(value) for _, _, value in told],
                "y": [row for row, _, _ in told],
                "text": [f"{styles[row].label}<br>control {scale.text(value)}" for row, _, value in told],
                "marker": {"symbol": TICK, "size": 15, "color": GREY, "line": {"width": 2, "color": GREY}},
            }
        )
    told = [(row, arm, panel.start[arm]) for row, arm in enumerate(arms) if arm in panel.start]
    if told:
        traces.append(
            common
            | {
                "mode": "markers",
                "x": [scale.at(value) for _, _, value in told],
                "y": [row - 0.26 for row, _, _ in told],
                "text": [f"{styles[row].label}<br>at initialisation {scale.text(value)}" for row, _, value in told],
                "marker": {
                    "symbol": [f"{styles[row].symbol}-open" for row, _, _ in told],
                    "color": [styles[row].colour for row, _, _ in told],
                    "size": 9,
                    "line": {"width": 1.6},
                },
            }
        )
    seeds = [
        (row, place, seed, value)
        for row, arm in enumerate(arms)
        for place, (seed, value) in enumerate(panel.values.get(arm, {}).items())
    ]
    traces.append(
        common
        | {
            "mode": "markers",
            "x": [scale.at(value) for _, _, _, value in seeds],
            "y": [row + 0.2 + 0.08 * (place % 3) for row, place, _, _ in seeds],
            "text": [f"{styles[row].label}<br>seed {seed}: {scale.text(value)}" for row, _, seed, value in seeds],
            "marker": {
                "symbol": [styles[row].symbol for row, _, _, _ in seeds],
                "color": [styles[row].colour for row, _, _, _ in seeds],
                "size": 7,
                "opacity": 0.65,
            },
        }
    )
    traces += [
        common | _mean(row, panel, arm, scale, styles[row]) for row, arm in enumerate(arms) if panel.values.get(arm)
    ]
    return traces


def _mean(row: int, panel: Panel, arm: str, scale: Scale, style: Any) -> dict[str, Any]:
    interval = panel.interval(arm)
    mean = interval[0] if interval is not None else statistics.mean(panel.values[arm].values())
    lines = [style.label, f"mean {scale.text(mean)}"]
    marker: dict[str, Any] = {"color": style.colour, "symbol": style.symbol, "size": 12}
    marker["line"] = {"color": "#FFFFFF", "width": 1}
    if panel.strong is not None and arm not in panel.strong:
        marker |= {"symbol": f"{style.symbol}-open", "size": 11, "line": {"width": 2}}
    trace: dict[str, Any] = {"mode": "markers", "x": [scale.at(mean)], "y": [row], "marker": marker}
    if interval is not None:
        _, low, high = interval
        lines.append(f"{scale.text(low)} to {scale.text(high)}")
        trace["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [scale.at(high) - scale.at(mean)],
            "arrayminus": [scale.at(mean) - scale.at(low)],
            "color": style.colour,
            "thickness": 2,
            "width": 4,
        }
    trace["text"] = ["<br>".join(lines)]
    return trace


def _title(text: str, x: float, y: float) -> dict[str, Any]:
    return {
        "text": "<br>".join(inert(line) for line in text.split("<br>")),
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "align": "left",
        "showarrow": False,
        "font": {"size": 13},
    }


def _label(text: str, row: int, number: str) -> dict[str, Any]:
    return {
        "text": text,
        "x": 0,
        "xref": f"x{number} domain",
        "y": row - 0.46,
        "yref": f"y{number}",
        "xanchor": "left",
        "yanchor": "middle",
        "showarrow": False,
        "font": {"size": 12},
    }


def _shade(scale: Scale, number: str) -> dict[str, Any]:
    """Where the axis is no longer logarithmic."""
    return {
        "type": "rect",
        "x0": scale.low,
        "x1": (scale.zero + scale.first) / 2,
        "y0": 0,
        "y1": 1,
        "xref": f"x{number}",
        "yref": f"y{number} domain",
        "line": {"width": 0},
        "fillcolor": ZERO_SHADE,
        "layer": "below",
    }


def _line(at: float, number: str) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": at,
        "x1": at,
        "y0": 0,
        "y1": 1,
        "xref": f"x{number}",
        "yref": f"y{number} domain",
        "line": {"color": GREY, "width": 1, "dash": "dot"},
        "layer": "below",
    }
