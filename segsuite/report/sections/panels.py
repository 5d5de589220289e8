"""Small multiples: one figure of many panels with the same two axes, four in a row, two on a phone."""

from collections.abc import Sequence
from typing import Any

WIDE, NARROW = 4, 2
GAP, NARROW_GAP = 0.035, 0.06
PANEL, NARROW_PANEL, TITLE, FOOT = 178, 150, 24, 30
"""Heights in pixels: of a panel with its title and numbers, on a screen and on a phone; of a title; of the numbers."""
AXIS_TITLE = 26


class Panels:
    """Titles of the panels, read as plotly's small HTML, and of the axes, from 0 to 1."""

    def __init__(self, titles: Sequence[str], across: str, up: str) -> None:
        self.titles, self.across, self.up = titles, across, up

    def axes_of(self, panel: int) -> dict[str, str]:
        """What a trace in this panel needs."""
        suffix = _suffix(panel)
        return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}

    def layouts(self, arms: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The layout, and its changes on a phone. `arms`: entries of the legend."""
        wide = self._layout(WIDE, PANEL, GAP) | {
            "hovermode": "closest",
            "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        }
        narrow = self._layout(NARROW, NARROW_PANEL, NARROW_GAP)
        wide["height"] += 12 + 24 * -(-arms // 3)
        # Below the panels a long legend takes nothing from them.
        narrow["height"] += 24 * arms + 20
        narrow["legend"] = {"orientation": "h", "y": -0.02, "yanchor": "top", "x": 0, "xanchor": "left"}
        return wide, narrow

    def _layout(self, most: int, height: int, gap: float) -> dict[str, Any]:
        count = len(self.titles)
        columns = min(most, max(count, 1))
        rows = -(-count // columns)
        width = (1 - gap * (columns - 1)) / columns
        layout: dict[str, Any] = {
            "height": rows * height + AXIS_TITLE + 12,
            "margin": {"l": 46, "t": 8, "b": 8},
            "annotations": [],
        }
        for panel, title in enumerate(self.titles):
            row, column = divmod(panel, columns)
            left, top = column * (width + gap), 1 - row / rows
            right, bottom = left + width, top - (height - FOOT) / (rows * height)
            suffix = _suffix(panel)
            is_lowest, is_first = panel + columns >= count, column == 0
            layout[f"xaxis{suffix}"] = _axis([left, right], f"y{suffix}", self.across if is_lowest else "")
            high = top - TITLE / (rows * height)
            layout[f"yaxis{suffix}"] = _axis([bottom, high], f"x{suffix}", self.up if is_first else "") | {
                "showticklabels": is_first
            }
            layout["annotations"].append(
                {
                    **{"x": left, "xref": "paper", "xanchor": "left", "y": high, "yref": "paper", "yanchor": "bottom"},
                    **{"text": f"<b>{title}</b>", "showarrow": False, "font": {"size": 12}},
                }
            )
        return layout


def _suffix(panel: int) -> str:
    return "" if panel == 0 else str(panel + 1)


def _axis(domain: list[float], anchor: str, title: str) -> dict[str, Any]:
    return {
        "domain": [max(0.0, domain[0]), min(1.0, domain[1])],
        "anchor": anchor,
        "range": [-0.02, 1.02],
        "tickvals": [0, 0.5, 1],
        "tickfont": {"size": 11},
        "zeroline": False,
        "title": {"text": title, "standoff": 4, "font": {"size": 12}},
        "automargin": False,
    }
