"""Differences to the baseline class by class, beside how frequent the classes are."""

from typing import Any

import numpy as np

from segsuite.report.answers import p_text
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.style import NO_TICKS, inert, scale, signed
from segsuite.stats import TWO_WAY, ClassComparison

EVIDENCE = 0.05


def build(material: Material) -> Section | None:
    """A heatmap of differences (or of IoU without a baseline), and the share of pixels of each class."""
    reference = material.gathered.reference
    if reference is None:
        return None
    pixels = reference.label_pixels().sum(axis=0)
    present = [place for place in np.argsort(-pixels, kind="stable").tolist() if pixels[place] > 0]
    if not present:
        return None
    names = [reference.classes[place] for place in present]
    shares = [float(pixels[place] / pixels.sum()) for place in present]
    compared = material.answers.classes
    heatmap = _differences(material, compared, present, names) if compared else _absolute(material, names)
    absent = [name for place, name in enumerate(reference.classes) if not pixels[place]]
    notes = [f"Not in the labels of this split, and so in no score: {', '.join(absent)}."] if absent else []
    return Section("classes", "Class by class", notes=notes, figures=[heatmap, _frequency(names, shares)])


def _differences(
    material: Material, compared: tuple[ClassComparison, ...], present: list[int], names: list[str]
) -> Figure:
    found = {(one.arm, one.label): one for one in compared}
    arms = [
        arm
        for arm in material.gathered.arms
        if any((arm, place) in found and found[arm, place].difference is not None for place in present)
    ]
    z: list[list[float | None]] = []
    text: list[list[str]] = []
    hover: list[list[str]] = []
    for arm in arms:
        row = [found[arm, place] for place in present]
        z.append([one.difference for one in row])
        text.append(["" if one.difference is None else f"{signed(one.difference)}{_star(one)}" for one in row])
        hover.append([_hover(material, one) for one in row])
    largest = max((abs(value) for row in z for value in row if value is not None), default=0.0) or 0.01
    trace = _heatmap(z, text, hover) | {
        "zmin": -largest,
        "zmax": largest,
        "meta": "diverging",
        "colorscale": scale("diverging"),
    }
    base = material.styles[str(material.gathered.baseline)].name
    kinds = {one.kind for one in compared}
    caption = (
        f"IoU of each class minus that of the baseline {base}, mean of the common seeds; blue: better, orange: worse. "
    )
    if TWO_WAY in kinds:
        caption += "* Benjamini-Hochberg p below 0.05 over all cells. Exploratory: cells suggest where to look. "
    else:
        caption += "Fewer than 3 seeds: no test. "
    return Figure(
        "classes-difference",
        f"{caption}Classes by frequency.",
        [trace],
        _layout(material, arms, names),
        min_width=170 + 62 * len(names),
    )


def _absolute(material: Material, names: list[str]) -> Figure:
    arms = list(material.gathered.shown)
    z: list[list[float | None]] = []
    for arm in arms:
        row: list[float | None] = []
        for name in names:
            known = [v for trial in material.gathered.done(arm) if (v := trial.class_score("iou", name)) is not None]
            row.append(sum(known) / len(known) if known else None)
        z.append(row)
    text = [["" if value is None else f"{value:.3f}" for value in row] for row in z]
    hover = [
        [f"{material.styles[arm].label}<br>{inert(name)}: {value}" for name, value in zip(names, row, strict=True)]
        for arm, row in zip(arms, text, strict=True)
    ]
    trace = _heatmap(z, text, hover) | {"zmin": 0, "zmax": 1, "meta": "sequential", "colorscale": scale("sequential")}
    caption = "IoU of each class, mean of the finished seeds. Classes by frequency."
    layout = _layout(material, arms, names)
    return Figure("classes-iou", caption, [trace], layout, min_width=170 + 62 * len(names))


def _frequency(names: list[str], shares: list[float]) -> Figure:
    trace = {
        "type": "bar",
        "x": list(range(len(names))),
        "y": shares,
        "text": [f"{100 * share:.3g} %" for share in shares],
        "textposition": "outside",
        "cliponaxis": False,
        "customdata": [inert(name) for name in names],
        "marker": {"color": "#8A8F98"},
        "hovertemplate": "%{customdata}: %{text} of the labelled pixels<extra></extra>",
    }
    layout = {
        "height": 260,
        "bargap": 0.3,
        "xaxis": {"tickvals": list(range(len(names))), "ticktext": [inert(name) for name in names], "showgrid": False},
        "yaxis": {"title": {"text": "share of pixels"}, "tickformat": ".0%", "nticks": 4},
        "margin": {"t": 26, "b": 32},
    }
    caption = "Share of the labelled pixels of the split that each class has; void is left out."
    return Figure("classes-frequency", caption, [trace], layout, min_width=170 + 62 * len(names))


def _heatmap(z: list[list[float | None]], text: list[list[str]], hover: list[list[str]]) -> dict[str, Any]:
    return {
        "type": "heatmap",
        "z": z,
        "text": text,
        "customdata": hover,
        "texttemplate": "%{text}",
        "hovertemplate": "%{customdata}<extra></extra>",
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
    }


def _layout(material: Material, arms: list[str], names: list[str]) -> dict[str, Any]:
    axis: dict[str, Any] = {"showgrid": False, "zeroline": False, "fixedrange": True, **NO_TICKS}
    return {
        "height": 34 * len(arms) + 56,
        "margin": {"b": 32},
        "xaxis": axis | {"tickvals": list(range(len(names))), "ticktext": [inert(name) for name in names]},
        "yaxis": axis
        | {
            "tickvals": list(range(len(arms))),
            "ticktext": [material.styles[arm].label for arm in arms],
            "autorange": "reversed",
        },
    }


def _star(one: ClassComparison) -> str:
    return " *" if one.kind == TWO_WAY and one.p_bh is not None and one.p_bh < EVIDENCE else ""


def _hover(material: Material, one: ClassComparison) -> str:
    lines = [material.styles[one.arm].label, inert(one.class_name)]
    if one.difference is None:
        return "<br>".join([*lines, one.kind])
    lines.append(signed(one.difference))
    if one.low is not None and one.high is not None:
        lines[-1] += f" ({signed(one.low)} to {signed(one.high)})"
    p = f"Benjamini-Hochberg {p_text(one.p_bh)}" if one.kind == TWO_WAY else one.kind
    return "<br>".join([*lines, inert(p)])
