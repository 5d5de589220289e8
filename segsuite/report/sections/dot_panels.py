"""Panels of dots beside each other that share their rows, one row an arm; below each other on a phone."""

from collections.abc import Sequence
from typing import Any

from segsuite.report.sections.base import Material
from segsuite.report.sections.dot_traces import GREY, Panel, panel_traces
from segsuite.report.sections.scale import Scale, scale_of
from segsuite.report.style import NO_TICKS, inert

ROW, LINE, BOTTOM = 32, 17, 38
NARROW_ROW, NARROW_ROW_WITH_START, NARROW_TOP, NARROW_BOTTOM = 44, 54, 50, 30
GAPS = {2: 0.06}
GAP = 0.035
"""Between panels, of the width."""
MOST_TICKS = {1: 8, 2: 6, 3: 5, 4: 4}
"""Of an axis, by the number of panels; 3 of more. Shares in per cent are longer: one less."""
ZERO_SHADE = "rgba(128,136,146,0.13)"


def dot_panels(
    material: Material, arms: Sequence[str], panels: Sequence[Panel]
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Traces, layout, and the layout's changes on a phone."""
    narrow_row = NARROW_ROW_WITH_START if any(panel.start for panel in panels) else NARROW_ROW
    top = 12 + LINE * max(1 + panel.title.count("<br>") for panel in panels)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "height": ROW * len(arms) + top + BOTTOM,
        "hovermode": "closest",
        "showlegend": False,
        "margin": {"t": top, "b": BOTTOM},
        "annotations": [],
        "shapes": [],
    }
    narrow: dict[str, Any] = {
        "height": len(panels) * (narrow_row * len(arms) + NARROW_TOP + NARROW_BOTTOM),
        "margin": {"l": 12, "r": 16, "t": 0, "b": NARROW_BOTTOM},
        "annotations": [],
    }
    labels = [material.styles[arm].label + (" (baseline)" if arm == material.gathered.baseline else "") for arm in arms]
    for place, panel in enumerate(panels):
        number = "" if place == 0 else str(place + 1)
        scale = _scale(panel, MOST_TICKS.get(len(panels), 3) - panel.percent)
        left, right = _columns(place, len(panels))
        low, high = _rows(place, len(panels), narrow_row * len(arms))
        data += panel_traces(material, arms, panel, scale, number)
        layout[f"xaxis{number}"] = {"domain": [left, right], "anchor": f"y{number}", **scale.axis()}
        layout[f"yaxis{number}"] = {
            "anchor": f"x{number}",
            "tickvals": list(range(len(arms))),
            "ticktext": labels,
            "showticklabels": place == 0,
            "range": [len(arms) - 0.5, -0.5],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            **NO_TICKS,
        }
        narrow |= {
            f"xaxis{number}.domain": [0, 1],
            f"yaxis{number}.domain": [low, high],
            f"yaxis{number}.showticklabels": False,
            f"yaxis{number}.range": [len(arms) - 0.45, -0.75],
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


def _rows(place: int, count: int, height: int) -> tuple[float, float]:
    """The domain of a panel on a phone, whose rows are `height` pixels high; the last one's axis is in the margin."""
    each = height + NARROW_TOP + NARROW_BOTTOM
    whole = count * each - NARROW_BOTTOM
    top = place * each + NARROW_TOP
    return 1 - (top + height) / whole, 1 - top / whole


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
        "y": row - 0.5,
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
