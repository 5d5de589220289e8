"""Whether predicted probabilities come true: reliability diagram, calibration error and Brier score (`calibration`)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segsuite.io.numbers import significant
from segsuite.report.answers import counted, listed
from segsuite.report.gather import TrialRecord, number
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.sections.dots import dot_rows, mean_of
from segsuite.report.style import signed

FEWEST_PIXELS = 100
"""A bin with fewer pixels is not drawn: its accuracy is chance."""
WORTH_NAMING = 0.01
MEASURES = {
    "ece": (
        "expected calibration error, lower is better",
        "Mean distance between confidence and accuracy over 16 bins of confidence of the predicted class",
    ),
    "brier": (
        "Brier score, lower is better",
        "Mean over pixels of the squared distance between the probabilities and the label, 0 to 2",
    ),
}


class Diagram(NamedTuple):
    """Of each bin of confidence, all seeds together: pixels, accuracy, mean confidence."""

    pixels: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    confidence: NDArray[np.float64]


def build(material: Material) -> Section | None:
    """None unless a result holds `calibration`."""
    diagrams = {arm: _pooled(material.gathered.done(arm)) for arm in material.gathered.shown}
    drawn = {arm: diagram for arm, diagram in diagrams.items() if diagram is not None}
    figures = [_diagram(material, drawn)] if drawn else []
    figures += [figure for name in MEASURES if (figure := _dots(material, name)) is not None]
    if not figures:
        return None
    note = _tendency(material)
    return Section("reliability", "Are the probabilities right?", notes=(note,) if note else (), figures=figures)


def _pooled(trials: Sequence[TrialRecord]) -> Diagram | None:
    tables = []
    for trial in trials:
        found = trial.within("calibration", "reliability")
        if isinstance(found, dict) and {"pixels", "accuracy", "confidence"} <= set(found):
            # Empty bins have no accuracy; their weight is 0.
            tables.append([[value or 0.0 for value in found[key]] for key in ("pixels", "accuracy", "confidence")])
    if not tables or len({len(row) for table in tables for row in table}) > 1:
        return None
    pixels, accuracy, confidence = np.moveaxis(np.array(tables, dtype=np.float64), 1, 0)
    total = pixels.sum(axis=0)
    weight = np.maximum(total, 1)
    return Diagram(total, (pixels * accuracy).sum(axis=0) / weight, (pixels * confidence).sum(axis=0) / weight)


def _diagram(material: Material, diagrams: Mapping[str, Diagram]) -> Figure:
    line = {"color": "#8A8F98", "width": 1, "dash": "dot"}
    data: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "line": line, "hoverinfo": "skip"}
        | {"showlegend": False}
    ]
    smallest = 1.0
    for arm, diagram in diagrams.items():
        style = material.styles[arm]
        shown = diagram.pixels >= FEWEST_PIXELS
        shares = diagram.pixels[shown] / diagram.pixels.sum()
        smallest = min([smallest, *shares.tolist()])
        confidence = _rounded(diagram.confidence[shown])
        common = {
            "type": "scatter",
            "x": confidence,
            "name": style.label,
            "legendgroup": style.label,
            "line": {"color": style.colour, "width": 1.8, "dash": style.dash},
        }
        data.append(
            common
            | {
                "mode": "lines+markers",
                "y": _rounded(diagram.accuracy[shown]),
                "customdata": [significant(100 * share) for share in shares],
                "marker": {"color": style.colour, "symbol": style.symbol, "size": 7},
                "hovertemplate": "%{fullData.name}<br>confidence %{x:.3f}, right %{y:.3f}"
                "<br>%{customdata} % of the pixels<extra></extra>",
            }
        )
        data.append(
            common
            | {
                "mode": "lines",
                "y": [float(f"{share:.3g}") for share in shares],
                "yaxis": "y2",
                "showlegend": False,
                "hovertemplate": "%{fullData.name}<br>confidence %{x:.3f}: %{y:.2~%} of the pixels<extra></extra>",
            }
        )
    low = int(np.floor(np.log10(max(smallest, 1e-9))))
    layout = {
        "height": 500 + 24 * -(-len(diagrams) // 3),
        "hovermode": "closest",
        "xaxis": {
            "title": {"text": "confidence: probability of the predicted class"},
            "range": [0, 1.01],
            "anchor": "y2",
        },
        "yaxis": {"title": {"text": "share that is right"}, "range": [0, 1.02], "domain": [0.32, 1]},
        "yaxis2": {
            "title": {"text": "pixels"},
            "type": "log",
            "tickvals": [10.0**power for power in range(low, 1)],
            "ticktext": [f"{100 * 10.0**power:g} %" for power in range(low, 1)],
            "range": [low, 0.15],
            "domain": [0, 0.24],
        },
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    }
    narrow = {
        "legend": {"orientation": "h", "y": -0.16, "yanchor": "top", "x": 0},
        "height": 470 + 24 * len(diagrams),
        "xaxis.title.text": "confidence",
    }
    caption = (
        "Of the pixels with some confidence, the share whose prediction is right. On the dotted line probabilities "
        "come true; below it the network claims too much. Lower panel: the share of pixels with that confidence. "
        f"16 bins of equal width, all finished seeds together; bins of fewer than {FEWEST_PIXELS} pixels are left out."
    )
    return Figure("reliability", caption, data, layout, narrow)


def _dots(material: Material, name: str) -> Figure | None:
    seeds: dict[str, dict[int, float]] = {}
    for arm in material.gathered.shown:
        values = {trial.seed: number(trial.within("calibration", name)) for trial in material.gathered.done(arm)}
        seeds[arm] = {seed: value for seed, value in values.items() if value is not None}
    arms = [arm for arm in seeds if seeds[arm]]
    if not arms:
        return None
    title, meaning = MEASURES[name]
    data, layout, narrow = dot_rows(material, arms, seeds, {arm: mean_of(seeds[arm]) for arm in arms}, title)
    n = counted(len(seeds[arm]) for arm in arms)
    errors = [number(trial.within("calibration", f"{name}_error")) for trial in material.gathered.finished]
    error = max((value for value in errors if value is not None), default=0.0)
    caption = f"{meaning}. Small: one seed. Large: mean of n = {n}; no interval. Exact up to {error:.1g}."
    return Figure(f"calibration-{name}", caption, data, layout, narrow)


def _tendency(material: Material) -> str:
    """Which arms claim too much or too little, with the mean of confidence minus accuracy."""
    gaps: dict[str, float] = {}
    for arm in material.gathered.shown:
        values = [number(trial.within("calibration", "overconfidence")) for trial in material.gathered.done(arm)]
        known = [value for value in values if value is not None]
        if known:
            gaps[arm] = float(np.mean(known))
    if not gaps:
        return ""
    parts = []
    for word, sign in (("overconfident", 1), ("underconfident", -1)):
        named = sorted((arm for arm in gaps if sign * gaps[arm] > WORTH_NAMING), key=lambda arm: -sign * gaps[arm])
        if named:
            arms = listed([f"{material.styles[arm].name} ({signed(gaps[arm])})" for arm in named])
            parts.append(f"{word}: {arms}")
    if not parts:
        return f"On average the confidence of every arm is within {WORTH_NAMING:g} of its accuracy."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]} (mean confidence minus accuracy)."


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in values]
