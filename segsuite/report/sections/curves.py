"""Learning curves: score on the watched split and training loss over epochs, with a band over seeds."""

import statistics
from collections.abc import Sequence
from typing import Any

from segsuite.errors import plural
from segsuite.report.answers import counted
from segsuite.report.gather import TrialRecord, number
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.style import ArmStyle

CURVES = {"miou": ("val-miou", "mIoU on {watched}"), "loss": ("train-loss", "Training loss")}
MOST_POINTS = 150
Curve = dict[int, float]


def build(material: Material) -> Section | None:
    """One figure a quantity; trials that have not finished are drawn thin and by themselves."""
    figures = [figure for key in CURVES if (figure := _figure(material, key)) is not None]
    return Section("curves", "Learning curves", figures=figures) if figures else None


def curve(trial: TrialRecord, key: str) -> Curve:
    """Epoch, counted from 1 -> the value of events.jsonl, where there is one."""
    found: Curve = {}
    for event in trial.events:
        epoch, value = number(event.get("epoch")), number(event.get(key))
        if epoch is not None and value is not None:
            found[int(epoch) + 1] = value
    return found


def _figure(material: Material, key: str) -> Figure | None:
    data: list[dict[str, Any]] = []
    seen: list[Curve] = []
    alone = 0
    arms = material.gathered.arms
    for arm in arms:
        style = material.styles[arm]
        done = [found for trial in material.gathered.done(arm) if (found := curve(trial, key))]
        others = [found for trial in material.gathered.of(arm) if not trial.finished and (found := curve(trial, key))]
        if done:
            data += _mean_and_band(done, style, min(0.16, 0.64 / len(arms)))
        for place, one in enumerate(others):
            data.append(_alone(one, style, named=not done and place == 0))
        alone += len(others)
        seen += done + others
    if not seen or max(len(one) for one in seen) < 2:
        return None
    name, title = CURVES[key]
    overfit = material.gathered.trials[0].settings.train.overfit_batches
    title = title.format(watched="train" if overfit else "val")
    layout: dict[str, Any] = {
        "height": 330 + 24 * -(-len(arms) // 3),
        "hovermode": "closest",
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": title}, "range": _plateau(seen, rising=key == "miou")},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    }
    narrow = {"legend": {"orientation": "h", "y": -0.25, "yanchor": "top", "x": 0}, "height": 350 + 24 * len(arms)}
    n = counted((len(material.gathered.done(arm)) for arm in material.gathered.shown), "finished trial")
    caption = f"{title} after each epoch. Line: mean of seeds. Band: lowest to highest seed, n = {n} an arm."
    if alone:
        caption += f" Thin: {plural(alone, 'trial')} without a result yet."
    return Figure(name, caption + " The axis starts near the plateau; double-click shows all.", data, layout, narrow)


def _mean_and_band(curves: Sequence[Curve], style: ArmStyle, opacity: float) -> list[dict[str, Any]]:
    epochs = _thinned(sorted(set.intersection(*(set(one) for one in curves))))
    values = [[one[epoch] for one in curves] for epoch in epochs]
    line = {
        "type": "scatter",
        "mode": "lines" if len(epochs) > 30 else "lines+markers",
        "x": epochs,
        "y": _rounded([statistics.mean(row) for row in values]),
        "name": style.label,
        "legendgroup": style.label,
        "line": {"color": style.colour, "width": 2, "dash": style.dash},
        "marker": {"color": style.colour, "symbol": style.symbol, "size": 6},
        "hovertemplate": "%{fullData.name}<br>epoch %{x}: %{y:.3f}<extra></extra>",
    }
    if len(curves) == 1:
        return [line]
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": epochs + epochs[::-1],
        "y": _rounded([max(row) for row in values]) + _rounded([min(row) for row in values])[::-1],
        "fill": "toself",
        "fillcolor": _faded(style.colour, opacity),
        "line": {"width": 0},
        "legendgroup": style.label,
        "showlegend": False,
        "hoverinfo": "skip",
    }
    return [band, line]


def _alone(one: Curve, style: ArmStyle, named: bool) -> dict[str, Any]:
    epochs = _thinned(sorted(one))
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(epochs) == 1 else "lines",
        "x": epochs,
        "y": _rounded([one[epoch] for epoch in epochs]),
        "name": style.label,
        "legendgroup": style.label,
        "showlegend": named,
        "line": {"color": style.colour, "width": 1, "dash": "dot"},
        "hovertemplate": "%{fullData.name}, not finished<br>epoch %{x}: %{y:.3f}<extra></extra>",
    }


def _plateau(curves: Sequence[Curve], rising: bool) -> list[float]:
    """The range of the values after the first fifth of each curve, where differences between arms are."""
    late = [value for one in curves for epoch, value in one.items() if epoch > 0.2 * max(one)]
    low, high = min(late), max(late)
    edge = 0.06 * (high - low) or 0.01
    return [low - edge if not rising or low - edge > 0 else 0.0, high + edge]


def _thinned(epochs: list[int]) -> list[int]:
    step = -(-len(epochs) // MOST_POINTS)
    return epochs[::-1][::step][::-1] if step > 1 else epochs


def _rounded(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _faded(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:.2f})"
