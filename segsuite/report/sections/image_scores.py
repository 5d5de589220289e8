"""How mIoU spreads over the images of the split, arm by arm (`groups.image_miou` of result.json)."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from segsuite.metrics.groups import IMAGE_QUANTILES
from segsuite.report.answers import counted
from segsuite.report.gather import TrialRecord, number
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.sections.dots import label_rows

ROW, NARROW_ROW = 34, 50
WHISKER, BOX = (0.05, 0.95), (0.25, 0.75)
Quantiles = Mapping[float, float]


def build(material: Material) -> Section | None:
    """None unless a result holds the quantiles."""
    of_arms = {
        arm: [found for trial in material.gathered.done(arm) if (found := _quantiles(trial))]
        for arm in material.gathered.shown
    }
    of_arms = {arm: found for arm, found in of_arms.items() if found}
    if not of_arms:
        return None
    means = {arm: _mean(found) for arm, found in of_arms.items()}
    layout, narrow = label_rows(material, list(means), "mIoU of one image, over the classes in its label", NARROW_ROW)
    layout |= {"height": ROW * len(means) + 84, "xaxis": layout["xaxis"] | {"range": _range(means)}}
    caption = (
        "Of the images of the scored split: median (marker), the middle half (bar), 5th to 95th percentile (line), "
        f"lowest and highest (ticks); quantiles of each trial, mean of {counted(map(len, of_arms.values()))}. "
        "Not the mIoU of the other sections, which is of all pixels of the split."
    )
    figure = Figure("image-miou", caption, _traces(material, means), layout, narrow)
    return Section("image-scores", "From image to image", figures=[figure])


def _quantiles(trial: TrialRecord) -> Quantiles:
    """Level -> mIoU; empty unless all of IMAGE_QUANTILES are there."""
    found = {
        level: number(trial.within("groups", "image_miou", "quantiles", f"{level:g}")) for level in IMAGE_QUANTILES
    }
    known = {level: value for level, value in found.items() if value is not None}
    return known if len(known) == len(found) else {}


def _mean(of_seeds: Sequence[Quantiles]) -> Quantiles:
    return {level: statistics.mean(one[level] for one in of_seeds) for level in IMAGE_QUANTILES}


def _range(means: Mapping[str, Quantiles]) -> list[float]:
    values = [value for one in means.values() for value in one.values()]
    edge = 0.04 * (max(values) - min(values)) or 0.02
    return [min(values) - edge, max(values) + edge]


def _traces(material: Material, means: Mapping[str, Quantiles]) -> list[dict[str, Any]]:
    """Of each arm: the line, the bar upon it, the ticks at its ends, and the marker, which tells all of them."""
    traces: list[dict[str, Any]] = []
    for row, (arm, one) in enumerate(means.items()):
        style = material.styles[arm]
        common = {"type": "scatter", "y": [row, row], "showlegend": False, "hoverinfo": "skip", "name": style.label}
        line = {"color": style.colour}
        traces += [
            common | {"mode": "lines", "x": [one[level] for level in WHISKER], "line": line | {"width": 1.6}},
            common
            | {"mode": "lines", "x": [one[level] for level in BOX], "line": line | {"width": 9}, "opacity": 0.45},
            common
            | {
                "mode": "markers",
                "x": [one[0.0], one[1.0]],
                "marker": {"symbol": "line-ns", "size": 9, "line": {"width": 1.6, "color": style.colour}},
            },
            common
            | {
                "mode": "markers",
                "x": [one[0.5]],
                "y": [row],
                "marker": {
                    **{"color": style.colour, "symbol": style.symbol, "size": 11},
                    **{"line": {"color": "#FFFFFF", "width": 1}},
                },
                "text": [
                    "<br>".join([style.label, *(f"{_named(level)}: {value:.3f}" for level, value in one.items())])
                ],
                "hoverinfo": "text",
            },
        ]
    return traces


def _named(level: float) -> str:
    names = {0.0: "lowest", 0.5: "median", 1.0: "highest"}
    return names.get(level, f"{100 * level:g} % of the images below")
