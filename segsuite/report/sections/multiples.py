"""Small pictures of the same size in a grid, one an arm, with one colour scale; two columns on a phone."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segsuite.report.sections.base import PAGE_WIDTH
from segsuite.report.style import PICTURE_AXES, inert

PHONE_WIDTH = 340
GAP = 14
TITLE = 40
BAR = 62
LETTERS = 20
"""Of a line of a title: what fits above a fifth of a narrow window."""
CHIP = "\N{BLACK SQUARE}"
FRAME = "rgba(128,136,146,0.55)"


@dataclass(frozen=True)
class Tile:
    """A picture: traces without axes, which cover [0, `width`] x [0, 1] from the left and the top."""

    title: str
    traces: Sequence[dict[str, Any]]
    colour: str = ""


@dataclass(frozen=True)
class Bar:
    """The colour scale of all heatmaps: its name in `style.PICTURE_AXES`, limits, and title with the unit."""

    scale: str
    low: float
    high: float
    title: str
    ticks: Sequence[tuple[float, str]] = ()
    """Places and texts, where plotly's own choice is not wanted."""

    def heat(self) -> dict[str, Any]:
        """What a heatmap trace has of it."""
        return {"type": "heatmap", "coloraxis": PICTURE_AXES[self.scale]}


def multiples(
    tiles: Sequence[Tile], bar: Bar, columns: int, width: float = 1.0
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Traces, layout, and the layout's changes on a phone. `width` is that of a tile by its height."""
    columns = min(columns, len(tiles))
    phone_columns = 1 if width > 1.5 and len(tiles) == 1 else min(2, columns)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"hovermode": "closest", "showlegend": False, "shapes": [], "annotations": []}
    narrow: dict[str, Any] = {"annotations": []}
    wide, phone = (
        _Grid(len(tiles), columns, PAGE_WIDTH, width),
        _Grid(len(tiles), phone_columns, PHONE_WIDTH, width),
    )
    for grid, target in ((wide, layout), (phone, narrow)):
        target["height"] = round(grid.height + BAR)
        target["margin"] = {"l": 4, "r": 4, "t": 0, "b": BAR}
    for place, tile in enumerate(tiles):
        number = "" if place == 0 else str(place + 1)
        data += [trace | {"xaxis": f"x{number}", "yaxis": f"y{number}"} for trace in tile.traces]
        across, down = wide.domains(place)
        plain: dict[str, Any] = {"showgrid": False, "zeroline": False, "fixedrange": True, "showticklabels": False}
        plain |= {"ticks": "", "constrain": "domain", "automargin": False}
        layout[f"xaxis{number}"] = plain | {
            "range": [0, width],
            "domain": across,
            "anchor": f"y{number}",
            "constraintoward": "left",
        }
        layout[f"yaxis{number}"] = plain | {
            "range": [1, 0],
            "domain": down,
            "anchor": f"x{number}",
            "scaleanchor": f"x{number}",
            "constraintoward": "top",
        }
        layout["annotations"].append(_title(tile, across[0], down[1]))
        across, down = phone.domains(place)
        narrow |= {f"xaxis{number}.domain": across, f"yaxis{number}.domain": down}
        narrow["annotations"].append(_title(tile, across[0], down[1]))
    layout[PICTURE_AXES[bar.scale]] = {"cmin": bar.low, "cmax": bar.high, "colorbar": _colour_bar(bar)}
    return data, layout, narrow


def at(rows: int, columns: int, left: float = 0.0) -> dict[str, float]:
    """Where the cells of a heatmap of `rows` x `columns` lie that covers [left, left + 1] x [0, 1]."""
    return {"x0": left + 0.5 / columns, "dx": 1 / columns, "y0": 0.5 / rows, "dy": 1 / rows}


def frame(left: float, right: float) -> dict[str, Any]:
    """A thin line around [left, right] x [0, 1]."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [left, right, right, left, left],
        "y": [0, 0, 1, 1, 0],
        "line": {"color": FRAME, "width": 1},
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }


class _Grid:
    """Domains of tiles in a grid whose size is known in pixels; titles lie above their tiles."""

    def __init__(self, count: int, columns: int, page: int, ratio: float) -> None:
        self.columns, self.page = columns, page
        self.column_width = (page - GAP * (columns - 1)) / columns
        # A single picture is not blown up to the width of the page.
        self.tile_height = min(self.column_width, 300 * ratio) / ratio
        self.rows = -(-count // columns)
        self.height = self.rows * (TITLE + self.tile_height)

    def domains(self, place: int) -> tuple[list[float], list[float]]:
        row, column = divmod(place, self.columns)
        left = column * (self.column_width + GAP)
        top = row * (TITLE + self.tile_height) + TITLE
        across = [left / self.page, min(1.0, (left + self.column_width) / self.page)]
        return across, [max(0.0, 1 - (top + self.tile_height) / self.height), 1 - top / self.height]


def _title(tile: Tile, x: float, y: float) -> dict[str, Any]:
    lines = textwrap.wrap(tile.title, LETTERS, max_lines=2, placeholder="...") or [""]
    chip = f'<span style="color:{tile.colour}">{CHIP}</span> ' if tile.colour else ""
    return {
        "text": chip + "<br>".join(inert(line) for line in lines),
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 3,
        "align": "left",
        "showarrow": False,
        "font": {"size": 11},
    }


def _colour_bar(bar: Bar) -> dict[str, Any]:
    return {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yanchor": "top",
        "ypad": 12,
        "xpad": 26 if bar.ticks else 14,
        "len": 320,
        "lenmode": "pixels",
        "thickness": 10,
        "ticklabeloverflow": "allow",
        "outlinewidth": 1,
        "outlinecolor": FRAME,
        "tickfont": {"size": 11},
        "title": {"text": bar.title, "side": "bottom", "font": {"size": 12}},
        **(
            {"tickvals": [place for place, _ in bar.ticks], "ticktext": [text for _, text in bar.ticks]}
            if bar.ticks
            else {"nticks": 5}
        ),
    }
