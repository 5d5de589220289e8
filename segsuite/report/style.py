"""One colour and one marker an arm, the same in every figure; light and dark templates of the figures.

Colours: Okabe and Ito, "Color universal design" (2008), told apart by colour-blind readers; the black and the yellow of
the set are left out because one of them vanishes on each background. The baseline is grey.
"""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segsuite.report.gather import Gathered

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
BASELINE_COLOUR = "#8A8F98"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "x")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PICTURE_SCALES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "signed": {
        "light": ("#9A3B00", "#E89B5C", "#F4F5F6", "#62A5D6", "#0A4F91"),
        "dark": ("#FFB27A", "#B05A1C", "#20262C", "#2B76AB", "#8CC8F5"),
    },
    "power": {
        "light": ("#FFFFFF", "#C6DFF0", "#5BA3D3", "#1B6CA8", "#0A3A63"),
        "dark": ("#14181C", "#173A57", "#2573AC", "#6FB7EA", "#E4F3FF"),
    },
}
SCALES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    **PICTURE_SCALES,
    "diverging": {"light": ("#F2A469", "#F6F7F8", "#7BB6E0"), "dark": ("#B05A1C", "#262C33", "#2B76AB")},
    "sequential": {"light": ("#F3F7FA", "#BBD9EC", "#7BB6E0"), "dark": ("#1A2733", "#22506F", "#2F7FB4")},
}
PICTURE_AXES = {"signed": "coloraxis", "power": "coloraxis2"}
"""The colour axes that a theme colours so."""
# Keeps the labels of an axis away from it.
NO_TICKS = {"ticks": "outside", "ticklen": 6, "tickcolor": "rgba(0,0,0,0)"}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class ArmStyle:
    """How an arm is drawn: its short name, colour, marker and dash."""

    name: str
    colour: str
    symbol: str
    dash: str

    @property
    def label(self) -> str:
        """The short name as plotly shows it letter by letter."""
        return inert(self.name)


def inert(text: object) -> str:
    """`text` so that plotly, which reads a small HTML in its labels, shows it letter by letter.

    >>> inert("<b>&")
    '&lt;b&gt;&amp;'
    """
    return html.escape(str(text), quote=False)


def arm_styles(gathered: Gathered) -> dict[str, ArmStyle]:
    """Arm -> its style. With two axes the first gives the colour and the second the marker; else arms are counted."""
    names = short_names(gathered)
    places = _two_axes(gathered) if len(gathered.axes) == 2 else None
    styles: dict[str, ArmStyle] = {}
    others = [arm for arm in gathered.arms if arm != gathered.baseline]
    for arm in gathered.arms:
        if places is not None:
            colour, turn = places[arm]
        elif arm == gathered.baseline:
            colour, turn = -1, 0
        else:
            turn, colour = divmod(others.index(arm), len(COLOURS))
        shade = BASELINE_COLOUR if colour < 0 else COLOURS[colour % len(COLOURS)]
        styles[arm] = ArmStyle(names[arm], shade, SYMBOLS[turn % len(SYMBOLS)], DASHES[turn % len(DASHES)])
    return styles


def short_names(gathered: Gathered) -> dict[str, str]:
    """Arm -> its values on the axes, where that names each arm once; else the arm's own name."""
    short = {arm: " / ".join(values[arm] for values in gathered.axes.values()) or arm for arm in gathered.arms}
    return short if len(set(short.values())) == len(short) else {arm: arm for arm in gathered.arms}


def _two_axes(gathered: Gathered) -> dict[str, tuple[int, int]] | None:
    """Arm -> place of its colour (-1: the baseline's grey) and of its marker; None when there are too few of them."""
    first, second = gathered.axes.values()
    colours, markers = list(dict.fromkeys(first.values())), list(dict.fromkeys(second.values()))
    if gathered.baseline is not None:
        grey = first[gathered.baseline]
        colours = [grey, *(value for value in colours if value != grey)]
    start = -1 if gathered.baseline is not None else 0
    if len(colours) + start > len(COLOURS) or len(markers) > len(SYMBOLS):
        return None
    return {arm: (colours.index(first[arm]) + start, markers.index(second[arm])) for arm in gathered.arms}


def scale(name: str, dark: bool = False) -> list[list[Any]]:
    """The colour scale of a theme.

    "diverging" from worse (orange) to better (blue), "sequential" from low to high: all of a theme's colours are so
    light, or so dark, that numbers written on them can be read. "signed" and "power": the same, stronger, for pictures.
    Raises KeyError for another name.
    """
    colours = SCALES[name]["dark" if dark else "light"]
    return [[place / (len(colours) - 1), colour] for place, colour in enumerate(colours)]


def signed(value: float) -> str:
    """`+0.012` with a typographic minus; never a negative zero.

    >>> signed(-0.0001)
    '0.000'
    """
    text = f"{value:+.3f}"
    return "0.000" if text[1:] == "0.000" else text.replace("-", "\N{MINUS SIGN}")


def template(dark: bool = False) -> dict[str, Any]:
    """The plotly template of a theme; backgrounds are transparent, the page shows through."""
    text, grid, line = ("#D5DAE0", "#31373E", "#59616B") if dark else ("#24292F", "#E4E7EB", "#8C959F")
    axis: Mapping[str, Any] = {
        "gridcolor": grid,
        "zerolinecolor": line,
        "linecolor": line,
        "tickcolor": line,
        "automargin": True,
        "title": {"standoff": 12, "font": {"size": 13}},
    }
    return {
        "layout": {
            "font": {"family": FONT, "size": 13, "color": text},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 12, "r": 16, "t": 12, "b": 44},
            "xaxis": dict(axis),
            "yaxis": dict(axis),
            # Not used by plotly's own choice, which looks at the data: the page puts them into the heatmaps.
            "colorscale": {name: scale(name, dark) for name in ("diverging", "sequential")},
            **{axis: {"colorscale": scale(name, dark)} for name, axis in PICTURE_AXES.items()},
            "hoverlabel": {
                "bgcolor": "#2B3138" if dark else "#FFFFFF",
                "bordercolor": line,
                "font": {"family": FONT, "size": 13, "color": text},
                "align": "left",
            },
            "legend": {"font": {"size": 12}, "itemclick": "toggle", "itemdoubleclick": "toggleothers"},
        }
    }
