"""Precision-recall curves of each class, and the average precision of every seed (histograms.npz, `ranking`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.io.numbers import percent
from segsuite.metrics import array_files
from segsuite.metrics.curves import curve
from segsuite.metrics.histograms import Histograms
from segsuite.report.answers import counted
from segsuite.report.gather import TrialRecord, number
from segsuite.report.sections.base import Cell, Figure, Material, Section, Table
from segsuite.report.sections.dots import dot_rows, mean_of
from segsuite.report.sections.panels import Panels
from segsuite.report.style import inert

STEPS = 40
"""Points of a curve, at equal steps of recall up to 1."""
MOST_PANELS = 12
Floats = NDArray[np.float64]


def build(material: Material) -> Section | None:
    """None unless a trial left histograms; arms without are not drawn."""
    reference = material.gathered.reference
    read = {arm: _read(material.gathered.done(arm)) for arm in material.gathered.shown}
    read = {arm: found for arm, found in read.items() if found}
    if reference is None or not read:
        return None
    pixels = reference.label_pixels().sum(axis=0)
    present = [place for place in np.argsort(-pixels, kind="stable").tolist() if pixels[place] > 0]
    drawn = present[-MOST_PANELS:]
    titles = [f"{inert(reference.classes[place])}, {percent(pixels[place] / pixels.sum())}" for place in drawn]
    curves = {arm: _mean_curves([one for _, one in found], drawn) for arm, found in read.items()}
    figures = [_curves(material, curves, [reference.classes[place] for place in drawn], titles, len(present))]
    note = (
        "What a class would reach at every threshold of its probability, not only where it is the most probable one: a "
        "loss that moves the threshold moves the marker along its curve, one that ranks pixels better lifts the curve."
    )
    if (dots := _dots(material)) is not None:
        figures.insert(0, dots)
    names = [reference.classes[place] for place in present]
    return Section(
        "precision-recall", "Precision and recall", notes=(note,), figures=figures, table=_table(material, names)
    )


def _read(trials: Sequence[TrialRecord]) -> list[tuple[int, Histograms]]:
    """Seed and histograms of the trials that have some for the classes of their counts."""
    found = []
    for trial in trials:
        try:
            one = Histograms.from_arrays(array_files.read(trial.folder / "histograms.npz"))
        except (ValueError, KeyError, TypeError):
            continue  # of an older version, or damaged: `gather` says which
        if trial.counted is not None and len(one.of_class) == len(trial.counted.classes):
            found.append((trial.seed, one))
    return found


def _mean_curves(trials: Sequence[Histograms], places: Sequence[int]) -> list[Floats]:
    """For each class: precision at the steps of recall, mean over the trials that have it in their labels."""
    means = []
    for place in places:
        of_trials = [_at_steps(one.of_class[place]) for one in trials if one.of_class[place, 1].any()]
        means.append(np.mean(of_trials, axis=0) if of_trials else np.full(STEPS, np.nan))
    return means


def _at_steps(counts_2B: NDArray[np.int64]) -> Floats:
    """Precision at the highest threshold that finds at least each share of the class."""
    found = curve(counts_2B)
    wanted = np.arange(1, STEPS + 1) / STEPS * found.true[-1]
    # Rounding must not ask for more than there is.
    precision: Floats = found.precision[np.searchsorted(found.true, wanted - 1e-6)]
    return precision


def _curves(
    material: Material, curves: Mapping[str, list[Floats]], classes: Sequence[str], titles: Sequence[str], known: int
) -> Figure:
    panels = Panels(titles, "recall", "precision")
    data: list[dict[str, Any]] = []
    for panel in range(len(classes)):
        for arm, of_arm in curves.items():
            style = material.styles[arm]
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x0": 1 / STEPS,
                    "dx": 1 / STEPS,
                    "y": [None if np.isnan(value) else round(float(value), 3) for value in of_arm[panel]],
                    "name": style.label,
                    "legendgroup": style.label,
                    "showlegend": panel == 0,
                    "line": {"color": style.colour, "width": 1.6, "dash": style.dash},
                    "hovertemplate": "%{fullData.name}<br>recall %{x:.2f}: precision %{y:.3f}<extra></extra>",
                    **panels.axes_of(panel),
                }
            )
        data.append(_chosen(material, list(curves), classes[panel]) | panels.axes_of(panel))
    n = counted(len(material.gathered.done(arm)) for arm in curves)
    caption = (
        f"Precision against recall over all thresholds, mean of n = {n} at the same recall. Marker: where the "
        "class is the most probable one, as in all other scores; at the lower left corner if it never is. Percentages: "
        "share of the labelled pixels, which is the precision of chance."
    )
    if known > len(classes):
        caption += f" The {len(classes)} rarest of {known} classes."
    layout, narrow = panels.layouts(len(curves))
    return Figure("precision-recall", caption, data, layout, narrow)


def _chosen(material: Material, arms: Sequence[str], name: str) -> dict[str, Any]:
    """Recall and precision of each arm's predictions, means of seeds."""
    points = []
    for arm in arms:
        trials = material.gathered.done(arm)
        pairs = [(one.class_score("recall", name), one.class_score("precision", name)) for one in trials]
        known = [(recall, precision or 0.0) for recall, precision in pairs if recall is not None]
        if known:
            points.append((material.styles[arm], *np.mean(known, axis=0).tolist()))
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [round(recall, 4) for _, recall, _ in points],
        "y": [round(precision, 4) for _, _, precision in points],
        "text": [style.label for style, _, _ in points],
        "showlegend": False,
        "cliponaxis": False,
        "marker": {
            "color": [style.colour for style, _, _ in points],
            "symbol": [style.symbol for style, _, _ in points],
            "size": 8,
            "line": {"color": "#FFFFFF", "width": 1},
        },
        "hovertemplate": "%{text}, as predicted<br>recall %{x:.3f}, precision %{y:.3f}<extra></extra>",
    }


def _dots(material: Material) -> Figure | None:
    seeds: dict[str, dict[int, float]] = {}
    for arm in material.gathered.shown:
        trials = material.gathered.done(arm)
        values = {trial.seed: number(trial.within("ranking", "mean_average_precision")) for trial in trials}
        seeds[arm] = {seed: value for seed, value in values.items() if value is not None}
    arms = [arm for arm in seeds if seeds[arm]]
    if not arms:
        return None
    title = "mean average precision of the classes"
    data, layout, narrow = dot_rows(material, arms, seeds, {arm: mean_of(seeds[arm]) for arm in arms}, title)
    n = counted(len(seeds[arm]) for arm in arms)
    errors = [number(one.within("ranking", "mean_average_precision_error")) for one in material.gathered.finished]
    error = max((value for value in errors if value is not None), default=0.0)
    caption = (
        "Mean over classes of the area under the precision-recall curve. Small: one seed. Large: mean of "
        f"n = {n}; no interval. From histograms: exact up to {error:.1g}."
    )
    return Figure("average-precision", caption, data, layout, narrow)


def _table(material: Material, names: Sequence[str]) -> Table | None:
    """Average precision of each class, mean of the seeds."""
    rows = []
    for arm in material.gathered.shown:
        style = material.styles[arm]
        cells = [Cell(style.name, style.name, colour=style.colour)]
        for name in names:
            found = [number(one.within("ranking", "average_precision", name)) for one in material.gathered.done(arm)]
            known = [value for value in found if value is not None]
            mean = float(np.mean(known)) if known else None
            cells.append(Cell("-") if mean is None else Cell(f"{mean:.3f}", mean))
        if any(cell.value is not None for cell in cells[1:]):
            rows.append(cells)
    if not rows:
        return None
    columns = [("arm", False), *((name, True) for name in names)]
    return Table(columns, rows, "Average precision of each class, mean of the finished seeds. Classes by frequency.")
