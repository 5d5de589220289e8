"""The page of `segsuite inspect E.yaml --field`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.inspect.effective_field_measures import PAPER
from segsuite.inspect.effective_field_networks import (
    FIELD_COLUMNS,
    GRIDDING_COLUMNS,
    NetworkField,
    field_rows,
    gridding_rows,
)
from segsuite.inspect.evidence_page import write_page
from segsuite.inspect.evidence_pictures import FLOOR_DB, field_picture
from segsuite.report.sections.base import Cell, Figure, Picture, Row, Section, Table
from segsuite.report.style import COLOURS, DASHES, inert

RADII = 60


def write_field_page(found: Sequence[NetworkField], title: str, facts: Sequence[str], path: Path) -> None:
    """Writes the page of fields that were measured on the same images."""
    sections = [_sizes(found), _pictures(found)]
    if any(one.gridding for one in found):
        sections.append(_gridding(found))
    write_page(path, "segsuite inspect --field", title, answer(found), facts, sections)


def answer(found: Sequence[NetworkField]) -> str:
    """The smallest and the largest effective field, in a sentence."""
    ordered = sorted(found, key=lambda one: one.measures.side)
    small, large = ordered[0], ordered[-1]
    told = f"{large.arm} ({large.weights}) sees effectively {large.measures.side:.0f} pixels across"
    if large.measures.theoretical is not None:
        told += f" of {large.measures.theoretical} in theory"
    if small is large:
        return f"{told}."
    return f"{told}; the smallest field is that of {small.arm} ({small.weights}), {small.measures.side:.0f} pixels."


def _sizes(found: Sequence[NetworkField]) -> Section:
    rows = [
        [Cell(text, _number(text)) if place > 1 else Cell(text, text) for place, text in enumerate(row)]
        for row in field_rows(found)
    ]
    caption = (
        "Theory: side of the field of the central output that windows alone reach. Effective: side of the square with "
        f"the area in which the amplitude is above {100 * PAPER:.2f} % of its peak; share: that area by the theory's. "
        "r: radius of the disc that holds so much of the energy. All in pixels of the image."
    )
    table = Table([(name, place > 1) for place, name in enumerate(FIELD_COLUMNS)], rows, caption)
    return Section("sizes", "Sizes", figures=[_curves(found)], table=table)


def _number(text: str) -> float | None:
    try:
        return float(text.removesuffix(" %"))
    except ValueError:
        return None


def _curves(found: Sequence[NetworkField]) -> Figure:
    """Share of the energy within a radius, a line a network."""
    arms = list(dict.fromkeys(one.arm for one in found))
    furthest = max(one.measures.radii[0.9] for one in found)
    radii = np.geomspace(1, max(2.0, 2 * furthest), RADII)
    data: list[dict[str, Any]] = []
    for one in found:
        shares = within(one.field.energy_HW, radii)
        place = arms.index(one.arm)
        dash = DASHES[list(dict.fromkeys(o.weights for o in found)).index(one.weights) % len(DASHES)]
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [round(float(radius), 2) for radius in radii],
                "y": [round(float(share), 4) for share in shares],
                "name": inert(f"{one.arm}, {one.weights}"),
                "line": {"color": COLOURS[place % len(COLOURS)], "dash": dash, "width": 2},
                "hovertemplate": "%{fullData.name}<br>%{y:.0%} within %{x:.0f} px<extra></extra>",
            }
        )
    layout = {
        "height": 360 + 22 * len(found),
        "hovermode": "closest",
        "xaxis": {"title": {"text": "distance from the centre of the field (px)"}, "type": "log", "dtick": "D2"},
        "yaxis": {"title": {"text": "share of the energy within"}, "tickformat": ".0%", "range": [0, 1.02]},
        "legend": {"orientation": "v", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    }
    caption = "How much of the squared gradient of a central output lies within a distance; one line a network."
    return Figure("field-energy", caption, data, layout, {"xaxis.dtick": 1})


def within(energy_HW: NDArray[np.float64], radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the energy in discs around its centroid."""
    height, width = energy_HW.shape
    total = energy_HW.sum()
    row = (energy_HW.sum(axis=1) * np.arange(height)).sum() / total
    column = (energy_HW.sum(axis=0) * np.arange(width)).sum() / total
    distances = np.hypot(np.arange(height)[:, None] - row, np.arange(width)[None] - column)
    shares: NDArray[np.float64] = np.array([energy_HW[distances <= radius].sum() for radius in radii]) / total
    return shares


def _pictures(found: Sequence[NetworkField]) -> Section:
    rows = []
    for arm in dict.fromkeys(one.arm for one in found):
        of_arm = [one for one in found if one.arm == arm]
        pictures = [
            Picture(
                one.weights,
                field_picture(one.field.amplitude_HW),
                note=f"effective {one.measures.side:.0f} px, half within {one.measures.radii[0.5]:.0f} px",
            )
            for one in of_arm
        ]
        height, width = of_arm[0].field.energy_HW.shape
        rows.append(Row(arm, "", pictures, width, height))
    note = (
        "How strongly each pixel of the image moves the output in the middle: root mean square of the gradient over "
        f"images, colours and classes, in decibels from its peak (lightest) to {FLOOR_DB:.0f} dB (darkest)."
    )
    return Section("pictures", "Pictures", notes=(note,), rows=rows)


def _gridding(found: Sequence[NetworkField]) -> Section:
    rows = [
        [Cell(text, _number(text)) if place > 3 else Cell(text, text) for place, text in enumerate(row)]
        for row in gridding_rows(found)
    ]
    note = (
        "A layer behind dilated convolutions, seen from the features that they start from; the period is one of their "
        "dilations. Uneven is what differs between the places modulo the period: 0 is even, and at most it is the root "
        "of the period squared less 1. What counts is measured against smooth, its value for a field of the same width "
        "without any grid."
    )
    caption = (
        "Coverage: share of the field's box that reaches the output at all. Hole: side of the largest square that does "
        "not. Paths: unevenness of the number of paths, which is that of random weights; measured: of the energy; "
        "smooth: of a Gaussian as wide."
    )
    table = Table([(name, place > 3) for place, name in enumerate(GRIDDING_COLUMNS)], rows, caption)
    return Section("gridding", "Gridding", notes=(note,), table=table)
