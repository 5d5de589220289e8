"""Figures of explained networks: field and resolution by depth, cost of each part, arms side by side. No torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segsuite.inspect.layers import Explained, Layer, share
from segsuite.inspect.listing import billions, mebibytes, millions
from segsuite.inspect.network import Answer
from segsuite.report.sections.base import Figure
from segsuite.report.style import BASELINE_COLOUR, COLOURS, NO_TICKS, SYMBOLS, inert

ROW = 26
LONGEST = 34
Measure = tuple[str, Callable[[Explained], int], Callable[[int], str], int]
MEASURES: Sequence[Measure] = (
    ("parameters", lambda one: one.parameters, millions, 1),
    ("multiply-adds", lambda one: one.multiply_adds, billions, 1),
    ("field, px", lambda one: _field_size(one), str, 1),
    ("training memory, MiB", lambda one: one.memory.training or one.memory.inference, mebibytes, 2**20),
)
"""Title, what it is of a network, how it is written, and what the axis counts it in."""


def colour_of(answer: Answer, place: int) -> tuple[str, str]:
    """Colour and marker of an arm; the baseline is grey."""
    if answer.baseline is answer.arms[place]:
        return BASELINE_COLOUR, SYMBOLS[0]
    others = [arm for arm in answer.arms if arm is not answer.baseline]
    turn, colour = divmod(others.index(answer.arms[place]), len(COLOURS))
    return COLOURS[colour], SYMBOLS[turn % len(SYMBOLS)]


def arms_figure(answer: Answer) -> Figure:
    """What each arm costs and sees: four measures side by side, a row an arm."""
    names = [inert(short(arm.subject.name)) for arm in answer.arms]
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"height": ROW * len(names) + 90, "showlegend": False, "hovermode": "closest"}
    width = 1 / len(MEASURES)
    narrow: dict[str, Any] = {"height": len(MEASURES) * (ROW * len(names) + 70)}
    for panel, (title, measure, text, unit) in enumerate(MEASURES):
        number = "" if not panel else str(panel + 1)
        values = [measure(arm.explained) for arm in answer.arms]
        styles = [colour_of(answer, place) for place in range(len(values))]
        base = values[answer.arms.index(answer.baseline)] if answer.baseline else values[0]
        texts = [f"{text(value)}{_against(value, base)}" for value in values]
        data.append(_dots([value / unit for value in values], styles, texts, number, names))
        left, low = panel * width, 1 - (panel + 1) / len(MEASURES)
        layout[f"xaxis{number}"] = {
            "title": {"text": title},
            "domain": [left + 0.02, left + width - 0.02],
            "anchor": f"y{number}",
            "rangemode": "tozero",
            "nticks": 4,
            "tickformat": "~s",
        }
        layout[f"yaxis{number}"] = _rows(names, number, shown=panel == 0)
        narrow |= {f"xaxis{number}.domain": [0, 1], f"yaxis{number}.showticklabels": True}
        narrow |= {f"yaxis{number}.domain": [low + 0.06, low + 0.24], f"yaxis{number}.tickfont": {"size": 10}}
    base_name = short(answer.baseline.subject.name) if answer.baseline else ""
    caption = (
        f"What each arm costs and how far it sees; grey: {base_name}, which the others are compared with. Counted, not "
        "measured: nothing varies from run to run. Axes begin at 0."
    )
    return Figure("inspect-arms", caption, data, layout, narrow)


def depth_figure(answer: Answer, places: Sequence[int], name: str) -> Figure:
    """Receptive field and stride layer by layer, a line an arm."""
    data: list[dict[str, Any]] = []
    for place in places:
        arm = answer.arms[place]
        known = [(at, one) for at, one in enumerate(arm.explained.layers, 1) if one.field and one.field.rows]
        colour, symbol = colour_of(answer, place) if len(places) > 1 else (COLOURS[0], SYMBOLS[0])
        for number, values in (("", [_rows_size(one) for _, one in known]), ("2", [_stride(one) for _, one in known])):
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": inert(short(arm.subject.name)),
                    "legendgroup": str(place),
                    "showlegend": len(places) > 1 and not number,
                    "x": [at for at, _ in known],
                    "y": values,
                    "xaxis": "x",
                    "yaxis": f"y{number}",
                    "line": {"color": colour, "width": 1.5, "shape": "hv" if number else "linear"},
                    "marker": {"color": colour, "symbol": symbol, "size": 5},
                    "text": [inert(f"{one.path}: {one.what}") for _, one in known],
                    "hovertemplate": "%{text}<br>%{y:.4~g} px<extra>%{fullData.name}</extra>",
                }
            )
    layout: dict[str, Any] = {
        "height": 470 + (22 * len(places) if len(places) > 1 else 0),
        "hovermode": "closest",
        "xaxis": {"title": {"text": "layer, in the order in which they run"}, "anchor": "y2", "rangemode": "tozero"},
        "yaxis": {"title": {"text": "receptive field (px)"}, "type": "log", "dtick": "D2", "domain": [0.4, 1]},
        "yaxis2": {"title": {"text": "stride (px)"}, "type": "log", "dtick": 0.30103, "domain": [0, 0.3]},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    }
    caption = (
        "How far one output of each layer sees (above) and how many pixels of the image lie between two neighbouring "
        "outputs (below). Branches run one after another, so both may fall and rise again; layers that see nothing "
        "but the whole image, and products of matrices, have no point."
    )
    return Figure(name, caption, data, layout, {"xaxis.nticks": 5})


def blocks_figure(one: Explained, name: str) -> Figure:
    """Share of each part of the network in its parameters and multiply-adds."""
    blocks = one.blocks
    names = [inert(short(block.name)) for block in blocks]
    totals = {"parameters": one.parameters, "multiply-adds": one.multiply_adds}
    data = []
    for place, (title, total) in enumerate(totals.items()):
        values = [block.parameters if place == 0 else block.multiply_adds for block in blocks]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": title,
                "x": [value / total if total else 0 for value in values],
                "y": names,
                "marker": {"color": COLOURS[place]},
                "customdata": [f"{value:,} ({share(value, total)})" for value in values],
                "hovertemplate": f"%{{y}}<br>%{{customdata}} {title}<extra></extra>",
            }
        )
    layout = {
        "height": ROW * len(names) + 110,
        "barmode": "group",
        "hovermode": "closest",
        "xaxis": {"title": {"text": "share of the network"}, "tickformat": ".0%", "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed", "type": "category", "dtick": 1, **NO_TICKS},
        "legend": {"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    }
    caption = f"Where the {one.parameters:,} parameters and {one.multiply_adds:,} multiply-adds of {one.name} are."
    return Figure(name, caption, data, layout, {"yaxis.tickfont": {"size": 10}})


def short(name: str) -> str:
    """
    >>> short("a" * 50)
    'aaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaa'
    """
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2 - 2]}...{name[-LONGEST // 2 + 1 :]}"


def _dots(
    values: Sequence[float], styles: Sequence[tuple[str, str]], texts: Sequence[str], number: str, names: Sequence[str]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(values),
        "y": list(range(len(values))),
        "xaxis": f"x{number}",
        "yaxis": f"y{number}",
        "marker": {"color": [colour for colour, _ in styles], "symbol": [symbol for _, symbol in styles], "size": 10},
        "text": list(names),
        "customdata": list(texts),
        "hovertemplate": "%{text}<br>%{customdata}<extra></extra>",
    }


def _rows(names: Sequence[str], number: str, shown: bool) -> Mapping[str, Any]:
    return {
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
        "range": [len(names) - 0.5, -0.5],
        "showticklabels": shown,
        "anchor": f"x{number}",
        "zeroline": False,
        "fixedrange": True,
    }


def _against(value: int, base: int) -> str:
    return f" ({100 * (value / base - 1):+.1f} %)" if base and value != base else ""


def _field_size(one: Explained) -> int:
    return one.field.rows.size if one.field and one.field.rows else 0


def _rows_size(layer: Layer) -> int:
    return layer.field.rows.size if layer.field and layer.field.rows else 0


def _stride(layer: Layer) -> float:
    return float(layer.field.rows.stride) if layer.field and layer.field.rows else 0.0
