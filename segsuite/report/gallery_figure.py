"""One upsampler in three pictures: its response to a pixel, its response to a constant, its spectrum."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from segsuite.checkerboard.theory.profile import Profile
from segsuite.report.sections.base import Figure
from segsuite.report.style import scale

FLOOR_DB = -40.0
LABELLED_FACTOR = 4
"""Of larger factors the harmonics lie too close for labels."""
MOST_TOLD = 8
HEIGHT, NARROW_HEIGHT = 330, 560
# Of each picture, left to right and bottom to top; on a phone the spectrum lies below the other two.
PANELS = (((0.0, 0.26), (0.0, 0.9)), ((0.37, 0.63), (0.0, 0.9)), ((0.74, 1.0), (0.0, 0.9)))
NARROW_PANELS = (((0.0, 0.46), (0.64, 0.94)), ((0.54, 1.0), (0.64, 0.94)), ((0.08, 0.82), (0.0, 0.5)))
TITLES = ("Response to one pixel", "Response to a constant", "Spectrum, dB")
GREY = "rgba(128,136,146,0.5)"
INK, PAPER = "#1C2127", "rgba(255,255,255,0.85)"


def colour_axes(theme: str) -> dict[str, Any]:
    """What the template of a theme adds to the layout: the scales of the three pictures."""
    names = ("signed", "signed", "power")
    return {_axis("color", panel): {"colorscale": scale(name, theme == "dark")} for panel, name in enumerate(names)}


def profile_figure(one: Profile, name: str) -> Figure:
    """Three square heatmaps beside each other, below each other on a phone."""
    impulse, constant, factor = one.pictures.impulse, one.pictures.constant, one.factor
    band = len(one.pictures.spectrum) // factor
    step = 1 / (band * factor)
    start = -(band // 2) * step
    spectrum = [[max(value, FLOOR_DB) for value in row] for row in _rolled(one.pictures.spectrum, band // 2)]
    at = {"x0": start, "dx": step, "y0": start, "dy": step}
    layout: dict[str, Any] = {"height": HEIGHT, "showlegend": False, "hovermode": "closest"}
    narrow: dict[str, Any] = {"height": NARROW_HEIGHT}
    edge = start - step / 2
    extents = ((-0.5, len(impulse) - 0.5), (-0.5, len(constant) - 0.5), (edge, edge + 1))
    limits = ((-1.0, 1.0), (-1.0, 1.0), (FLOOR_DB, 0.0))
    for panel, (extent, limit) in enumerate(zip(extents, limits, strict=True)):
        layout |= _axes(panel, extent) | {_axis("color", panel): _colour_bar(panel, limit)}
        across, down = NARROW_PANELS[panel]
        narrow |= {f"{_axis('x', panel)}.domain": list(across), f"{_axis('y', panel)}.domain": list(down)}
    narrow |= {"coloraxis.showscale": False, "coloraxis2.showscale": False}
    narrow |= {"coloraxis3.colorbar.x": 0.84, "coloraxis3.colorbar.y": 0.25, "coloraxis3.colorbar.len": 0.5}
    frequencies = {"title": {"text": "cycles per pixel, right"}, "tickvals": [down / factor for down in range(factor)]}
    layout["xaxis3"] |= frequencies | {"ticktext": [_ratio(down, factor) for down in range(factor)]}
    layout["yaxis3"] |= {**frequencies, "title": {"text": "down"}, "ticktext": layout["xaxis3"]["ticktext"]}
    layout["shapes"] = [*_lines(0, factor, len(impulse)), *_lines(1, factor, len(constant)), *_bands(factor, edge)]
    layout["annotations"] = [*_titles(PANELS), *_labels(one)]
    narrow["annotations"] = [*_titles(NARROW_PANELS), *_labels(one)]
    data = [
        _heatmap(impulse, 0, "row %{y}, column %{x}: %{z:.3f}"),
        _heatmap(constant, 1, "row %{y}, column %{x}: %{z:+.3f}"),
        _heatmap(spectrum, 2, "%{y:.3f} down, %{x:.3f} right: %{z:.1f} dB", at),
        _harmonics(one),
    ]
    return Figure(name, caption(one), data, layout, narrow)


def caption(one: Profile) -> str:
    """What a constant excites, and what the pictures are of."""
    if not one.carries:
        told = "A constant stays constant: no harmonic carries energy."
    else:
        shares = [
            f"({_ratio(down, one.factor)}, {_ratio(right, one.factor)}) {100 * value:.1f} %"
            for down, right, value in one.carries
        ]
        more = f" and {len(shares) - MOST_TOLD} more" if len(shares) > MOST_TOLD else ""
        told = (
            f"{100 * one.imbalance.mean:.1f} % of the response to a constant is checkerboard, at (down, right) cycles "
            f"per pixel: {', '.join(shares[:MOST_TOLD])}{more}."
        )
    return f"{told} Its kernels depend on the data." if one.data_dependent else told


def _axis(kind: str, panel: int) -> str:
    """
    >>> _axis("x", 0), _axis("color", 2)
    ('xaxis', 'coloraxis3')
    """
    return f"{kind}axis{panel + 1 if panel else ''}"


def _ratio(numerator: int, denominator: int) -> str:
    """
    >>> _ratio(2, 4), _ratio(0, 4)
    ('1/2', '0')
    """
    return str(Fraction(numerator, denominator))


def _rolled(values: Sequence[Sequence[float]], by: int) -> list[list[float]]:
    """Rows and columns moved by `by`, cyclically, so that frequency 0 comes to (by, by)."""
    rows = [*values[len(values) - by :], *values[: len(values) - by]]
    return [[*row[len(row) - by :], *row[: len(row) - by]] for row in rows]


def _heatmap(
    values: Sequence[Sequence[float]], panel: int, hover: str, at: dict[str, float] | None = None
) -> dict[str, Any]:
    number = panel + 1 if panel else ""
    return {
        "type": "heatmap",
        "z": [[round(value, 3) for value in row] for row in values],
        "coloraxis": _axis("color", panel),
        "xaxis": f"x{number}",
        "yaxis": f"y{number}",
        "hovertemplate": f"{hover}<extra></extra>",
        **(at or {}),
    }


def _axes(panel: int, extent: tuple[float, float]) -> dict[str, Any]:
    """Square pixels, the first row on top; drawn without ticks."""
    number = panel + 1 if panel else ""
    low, high = extent
    plain = {"showgrid": False, "zeroline": False, "fixedrange": True, "constrain": "domain"}
    return {
        _axis("x", panel): {
            **plain,
            "range": [low, high],
            "domain": list(PANELS[panel][0]),
            "anchor": f"y{number}",
            "tickvals": [],
        },
        _axis("y", panel): {
            **plain,
            "range": [high, low],
            "domain": list(PANELS[panel][1]),
            "anchor": f"x{number}",
            "scaleanchor": f"x{number}",
            "tickvals": [],
        },
    }


def _colour_bar(panel: int, limits: tuple[float, float]) -> dict[str, Any]:
    low, high = limits
    return {
        "cmin": low,
        "cmax": high,
        "colorbar": {
            "x": PANELS[panel][0][1] + 0.005,
            "y": 0.45,
            "len": 0.9,
            "thickness": 8,
            "outlinewidth": 0,
            "tickvals": [low, (low + high) / 2, high],
            "tickfont": {"size": 11},
        },
    }


def _lines(panel: int, factor: int, pixels: int) -> list[dict[str, Any]]:
    """Where one low-resolution pixel ends and the next begins."""
    number = panel + 1 if panel else ""
    places = [place - 0.5 for place in range(factor, pixels, factor)]
    whole = (-0.5, pixels - 0.5)
    return [_line(f"x{number}", f"y{number}", (place, place), whole) for place in places] + [
        _line(f"x{number}", f"y{number}", whole, (place, place)) for place in places
    ]


def _bands(factor: int, edge: float) -> list[dict[str, Any]]:
    """Between the base band, at the top left, and its images."""
    places = [edge + place / factor for place in range(1, factor)]
    whole = (edge, edge + 1)
    return [_line("x3", "y3", (place, place), whole) for place in places] + [
        _line("x3", "y3", whole, (place, place)) for place in places
    ]


def _line(x: str, y: str, across: tuple[float, float], down: tuple[float, float]) -> dict[str, Any]:
    line = {"color": GREY, "width": 1}
    place = {"x0": across[0], "x1": across[1], "y0": down[0], "y1": down[1]}
    return {"type": "line", "xref": x, "yref": y, "line": line, **place}


def _harmonics(one: Profile) -> dict[str, Any]:
    """A ring at each harmonic, filled where a constant excites it."""
    places = [(down, right) for down in range(one.factor) for right in range(one.factor) if down or right]
    carried = {(down, right): share for down, right, share in one.carries}
    return {
        "type": "scatter",
        "mode": "markers",
        "xaxis": "x3",
        "yaxis": "y3",
        "x": [right / one.factor for _, right in places],
        "y": [down / one.factor for down, _ in places],
        "customdata": [round(100 * carried.get(place, 0.0), 3) for place in places],
        "marker": {
            "symbol": ["circle" if place in carried else "circle-open" for place in places],
            "size": 10 if one.factor <= LABELLED_FACTOR else 6,
            "color": "#D55E00",
            "line": {"width": 1.5, "color": "#D55E00"},
        },
        "hovertemplate": "%{customdata} % of the response to a constant<extra></extra>",
    }


def _labels(one: Profile) -> list[dict[str, Any]]:
    """The share of energy at each harmonic, where there is room."""
    if one.factor > LABELLED_FACTOR:
        return []
    carried = {(down, right): share for down, right, share in one.carries}
    texts = {
        (down, right): f"{100 * carried[down, right]:.0f} %" if (down, right) in carried else "0"
        for down in range(one.factor)
        for right in range(one.factor)
        if down or right
    } | {(0, 0): "base band"}
    return [
        {
            "x": right / one.factor,
            "y": down / one.factor,
            "xref": "x3",
            "yref": "y3",
            "text": text,
            "showarrow": False,
            "yshift": 0 if (down, right) == (0, 0) else -15,
            "font": {"size": 11, "color": INK},
            "bgcolor": PAPER,
            "borderpad": 1,
        }
        for (down, right), text in texts.items()
    ]


def _titles(panels: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> list[dict[str, Any]]:
    """Above each picture."""
    return [
        {
            "x": sum(across) / 2,
            "y": down[1] + 0.03,
            "xref": "paper",
            "yref": "paper",
            "xanchor": "center",
            "yanchor": "bottom",
            "text": title,
            "showarrow": False,
            "font": {"size": 13},
        }
        for title, (across, down) in zip(TITLES, panels, strict=True)
    ]
