"""What is said of checkerboards in words: sentences made from the measurements, captions, definitions."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from segsuite.checkerboard import MEASURES
from segsuite.report.answers import counted, listed
from segsuite.report.checkerboards import Measured, Row
from segsuite.report.sections.base import Material
from segsuite.report.sections.scale import shown

FLIPS, INDEX = "constant_response_flips", "constant_response_index"
MOST_FLIPS = 0.001
"""Share of pixels that flip on a constant scene from which an arm is said to leave a checkerboard there."""
MOST_INDEX = 0.001
MOST_NAMES = 16


def left_on_a_constant(material: Material, found: Measured) -> str:
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
        whom = listed([f"{names[arm]} ({shown(means[arm], percent=True)})" for arm in left], MOST_NAMES)
        parts.append(f"Trained, on a scene without any content, a checkerboard is left by {whom}: {limit}.")
    else:
        parts.append(f"Trained, on a scene without any content, no arm leaves a checkerboard: in none {limit}.")
    if hidden:
        whom = listed([names[arm] for arm in hidden], MOST_NAMES)
        parts.append(f"In the logits, but not in classes, there is one of {whom} (index above {MOST_INDEX:g}).")
    if clean and (left or hidden):
        parts.append(f"In neither: {listed([names[arm] for arm in clean], MOST_NAMES)}.")
    parts.append(f"Means of {counted(counts)} an arm, control subtracted; no test between arms.")
    return " ".join(parts)


def changed_by_training(material: Material, found: Measured) -> str:
    """What training has done to the flips on a constant scene, from initialisation to the scored weights, by the mean
    over seeds; nothing of arms that lack one of the two."""
    groups: dict[tuple[bool, bool], list[str]] = {}
    for arm in found.arms:
        # At the end it is measured at more places: what is said here never contradicts the section above.
        moments = [(one.find("decoder", FLIPS, epoch=0), one.find("decoder", FLIPS)) for one in found.of(arm).values()]
        pairs = [(start.excess, end.excess) for start, end in moments if start is not None and end is not None]
        if pairs:
            start, end = (statistics.mean(values) for values in zip(*pairs, strict=True))
            key = start > MOST_FLIPS, end > MOST_FLIPS
            change = f" ({shown(start, percent=True)} to {shown(end, percent=True)})" if all(key) else ""
            groups.setdefault(key, []).append(material.styles[arm].name + change)
    words = {
        (True, True): "Training leaves a checkerboard on constant scenes where there was one at initialisation",
        (True, False): "Training removes the one of",
        (False, True): "Training makes one where there was none",
        (False, False): "There is none before or after",
    }
    parts = [f"{words[key]}: {listed(groups[key], MOST_NAMES)}." for key in words if key in groups]
    if not parts:
        return ""
    limit = f"A checkerboard: more than {shown(MOST_FLIPS, percent=True)} of pixels flip, in the mean of the seeds."
    return " ".join([*parts, limit])


def left_out_of_older(found: Measured) -> str:
    """Which trials were measured with the controls of an earlier version, and how to measure them again."""
    if not found.older:
        return ""
    whose = "1 trial was" if found.older == 1 else f"{found.older} trials were"
    return (
        f"{whose} measured by an earlier version of the suite, with other controls: harmonics and variances between "
        "phases are left out there. To measure again, delete the run directories and run the experiment."
    )


def definitions(measures: Sequence[str]) -> list[str]:
    """What each measure is, its unit and its source, in a sentence."""
    found = [MEASURES[name] for name in measures]
    return [f"{one.title} ({one.unit}; {one.better}): {one.definition} Source: {one.source}." for one in found]


def dots_caption(rows: Mapping[str, Mapping[int, Any]]) -> str:
    """Kind, n and unit of dots and bars."""
    counts = [len(of_arm) for of_arm in rows.values()]
    text = f"Small: one seed. Large: mean, n = {counted(counts)} an arm."
    if max(counts) >= 3:
        text += " Bar: 95 % t interval over seeds, images taken as fixed"
        text += "; none with fewer than 3 seeds." if min(counts) < 3 else "."
    else:
        text += " No interval: fewer than 3 seeds."
    return text


def _mean_excess(rows: Mapping[int, Row]) -> float:
    return statistics.mean(row.excess for row in rows.values())


def images(found: Measured) -> str:
    counts = sorted({one.final_images for one in found.by_trial.values() if one.final_images})
    if not counts:
        return "the scored split"
    low, high = counts[0], counts[-1]
    return f"{low if low == high else f'{low} to {high}'} image{'s' * (high != 1)} of the scored split"
