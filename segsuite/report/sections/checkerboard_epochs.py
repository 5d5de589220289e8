"""Whether training removes the pattern: a few measures over epochs, from initialisation on."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from segsuite.report.answers import counted
from segsuite.report.checkerboards import Measured, Row, measured
from segsuite.report.sections.base import PAGE_WIDTH, Figure, Material, Section
from segsuite.report.sections.checkerboard_words import changed_by_training, definitions, left_out_of_older
from segsuite.report.sections.scale import Scale, scale_of
from segsuite.report.style import ArmStyle, inert

MOST_TICKS = 9
END = 1.13
"""Where the scored weights lie, by the position of the last epoch."""
PANEL, TITLE, AXIS, GAP = 230, 30, 44, 0.09
LEGEND_LINE, LEGEND_NAMES = 26, 4
CONTROL = "#8A8F98"


class Shown(NamedTuple):
    """A measure at a place; `at_stride`: whether it has one, which is the largest; `floor`: see `scale_of`."""

    place: str
    measure: str
    title: str
    percent: bool = False
    floor: float | None = None
    at_stride: bool = False


SHOWN = (
    Shown("decoder", "constant_response_flips", "flips on a constant scene, share of pixels", True, 1e-6),
    Shown("decoder", "constant_response_index", "pattern on it, share of the logits' variance", False, 1e-6),
    Shown("logits", "harmonic_decibels", "logits: harmonics of stride {s}, dB", at_stride=True),
    Shown("logits", "tile_phase_variance", "logits: variance between phases of stride {s}", at_stride=True),
)


def build(material: Material) -> Section | None:
    """Four panels; None unless finished trials measured at two epochs or more."""
    found = measured(material.gathered)
    if len(found.epochs) < 2:
        return None
    panels = [(one, stride, rows) for one in SHOWN if (rows := _rows(found, one, stride := _stride(found, one)))]
    if not panels:
        return None
    figure = _figure(material, found, panels)
    details = definitions([one.measure for one, _, _ in panels])
    return Section(
        "checkerboard-epochs",
        "Does training remove it?",
        notes=[note for note in (changed_by_training(material, found), left_out_of_older(found)) if note],
        figures=[figure],
        details=details,
        summary="How it is measured",
    )


Rows = dict[str, dict[int, dict[int, Row]]]
"""arm -> epoch -> seed -> row."""


def _stride(found: Measured, one: Shown) -> int | None:
    return found.stride(one.place, one.measure) if one.at_stride else None


def _rows(found: Measured, one: Shown, stride: int | None) -> Rows:
    if one.at_stride and stride is None:
        return {}
    by_epoch = {epoch: found.rows(one.place, one.measure, stride, epoch) for epoch in found.epochs}
    rows = {
        arm: {epoch: of_epoch[arm] for epoch, of_epoch in by_epoch.items() if arm in of_epoch} for arm in found.arms
    }
    return {arm: of_arm for arm, of_arm in rows.items() if of_arm}


def position(epoch: int) -> float:
    """Where an epoch lies: measurements are made at 0, 1, 2, 4, 8, ...

    >>> [position(epoch) for epoch in (0, 1, 3)]
    [0.0, 1.0, 2.0]
    """
    return math.log2(1 + epoch)


def _figure(material: Material, found: Measured, panels: Sequence[tuple[Shown, int | None, Rows]]) -> Figure:
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    arms = [arm for arm in material.gathered.arms if any(arm in of_arm for _, _, of_arm in panels)]
    legend = LEGEND_LINE * -(-len(arms) // LEGEND_NAMES)
    layout: dict[str, Any] = {
        "height": rows * (TITLE + PANEL) + (rows - 1) * AXIS + AXIS + legend,
        "margin": {"t": legend, "b": AXIS},
        "hovermode": "closest",
        "annotations": [],
        "legend": {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    }
    count = len(panels)
    phone_height = count * (TITLE + PANEL + AXIS)
    below = LEGEND_LINE * len(arms) + 20
    narrow: dict[str, Any] = {
        "height": phone_height + below,
        "margin": {"l": 12, "r": 12, "t": 0, "b": AXIS + below},
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        "annotations": [],
    }
    data: list[dict[str, Any]] = []
    whole = rows * (TITLE + PANEL) + (rows - 1) * AXIS
    phone = phone_height - AXIS
    for place, (one, stride, of_arm) in enumerate(panels):
        number = "" if place == 0 else str(place + 1)
        row, column = divmod(place, columns)
        scale = _scale(one, of_arm, found.rows(one.place, one.measure, stride))
        width = (1 - GAP * (columns - 1)) / columns
        left, top = column * (width + GAP), row * (TITLE + PANEL + AXIS) + TITLE
        layout[f"xaxis{number}"] = {"domain": [left, left + width], "anchor": f"y{number}", **_epoch_axis(found)}
        layout[f"yaxis{number}"] = {
            "domain": [max(0.0, 1 - (top + PANEL) / whole), 1 - top / whole],
            "anchor": f"x{number}",
            **scale.axis(),
        }
        title = inert(one.title.format(s=stride))
        layout["annotations"].append(_title(title, left, 1 - top / whole))
        top = place * (TITLE + PANEL + AXIS) + TITLE
        narrow |= {
            f"xaxis{number}.domain": [0, 1],
            f"yaxis{number}.domain": [max(0.0, 1 - (top + PANEL) / phone), 1 - top / phone],
        }
        narrow["annotations"].append(_title(title, 0, 1 - top / phone))
        common = {"type": "scatter", "xaxis": f"x{number}", "yaxis": f"y{number}"}
        data += [common | trace for trace in _control(of_arm, scale, named=place == 0)]
        for arm in arms:
            if arm in of_arm:
                data += [common | trace for trace in _end(found, one, stride, arm, material.styles[arm], scale)]
                traces = _line(of_arm[arm], material.styles[arm], scale, 0.5 / len(arms), named=place == 0)
                data += [common | trace for trace in traces]
    return Figure("checkerboard-epochs", _caption(found, arms), data, layout, narrow, paper_width=PAGE_WIDTH)


def _scale(one: Shown, rows: Rows, final: Mapping[str, Mapping[int, Row]]) -> Scale:
    values = [row.value for of_arm in rows.values() for of_epoch in of_arm.values() for row in of_epoch.values()]
    values += [row.value for of_arm in final.values() for row in of_arm.values()]
    needs = [control for of_arm in rows.values() for epoch in of_arm for control in _controls(of_arm[epoch])]
    return scale_of(values, one.percent, one.floor, needs)


def _controls(rows: dict[int, Row]) -> list[float]:
    return [row.control for row in rows.values() if row.control is not None]


def _line(of_arm: dict[int, dict[int, Row]], style: ArmStyle, scale: Scale, opacity: float, named: bool) -> list[Any]:
    epochs = sorted(of_arm)
    values = [[row.value for row in of_arm[epoch].values()] for epoch in epochs]
    means = [statistics.mean(row) for row in values]
    places = [_rounded(position(epoch)) for epoch in epochs]
    line = {
        "mode": "lines+markers",
        "x": places,
        "y": [_rounded(scale.at(mean)) for mean in means],
        "text": [
            f"{style.label}<br>epoch {epoch}: {scale.text(mean)}<br>n = {len(row)}"
            for epoch, mean, row in zip(epochs, means, values, strict=True)
        ],
        "hovertemplate": "%{text}<extra></extra>",
        "name": style.label,
        "legendgroup": style.label,
        "showlegend": named,
        "line": {"color": style.colour, "width": 2, "dash": style.dash},
        "marker": {"color": style.colour, "symbol": style.symbol, "size": 6},
    }
    if max(len(row) for row in values) < 2:
        return [line]
    high, low = ([_rounded(scale.at(end(row))) for row in values] for end in (max, min))
    red, green, blue = (int(style.colour[place : place + 2], 16) for place in (1, 3, 5))
    band = {
        "mode": "lines",
        "x": places + places[::-1],
        "y": high + low[::-1],
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},{max(opacity, 0.06):.2f})",
        "line": {"width": 0},
        "legendgroup": style.label,
        "showlegend": False,
        "hoverinfo": "skip",
    }
    return [band, line]


def _end(
    found: Measured, one: Shown, stride: int | None, arm: str, style: ArmStyle, scale: Scale
) -> list[dict[str, Any]]:
    """The scored weights: apart, since they are measured on more images and places."""
    rows = found.rows(one.place, one.measure, stride).get(arm, {})
    if not rows:
        return []
    mean = statistics.mean(row.value for row in rows.values())
    mark = {
        "mode": "markers",
        "x": [_rounded(END * position(found.epochs[-1]))],
        "y": [_rounded(scale.at(mean))],
        "text": [f"{style.label}<br>scored weights: {scale.text(mean)}<br>n = {len(rows)}"],
        "hovertemplate": "%{text}<extra></extra>",
        "legendgroup": style.label,
        "showlegend": False,
        "marker": {"color": style.colour, "symbol": style.symbol, "size": 9, "line": {"color": "#FFFFFF", "width": 1}},
    }
    return [mark]


def _control(rows: Rows, scale: Scale, named: bool) -> list[dict[str, Any]]:
    """The mean control of all arms and seeds, dotted."""
    by_epoch: dict[int, list[float]] = {}
    for of_arm in rows.values():
        for epoch, of_epoch in of_arm.items():
            by_epoch.setdefault(epoch, []).extend(_controls(of_epoch))
    epochs = [epoch for epoch in sorted(by_epoch) if by_epoch[epoch]]
    if not epochs:
        return []
    means = [statistics.mean(by_epoch[epoch]) for epoch in epochs]
    return [
        {
            "mode": "lines",
            "x": [_rounded(position(epoch)) for epoch in epochs],
            "y": [_rounded(scale.at(mean)) for mean in means],
            "text": [f"control, epoch {epoch}: {scale.text(mean)}" for epoch, mean in zip(epochs, means, strict=True)],
            "hovertemplate": "%{text}<extra></extra>",
            "name": "control",
            "legendgroup": "control",
            "showlegend": named,
            "line": {"color": CONTROL, "width": 2, "dash": "dot"},
        }
    ]


def _epoch_axis(found: Measured) -> dict[str, Any]:
    epochs = found.epochs
    powers = [epoch for epoch in epochs if epoch & (epoch - 1) == 0 or epoch == epochs[-1]]
    told = epochs if len(epochs) <= MOST_TICKS else powers
    # The last epoch may lie so near to a power of two that their numbers would overlap.
    if len(told) > 2 and position(told[-1]) - position(told[-2]) < 0.06 * position(told[-1]):
        told = [*told[:-2], told[-1]]
    edge, end = 0.04 * position(epochs[-1]), END * position(epochs[-1])
    return {
        "tickvals": [*(_rounded(position(epoch)) for epoch in told), _rounded(end)],
        "ticktext": [*map(str, told), "end"],
        "range": [-edge, end + edge],
        "zeroline": False,
        "title": {"text": "epochs done", "standoff": 4},
    }


def _caption(found: Measured, arms: Sequence[str]) -> str:
    n = counted((len(found.of(arm)) for arm in arms), "finished trial")
    images = max(one.images for one in found.by_trial.values())
    text = f"Line: mean of seeds. Band: lowest to highest seed, n = {n} an arm."
    text += f" Dotted: the control, what it would be without a pattern, mean of all arms. On {images} "
    text += "images and at few places, so that rare flips are missed; at the right end the scored weights, on more. "
    text += "Epochs are spaced by their logarithm."
    if any(one.floor is not None for one in SHOWN):
        text += " Logarithmic where values span decades, with zero at the lower end."
    return text


def _title(text: str, x: float, y: float) -> dict[str, Any]:
    return {
        "text": text,
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 4,
        "showarrow": False,
        "font": {"size": 13},
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
