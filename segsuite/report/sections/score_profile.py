"""Scores side by side for every arm: a line an arm where there are few, a row of numbers where there are many."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segsuite.report.answers import counted
from segsuite.report.gather import TrialRecord
from segsuite.report.sections.base import Figure, Material
from segsuite.report.sections.heatmaps import divider, heatmap, heatmap_layout
from segsuite.report.style import ArmStyle, scale

SPREAD = 0.3
"""Width over which arms lie side by side within a score; 1 is the distance to the next score."""
MOST_LINES = 5
"""Arms that can be followed as lines."""
Score = Callable[[TrialRecord], float | None]


def profile(
    material: Material, name: str, blocks: Sequence[Mapping[str, Score]], title: str, caption: str, height: int
) -> Figure | None:
    """A line an arm from score to score of each block, with every seed as a dot; a row of means an arm where there are
    more than MOST_LINES. What no trial has is left out; `caption` is without n."""
    arms = list(material.gathered.shown)
    found: list[tuple[str, dict[str, list[float]]]] = []
    ends: list[int] = []
    for block in blocks:
        for label, score in block.items():
            of_arms = {
                arm: [value for trial in material.gathered.done(arm) if (value := score(trial)) is not None]
                for arm in arms
            }
            if any(of_arms.values()):
                found.append((label, of_arms))
        ends.append(len(found))
    if not found:
        return None
    n = counted(len(material.gathered.done(arm)) for arm in arms)
    if len(arms) > MOST_LINES:
        data, layout = _grid(material, arms, found, ends)
        caption += f" Mean of n = {n}; no interval."
        return Figure(name, caption, data, layout, min_width=140 + 60 * len(found))
    data, layout, narrow = _lines(material, arms, found, ends, title, height)
    return Figure(name, f"{caption} Small: one seed. Line: mean of n = {n}; no interval.", data, layout, narrow)


def _grid(
    material: Material, arms: Sequence[str], found: Sequence[tuple[str, Mapping[str, Sequence[float]]]], ends: list[int]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    z = [[statistics.mean(of_arms[arm]) if of_arms[arm] else None for _, of_arms in found] for arm in arms]
    text = [["" if value is None else f"{value:.3f}" for value in row] for row in z]
    hover = [[_hover(material.styles[arm], label, of_arms[arm]) for label, of_arms in found] for arm in arms]
    trace = heatmap(z, text, hover) | {"zmin": 0, "zmax": 1, "meta": "sequential", "colorscale": scale("sequential")}
    layout = heatmap_layout([material.styles[arm].label for arm in arms], [label for label, _ in found])
    layout["shapes"] = [divider(end - 0.5) for end in ends if 0 < end < len(found)]
    return [trace], layout


def _hover(style: ArmStyle, label: str, values: Sequence[float]) -> str:
    shown = ", ".join(f"{value:.3f}" for value in values)
    return f"{style.label}<br>{label.replace('<br>', ' ')}<br>{len(values)} seed{'s' * (len(values) != 1)}: {shown}"


def _lines(
    material: Material,
    arms: Sequence[str],
    found: Sequence[tuple[str, Mapping[str, Sequence[float]]]],
    ends: Sequence[int],
    title: str,
    height: int,
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    labels = [label for label, _ in found]
    data: list[dict[str, Any]] = []
    for place, arm in enumerate(arms):
        # Side by side within a score, so that arms do not cover each other.
        shift = SPREAD * (place / (len(arms) - 1) - 0.5) if len(arms) > 1 else 0.0
        points = [(round(column + shift, 3), of_arms[arm]) for column, (_, of_arms) in enumerate(found)]
        data += _of_arm(material.styles[arm], points, labels, ends)
    layout, narrow = _layouts(labels, title, len(arms), height)
    layout["shapes"] = [_divider(end - 0.5) for end in ends if 0 < end < len(labels)]
    return data, layout, narrow


def _of_arm(
    style: ArmStyle, points: Sequence[tuple[float, Sequence[float]]], labels: Sequence[str], ends: Sequence[int]
) -> list[dict[str, Any]]:
    """The line of an arm, interrupted after each block, and its seeds."""
    line: list[tuple[float | None, float | None, str]] = []
    for column, (at, values) in enumerate(points):
        mean = round(statistics.mean(values), 4) if values else None
        line.append((at, mean, labels[column].replace("<br>", " ")))
        if column + 1 in ends:
            line.append((None, None, ""))
    seeds = [(at, round(value, 4)) for at, values in points for value in values]
    common = {"type": "scatter", "name": style.label, "legendgroup": style.label}
    return [
        common
        | {
            "mode": "lines+markers",
            "x": [at for at, _, _ in line],
            "y": [mean for _, mean, _ in line],
            "text": [label for _, _, label in line],
            "line": {"color": style.colour, "width": 1.6, "dash": style.dash},
            "marker": {"color": style.colour, "symbol": style.symbol, "size": 9},
            "hovertemplate": "%{fullData.name}<br>%{text}: %{y:.3f}, mean of seeds<extra></extra>",
        },
        common
        | {
            "mode": "markers",
            "x": [at for at, _ in seeds],
            "y": [value for _, value in seeds],
            "showlegend": False,
            "marker": {"color": style.colour, "size": 5, "opacity": 0.55},
            "hovertemplate": "%{fullData.name}<br>one seed: %{y:.3f}<extra></extra>",
        },
    ]


def _divider(at: float) -> dict[str, Any]:
    line = {"color": "#8A8F98", "width": 1, "dash": "dot"}
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line, "layer": "below"}


def _layouts(labels: Sequence[str], title: str, arms: int, height: int) -> tuple[dict[str, Any], dict[str, Any]]:
    layout: dict[str, Any] = {
        "height": height + 24 * -(-arms // 3),
        "hovermode": "closest",
        "xaxis": {
            "tickvals": list(range(len(labels))),
            "ticktext": list(labels),
            "range": [-0.5, len(labels) - 0.5],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        "yaxis": {"title": {"text": title}, "range": [-0.02, 1.02], "zeroline": False},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    }
    narrow = {
        "height": height - 30 + 24 * arms,
        "xaxis.tickfont": {"size": 10},
        "xaxis.tickangle": 0,
        "legend": {"orientation": "h", "y": -0.18, "yanchor": "top", "x": 0},
    }
    return layout, narrow
