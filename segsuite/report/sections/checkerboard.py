"""What the upsamplers leave behind, in figures: on a scene that is constant in space, and in predictions."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from segsuite.checkerboard import MEASURES
from segsuite.report.answers import listed
from segsuite.report.checkerboards import Measured, Row, measured
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.sections.boundary import boundary_scores
from segsuite.report.sections.checkerboard_pictures import response_figure
from segsuite.report.sections.dot_panels import Panel, dot_panels
from segsuite.report.sections.scale import shown

FLIPS, INDEX = "constant_response_flips", "constant_response_index"
MOST_FLIPS = 0.001
"""Share of pixels that flip on a constant scene from which an arm is said to leave a checkerboard there."""
MOST_INDEX = 0.001
INDEX_FLOOR = 1e-6
"""Below it lies rounding: fp32 gives constants back to about 1e-7 of their size, and the index is a square."""
SHARE_FLOOR = 1e-6
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
    figures = [Figure("constant-response", _caption(found, flips or index), data, layout, narrow)]
    pictures = response_figure(material, found.arms)
    if pictures is not None:
        figures.append(pictures)
    notes = [sentence(material, found)]
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
        _prediction_panel(found, "isolated_pixels", None, "isolated pixels", percent=True, floor=SHARE_FLOOR),
        _prediction_panel(found, "blockiness", stride, f"blockiness of borders<br>at stride {stride}"),
        _prediction_panel(found, "boundary_length_ratio", None, "length of borders,<br>prediction over label"),
        _prediction_panel(found, "shift_flips", None, "flips under a shift<br>of one pixel", percent=True),
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
        "A checkerboard in the logits matters where it changes a class. Less is better in the first, second and fourth "
        "panel; nearer to 1 in the third; more in the last."
        if borders is not None
        else "A checkerboard in the logits matters where it changes a class. Less is better; of lengths, nearer to 1."
    )
    rows = next(rows for measure in measures if (rows := found.rows("prediction", measure)))
    return Section(
        "checkerboard-predictions",
        "What predictions show of it",
        notes=(note,),
        figures=[Figure("checkerboard-predictions", _predictions_caption(found, rows), data, layout, narrow)],
        details=definitions(measures),
        summary="How it is measured",
    )


def sentence(material: Material, found: Measured) -> str:
    """Which arms leave a checkerboard on a constant scene and which do not, by the mean over their seeds; nothing of
    arms that were not measured."""
    flips, index = found.rows("decoder", FLIPS), found.rows("decoder", INDEX)
    if not flips:
        return ""
    means = {arm: _mean_excess(rows) for arm, rows in flips.items()}
    names = {arm: material.styles[arm].name for arm in means}
    left = sorted((arm for arm in means if means[arm] > MOST_FLIPS), key=lambda arm: -means[arm])
    others = [arm for arm in means if arm not in left]
    hidden = [arm for arm in others if arm in index and _mean_excess(index[arm]) > MOST_INDEX]
    clean = [arm for arm in others if arm in index and arm not in hidden]
    counts = [len(rows) for rows in flips.values()]
    limit = f"more than {shown(MOST_FLIPS, percent=True)} of the pixels take another class than most of their cell"
    parts = []
    if left:
        whom = listed([f"{names[arm]} ({shown(means[arm], percent=True)})" for arm in left], most=16)
        parts.append(f"Trained, on a scene without any content, a checkerboard is left by {whom}: {limit}.")
    else:
        parts.append(f"Trained, on a scene without any content, no arm leaves a checkerboard: in none {limit}.")
    if hidden:
        whom = listed([names[arm] for arm in hidden], most=16)
        parts.append(f"In the logits, but not in classes, there is one of {whom} (index above {MOST_INDEX:g}).")
    if clean and (left or hidden):
        parts.append(f"In neither: {listed([names[arm] for arm in clean], most=16)}.")
    parts.append(f"Means of {_seeds(counts)} an arm, control subtracted; no test between arms.")
    return " ".join(parts)


def definitions(measures: Sequence[str]) -> list[str]:
    """What each measure is, its unit and its source, in a sentence."""
    found = [MEASURES[name] for name in measures]
    return [f"{one.title} ({one.unit}; {one.better}): {one.definition} Source: {one.source}." for one in found]


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


def dots_caption(rows: Mapping[str, Mapping[int, Any]]) -> str:
    """Kind, n and unit of dots and bars."""
    counts = [len(of_arm) for of_arm in rows.values()]
    text = f"Small: one seed. Large: mean, n = {_seeds(counts)} an arm."
    if max(counts) >= 3:
        text += " Bar: 95 % t interval over seeds, images taken as fixed"
        text += "; none with fewer than 3 seeds." if min(counts) < 3 else "."
    else:
        text += " No interval: fewer than 3 seeds."
    return text


def _seeds(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low} seed{'s' * (low != 1)}" if low == high else f"{low} to {high} seeds"


def _mean_excess(rows: Mapping[int, Row]) -> float:
    return statistics.mean(row.excess for row in rows.values())


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
            width = "2 pixels wide" if name == "boundary_iou_2px" else "2 % of the diagonal wide"
            return Panel(f"boundary IoU,<br>{width}", {arm: found for arm, found in values.items() if found})
    return None


def _caption(found: Measured, rows: Mapping[str, Mapping[int, Row]]) -> str:
    text = (
        "The decoder gets features that are the same in all places, taken from single places of "
        f"{_images(found)}: what differs between the pixels of a cell was made by upsampling. {dots_caption(rows)}"
    )
    if any(found.rows("decoder", measure, epoch=0) for measure in (FLIPS, INDEX)):
        text += " Hollow: at initialisation, mean of the seeds, on fewer images and places."
    text += " Grey bar: the control, what the border of the image does, where it does anything."
    return f"{text} Logarithmic where values span decades, with zero at the left end."


def _predictions_caption(found: Measured, rows: Mapping[str, Mapping[int, Row]]) -> str:
    return (
        f"On {_images(found)}; boundary IoU on the whole split. {dots_caption(rows)} Grey bars: the control, which is "
        "the value of the label, and of shifts the flips under a shift of the largest stride. Dotted: the length of "
        "the label's borders."
    )


def _images(found: Measured) -> str:
    counts = sorted({one.final_images for one in found.by_trial.values() if one.final_images})
    if not counts:
        return "the scored split"
    low, high = counts[0], counts[-1]
    return f"{low if low == high else f'{low} to {high}'} image{'s' * (high != 1)} of the scored split"
