"""What the upsamplers leave behind, in figures: on a scene that is constant in space, and in predictions."""

import statistics
from collections.abc import Mapping, Sequence

from segsuite.checkerboard import MEASURES
from segsuite.report.checkerboards import Measured, Row, measured
from segsuite.report.sections.base import PAGE_WIDTH, Figure, Material, Section
from segsuite.report.sections.boundary import boundary_scores
from segsuite.report.sections.checkerboard_pictures import response_figure
from segsuite.report.sections.checkerboard_words import (
    FLIPS,
    INDEX,
    definitions,
    dots_caption,
    images,
    left_on_a_constant,
    left_out_of_older,
)
from segsuite.report.sections.dot_panels import dot_panels
from segsuite.report.sections.dot_traces import Panel

INDEX_FLOOR = 1e-6
"""Below it lies rounding: fp32 gives constants back to about 1e-7 of their size, and the index is a square."""
SHARE_FLOOR = 1e-6
LOGARITHMIC = "Logarithmic where values span decades: zero, and a bar that reaches it, is at the left end."
BORDERS = ("boundary_iou_2px", "boundary_iou")


def build(material: Material) -> Section | None:
    """Flips and pattern on constant scenes, by arm; None unless a finished trial measured them."""
    found = measured(material.gathered)
    flips, index = (found.rows("decoder", measure) for measure in (FLIPS, INDEX))
    if not flips and not index:
        return None
    arms = [arm for arm in found.arms if arm in flips or arm in index]
    panels = [
        _panel(found, FLIPS, flips, "pixels whose class flips<br>on a constant scene", SHARE_FLOOR, percent=True),
        _panel(found, INDEX, index, "pattern in the logits:<br>share of their variance", INDEX_FLOOR),
    ]
    panels = [panel for panel in panels if panel.values]
    data, layout, narrow = dot_panels(material, arms, panels)
    figures = [
        Figure("constant-response", _caption(found, flips or index), data, layout, narrow, paper_width=PAGE_WIDTH)
    ]
    pictures = response_figure(material, found.arms)
    if pictures is not None:
        figures.append(pictures)
    notes = [left_on_a_constant(material, found), left_out_of_older(found)]
    details = definitions((FLIPS, INDEX))
    return Section(
        "constants",
        "Does a constant stay constant?",
        notes=[note for note in notes if note],
        figures=figures,
        details=details,
        summary="How it is measured",
    )


def predictions(material: Material) -> Section | None:
    """What hard predictions show of a pattern, by arm; None unless a finished trial measured it."""
    found = measured(material.gathered)
    stride = found.stride("prediction", "blockiness")
    panels = [
        _prediction_panel(found, "isolated_pixels", None, "isolated<br>pixels", percent=True, floor=SHARE_FLOOR),
        _prediction_panel(found, "blockiness", stride, f"blockiness<br>of borders,<br>stride {stride}"),
        _prediction_panel(found, "boundary_length_ratio", None, "length of<br>borders by<br>the label's"),
        _prediction_panel(found, "shift_flips", None, "flips under<br>a shift of<br>one pixel", percent=True),
    ]
    panels = [panel for panel in panels if panel.values]
    if not panels:
        return None
    borders = _borders(material, found.arms)
    if borders is not None:
        panels.append(borders)
    arms = [arm for arm in found.arms if any(arm in panel.values for panel in panels)]
    data, layout, narrow = dot_panels(material, arms, panels)
    measures = ("isolated_pixels", "blockiness", "boundary_length_ratio", "shift_flips")
    note = (
        "A checkerboard in the logits matters where it changes a class. Less is better of isolated pixels, blockiness "
        "and flips; of lengths, nearer to 1; of boundary IoU, more."
    )
    rows = next(rows for measure in measures if (rows := found.rows("prediction", measure)))
    return Section(
        "checkerboard-predictions",
        "What predictions show of it",
        notes=(note,),
        figures=[
            Figure(
                "checkerboard-predictions",
                _predictions_caption(found, rows),
                data,
                layout,
                narrow,
                paper_width=PAGE_WIDTH,
            )
        ],
        details=definitions(measures),
        summary="How it is measured",
    )


def values_of(rows: Mapping[str, Mapping[int, Row]]) -> dict[str, dict[int, float]]:
    """arm -> seed -> value."""
    return {arm: {seed: row.value for seed, row in of_arm.items()} for arm, of_arm in rows.items()}


def means_of(rows: Mapping[str, Mapping[int, Row]]) -> dict[str, float]:
    """arm -> mean value of its seeds."""
    return {arm: statistics.mean(of_arm.values()) for arm, of_arm in values_of(rows).items()}


def controls_of(rows: Mapping[str, Mapping[int, Row]]) -> dict[str, float]:
    """arm -> mean control of its seeds, where there is one."""
    found = {arm: [row.control for row in of_arm.values() if row.control is not None] for arm, of_arm in rows.items()}
    return {arm: statistics.mean(controls) for arm, controls in found.items() if controls}


def _panel(
    found: Measured,
    measure: str,
    rows: Mapping[str, Mapping[int, Row]],
    title: str,
    floor: float,
    percent: bool = False,
) -> Panel:
    start = means_of(found.rows("decoder", measure, epoch=0))
    values, controls = values_of(rows), controls_of(rows)
    # The control is what the border does; it is drawn only where there is anything to compare with.
    return Panel(
        title,
        values,
        {arm: value for arm, value in start.items() if arm in values},
        {arm: value for arm, value in controls.items() if value > floor},
        percent=percent,
        floor=floor,
    )


def _prediction_panel(
    found: Measured, measure: str, stride: int | None, title: str, percent: bool = False, floor: float | None = None
) -> Panel:
    rows = found.rows("prediction", measure, stride)
    ratio = measure == "boundary_length_ratio"
    return Panel(
        title,
        values_of(rows),
        control={} if ratio else controls_of(rows),
        percent=percent,
        floor=floor,
        reference=MEASURES[measure].null if ratio else None,
    )


def _borders(material: Material, arms: Sequence[str]) -> Panel | None:
    """The narrowest boundary IoU that the results hold."""
    for name in BORDERS:
        values = {
            arm: {
                trial.seed: scores[name]
                for trial in material.gathered.done(arm)
                if name in (scores := boundary_scores(trial))
            }
            for arm in arms
        }
        if any(values.values()):
            width = "2 pixels" if name == "boundary_iou_2px" else "2 %"
            return Panel(f"boundary<br>IoU,<br>{width}", {arm: found for arm, found in values.items() if found})
    return None


def _caption(found: Measured, rows: Mapping[str, Mapping[int, Row]]) -> str:
    text = (
        "The decoder gets features that are the same in all places, taken from single places of "
        f"{images(found)}: what differs between the pixels of a cell was made by upsampling. {dots_caption(rows)}"
    )
    if any(found.rows("decoder", measure, epoch=0) for measure in (FLIPS, INDEX)):
        text += " Hollow: at initialisation, mean of the seeds, on fewer images and places."
    text += " Grey bar: the control, what the border of the image does, where it does anything."
    return f"{text} {LOGARITHMIC}"


def _predictions_caption(found: Measured, rows: Mapping[str, Mapping[int, Row]]) -> str:
    return (
        f"On {images(found)}; boundary IoU on the whole split. {dots_caption(rows)} Grey bars: the control, which is "
        "the value of the label, and of shifts the flips under a shift of the largest stride. Dotted: the length of "
        f"the label's borders. {LOGARITHMIC}"
    )
