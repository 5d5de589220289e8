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
    short = {arm: ", ".join(values[arm] for values in gathered.axes.values()) or arm for arm in gathered.arms}
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


def template(dark: bool = False) -> dict[str, Any]:
    """The plotly template of a theme; backgrounds are transparent, the page shows through."""
    text, grid, line = ("#D5DAE0", "#31373E", "#59616B") if dark else ("#24292F", "#E4E7EB", "#8C959F")
    middle = "#23282E" if dark else "#F3F4F6"
    low, high = ("#F58A3C", "#4FA8E0") if dark else ("#C25100", "#0065A3")
    ramp = [[0, "#10263F"], [0.5, "#2F77A8"], [1, "#BFE3F2"]] if dark else [[0, "#F2F7FA"], [0.5, "#7FB2D3"], [1, "#0B4A78"]]
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
            "colorscale": {
                "diverging": [[0, low], [0.5, middle], [1, high]],
                "sequential": ramp,
            },
            "hoverlabel": {
                "bgcolor": "#2B3138" if dark else "#FFFFFF",
                "bordercolor": line,
                "font": {"family": FONT, "size": 13, "color": text},
                "align": "left",
            },
            "legend": {"font": {"size": 12}, "itemclick": "toggle", "itemdoubleclick": "toggleothers"},
        }
    }
