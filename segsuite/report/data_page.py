"""The page of `segsuite data stats`: classes, splits and mean images of a dataset; asks nothing of any network."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.image_io import jpeg
from segsuite.datasets.overview import SMALL_AREA, DatasetOverview, SplitOverview
from segsuite.errors import plural
from segsuite.io import atomic
from segsuite.io.numbers import percent, significant
from segsuite.report.page import rendered
from segsuite.report.sections.base import Cell, Figure, Table
from segsuite.report.style import COLOURS, SYMBOLS, inert

ROW = 26
LOWEST_SHARE = 1e-6
"""Where a class that a split lacks is drawn on the axis of shares, which is logarithmic."""
Weights = Mapping[str, Mapping[str, float]]


def write_data_page(
    title: str,
    found: DatasetOverview,
    weights: Weights,
    sentences: Sequence[str],
    pictures: Mapping[str, NDArray[np.float32]],
    path: Path,
) -> None:
    """Writes the page. `weights`: rule -> class -> weight; `pictures`: split -> its mean image (h, w, 3) in 0..1."""
    figures = [_shares(found), _presence(found), _objects(found)]
    text = rendered(
        "data.html",
        figures,
        command="segsuite data stats",
        title=title,
        facts=_facts(found),
        sentences=sentences,
        shown=figures,
        table=_classes(found),
        weights=_weights(found, weights),
        pictures={split: _uri(picture) for split, picture in pictures.items()},
        missing=found.missing,
    )
    atomic.write_text(path, text)


def _facts(found: DatasetOverview) -> list[str]:
    facts = [f"{len(found.classes)} classes"]
    for split, one in found.splits.items():
        sizes = [f"{height} x {width}" for height, width in one.sizes]
        size = sizes[0] if len(sizes) == 1 else f"{len(sizes)} sizes"
        facts.append(f"{split}: {plural(len(one.dataset), 'image')} of {size}")
    return facts


def _classes(found: DatasetOverview) -> Table:
    first = next(iter(found.splits))
    columns = [("class", False), *((f"% of {split}", True) for split in found.splits)]
    columns += [(f"% of images of {split}", True) for split in found.splits]
    columns += [(f"objects in {first}", True), ("median px", True), ("% of pixels in small objects", True)]
    rows = []
    for place in found.order:
        areas = found.first.areas(place)
        cells = [Cell(found.classes[place], found.classes[place])]
        cells += [_percent(float(one.shares[place])) for one in found.splits.values()]
        cells += [_percent(float(one.image_shares[place])) for one in found.splits.values()]
        median = float(np.median(areas)) if len(areas) else None
        cells += [Cell(f"{len(areas):,}", len(areas)), Cell("-") if median is None else Cell(f"{median:,.0f}", median)]
        rows.append([*cells, _percent(found.first.small_share(place))])
    void = [Cell("void", "void"), *(_percent(one.void_share) for one in found.splits.values())]
    if any(one.void_share for one in found.splits.values()):
        rows.append(void + [Cell("-")] * (len(columns) - len(void)))
    side = round(SMALL_AREA**0.5)
    caption = (
        "Shares of all pixels, void included. An object is a connected region of one class; it is small below "
        f"{side} x {side} pixels."
    )
    return Table(columns, rows, caption)


def _weights(found: DatasetOverview, weights: Weights) -> Table:
    columns = [("class", False), *((rule.replace("_", " "), True) for rule in weights)]
    rows = []
    for place in found.order:
        name = found.classes[place]
        cells = [Cell(f"{of_rule[name]:.3g}", of_rule[name]) for of_rule in weights.values()]
        rows.append([Cell(name, name), *cells])
    caption = (
        "What the setting loss.class_weights: RULE gives each class, from the pixels of the training split. They can "
        "be normalised and clipped."
    )
    return Table(columns, rows, caption)


def _percent(share: float) -> Cell:
    return Cell(significant(100 * share, 3), share)


def _shares(found: DatasetOverview) -> Figure:
    """Shares of the splits on one line a class: a long line is a mismatch."""
    values = {split: [float(one.shares[place]) for place in found.order] for split, one in found.splits.items()}
    data = _lines(values, LOWEST_SHARE) + _dots(values, LOWEST_SHARE)
    low = min((share for shares in values.values() for share in shares if share > 0), default=0.01)
    layout, narrow = _layouts(found)
    lowest = int(np.floor(np.log10(max(low, LOWEST_SHARE))))
    if any(share == 0 for shares in values.values() for share in shares):
        lowest = int(np.log10(LOWEST_SHARE))
    layout["xaxis"] = {
        "title": {"text": "share of all pixels"},
        "type": "log",
        "range": [lowest - 0.1, 0.05],
        "tickvals": [10.0**power for power in range(lowest, 1)],
        "ticktext": [f"{100 * 10.0**power:g} %" for power in range(lowest, 1)],
    }
    caption = "Share of each class in each split. A long line is a class that one split has much more of than another."
    if lowest == int(np.log10(LOWEST_SHARE)):
        caption += " At the left end: not there at all."
    return Figure("data-shares", caption, data, layout, narrow)


def _presence(found: DatasetOverview) -> Figure:
    values = {split: [float(one.image_shares[place]) for place in found.order] for split, one in found.splits.items()}
    layout, narrow = _layouts(found)
    layout["xaxis"] = {
        "title": {"text": "share of the images"},
        "range": [-0.03, 1.03],
        "tickformat": ".0%",
        "nticks": 6,
    }
    caption = "Share of the images of each split that have the class."
    return Figure("data-presence", caption, _lines(values, 0.0) + _dots(values, 0.0), layout, narrow)


def _objects(found: DatasetOverview) -> Figure:
    """Of each class, the sizes that its pixels are in."""
    all_rows = ((row, _pixel_quantiles(found.first, place)) for row, place in enumerate(found.order))
    known = [(row, quantiles) for row, quantiles in all_rows if quantiles is not None]
    line = {"color": COLOURS[0], "width": 2}
    data: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "x": [low, high], "y": [row, row], "line": line, "hoverinfo": "skip"}
        | {"showlegend": False}
        for row, (low, _, high) in known
    ]
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [middle for _, (_, middle, _) in known],
            "y": [row for row, _ in known],
            "text": [inert(found.classes[found.order[row]]) for row, _ in known],
            "customdata": [f"5 %: {low:,.0f}, 95 %: {high:,.0f}" for _, (low, _, high) in known],
            "marker": {"color": COLOURS[0], "size": 9},
            "showlegend": False,
            "hovertemplate": "%{text}<br>half of its pixels are in objects up to %{x:,.0f} px<br>%{customdata}"
            "<extra></extra>",
        }
    )
    layout, narrow = _layouts(found)
    edges = [(SMALL_AREA, "small"), (9 * SMALL_AREA, "medium")]
    mark = {"type": "line", "y0": 0, "y1": 1, "yref": "paper", "layer": "below"}
    mark["line"] = {"color": "#8A8F98", "width": 1, "dash": "dot"}
    layout["shapes"] = [mark | {"x0": area, "x1": area} for area, _ in edges]
    layout["xaxis"] = {"title": {"text": "area of the object that a pixel is in (px)"}, "type": "log", "dtick": 1}
    split = next(iter(found.splits))
    caption = (
        f"How large the objects of each class are, in {split}: of the pixels of the class, half are in objects up to "
        "the dot, 90 % in objects along the line. Dotted: below the first line objects are small (32 x 32 pixels), "
        "above the second large (96 x 96)."
    )
    return Figure("data-objects", caption, data, layout, narrow)


def _pixel_quantiles(split: SplitOverview, place: int) -> tuple[float, float, float] | None:
    """Areas up to which 5, 50 and 95 % of the pixels of the class lie."""
    areas = np.sort(split.areas(place))
    if not len(areas):
        return None
    pixels = np.cumsum(areas)
    low, middle, high = (float(areas[np.searchsorted(pixels, share * pixels[-1])]) for share in (0.05, 0.5, 0.95))
    return low, middle, high


def _lines(values: Mapping[str, Sequence[float]], lowest: float) -> list[dict[str, Any]]:
    rows = zip(*values.values(), strict=True)
    x: list[float | None] = []
    y: list[int | None] = []
    for row, shares in enumerate(rows):
        x += [max(min(shares), lowest), max(*shares, lowest), None]
        y += [row, row, None]
    line = {"color": "#8A8F98", "width": 1.5}
    return [
        {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "hoverinfo": "skip", "showlegend": False}
    ]


def _dots(values: Mapping[str, Sequence[float]], lowest: float) -> list[dict[str, Any]]:
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [max(share, lowest) for share in shares],
            "y": list(range(len(shares))),
            "name": inert(split),
            "text": [percent(share, 3) for share in shares],
            "marker": {"color": COLOURS[place], "symbol": SYMBOLS[place], "size": 9},
            "hovertemplate": "%{fullData.name}: %{text}<extra></extra>",
        }
        for place, (split, shares) in enumerate(values.items())
    ]


def _layouts(found: DatasetOverview) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [inert(found.classes[place]) for place in found.order]
    layout: dict[str, Any] = {
        "height": ROW * len(names) + 110,
        "hovermode": "closest",
        "yaxis": {
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "range": [len(names) - 0.5, -0.5],
            "zeroline": False,
            "fixedrange": True,
        },
        "legend": {"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    }
    return layout, {"yaxis.tickfont": {"size": 11}, "xaxis.nticks": 4}


def _uri(picture: NDArray[np.float32]) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(picture)).decode()}"
