"""Differences to the baseline class by class, beside how frequent the classes are."""

from typing import Any

from segsuite.report.answers import p_text
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.sections.class_order import ClassOrder, class_order
from segsuite.report.sections.heatmaps import group_marks, heatmap, heatmap_layout
from segsuite.report.style import inert, scale, signed
from segsuite.stats import TWO_WAY, WITHHELD, ClassComparison

EVIDENCE = 0.05


def build(material: Material) -> Section | None:
    """A heatmap of differences (or of IoU without a baseline), and the share of pixels of each class."""
    order = class_order(material)
    if order is None:
        return None
    compared = material.answers.classes
    heat = _differences(material, compared, order) if compared else _absolute(material, order)
    notes = [f"Not in the labels of this split, and so in no score: {', '.join(order.absent)}."] if order.absent else []
    return Section("classes", "Class by class", notes=notes, figures=[heat, _frequency(order)])


def _differences(material: Material, compared: tuple[ClassComparison, ...], order: ClassOrder) -> Figure:
    found = {(one.arm, one.label): one for one in compared}
    arms = [
        arm
        for arm in material.gathered.arms
        if any((arm, place) in found and found[arm, place].difference is not None for place in order.places)
    ]
    z: list[list[float | None]] = []
    text: list[list[str]] = []
    hover: list[list[str]] = []
    for arm in arms:
        row = [found[arm, place] for place in order.places]
        z.append([one.difference for one in row])
        text.append(["" if one.difference is None else f"{signed(one.difference)}{_star(one)}" for one in row])
        hover.append([_hover(material, one) for one in row])
    largest = max((abs(value) for row in z for value in row if value is not None), default=0.0) or 0.01
    trace = heatmap(z, text, hover) | {
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
    elif kinds != {WITHHELD}:
        caption += "Fewer than 3 seeds: no test. "
    reasons = dict.fromkeys(one.reason for one in compared if one.kind == WITHHELD)
    if reasons:
        caption += f"No test: {'; '.join(reasons)}. "
    return Figure(
        "classes-difference",
        caption + order.told,
        [trace],
        _layout(material, arms, order),
        min_width=170 + 62 * len(order.names),
    )


def _absolute(material: Material, order: ClassOrder) -> Figure:
    arms = list(material.gathered.shown)
    z: list[list[float | None]] = []
    for arm in arms:
        row: list[float | None] = []
        for name in order.names:
            known = [v for trial in material.gathered.done(arm) if (v := trial.class_score("iou", name)) is not None]
            row.append(sum(known) / len(known) if known else None)
        z.append(row)
    text = [["" if value is None else f"{value:.3f}" for value in row] for row in z]
    hover = [
        [
            f"{material.styles[arm].label}<br>{inert(name)}: {value}"
            for name, value in zip(order.names, row, strict=True)
        ]
        for arm, row in zip(arms, text, strict=True)
    ]
    trace = heatmap(z, text, hover) | {"zmin": 0, "zmax": 1, "meta": "sequential", "colorscale": scale("sequential")}
    caption = f"IoU of each class, mean of the finished seeds. {order.told}"
    layout = _layout(material, arms, order)
    return Figure("classes-iou", caption, [trace], layout, min_width=170 + 62 * len(order.names))


def _frequency(order: ClassOrder) -> Figure:
    """Bars of the scored split, beside those of the training split where they are known."""
    data = [] if order.training is None else [_bars(order, order.training, "training split", "#C4C9CF")]
    data.append(_bars(order, order.scored, "scored split", "#8A8F98"))
    layout = {
        "height": 260,
        "bargap": 0.24,
        "bargroupgap": 0.06,
        "xaxis": {
            "tickvals": list(range(len(order.names))),
            "ticktext": [inert(name) for name in order.names],
            "showgrid": False,
            "tickangle": 0,
        },
        "yaxis": {"title": {"text": "share of pixels"}, "tickformat": ".0%", "nticks": 4},
        "margin": {"t": 26, "b": 32},
        "showlegend": len(data) > 1,
        "legend": {"x": 1, "xanchor": "right", "y": 1, "yanchor": "top"},
    }
    which = "of the scored split" if len(data) == 1 else "of the training split and of the scored one"
    caption = f"Share of the labelled pixels {which} that each class has; void is left out."
    return Figure("classes-frequency", caption, data, layout, min_width=170 + 62 * len(order.names))


def _bars(order: ClassOrder, shares: tuple[float, ...], name: str, colour: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": name,
        "x": list(range(len(shares))),
        "y": list(shares),
        "text": [f"{100 * share:.2g}" for share in shares],
        "textposition": "outside",
        "textangle": 0,
        "textfont": {"size": 11},
        "cliponaxis": False,
        "customdata": [f"{inert(name)}: {100 * share:.3g} %" for name, share in zip(order.names, shares, strict=True)],
        "marker": {"color": colour},
        "hovertemplate": f"%{{customdata}} of the labelled pixels, {name}<extra></extra>",
    }


def _layout(material: Material, arms: list[str], order: ClassOrder) -> dict[str, Any]:
    return group_marks(heatmap_layout([material.styles[arm].label for arm in arms], order.ticks), order)


def _star(one: ClassComparison) -> str:
    return " *" if one.kind == TWO_WAY and one.p_bh is not None and one.p_bh < EVIDENCE else ""


def _hover(material: Material, one: ClassComparison) -> str:
    lines = [material.styles[one.arm].label, inert(one.class_name)]
    if one.difference is None:
        return "<br>".join([*lines, one.kind])
    lines.append(signed(one.difference))
    if one.low is not None and one.high is not None:
        lines[-1] += f" ({signed(one.low)} to {signed(one.high)})"
    untested = f"{one.kind}: {one.reason}" if one.reason else one.kind
    p = f"Benjamini-Hochberg {p_text(one.p_bh)}" if one.kind == TWO_WAY else untested
    return "<br>".join([*lines, inert(p)])
