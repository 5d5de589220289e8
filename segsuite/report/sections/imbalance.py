"""What frequent classes hide: scores that they dominate beside those of frequent and of rare classes (`groups`)."""

import statistics
from collections.abc import Sequence

from segsuite.io.numbers import percent
from segsuite.metrics.groups import FREQUENCY_GROUPS, SIZE_EDGES, SIZE_GROUPS, TAIL_OF_EQUAL_SHARE
from segsuite.report.answers import listed
from segsuite.report.gather import TrialRecord, number
from segsuite.report.sections.base import Material, Section
from segsuite.report.sections.score_profile import Score, profile

BLIND = 0.01
"""A class of lower recall is one that the arm does not find."""


def build(material: Material) -> Section | None:
    """None unless a result holds `groups`."""
    grouped = [trial for trial in material.gathered.finished if isinstance(trial.within("groups", "frequency"), dict)]
    if not grouped:
        return None
    overall: dict[str, Score] = {
        "pixel<br>accuracy": lambda trial: trial.score("pixel_accuracy"),
        "micro<br>IoU": _micro_iou,
        "mIoU": lambda trial: trial.score("miou"),
    }
    by_group = {f"{name}<br>mIoU": _within("frequency", name, "miou") for name in FREQUENCY_GROUPS}
    by_size = {name: _within("object_size", name, "mean_recall") for name in SIZE_GROUPS}
    frequency = (
        "Left: scores of all classes, from one that frequent classes dominate to the one in which all weigh the same. "
        "Right: mIoU of the classes with at least an equal share of the training pixels (head), of those with less "
        f"than {100 * TAIL_OF_EQUAL_SHARE:.0f} % of an equal share (tail), and of those between (body)."
    )
    small, large = (round(edge**0.5) for edge in SIZE_EDGES)
    size = (
        f"Share of the pixels that is found, by the size of the object they are in: below {small} x {small} pixels, "
        f"below {large} x {large}, and above; mean over classes. An object is a connected region of one class."
    )
    figures = [
        profile(material, "rare-classes", (overall, by_group), "score, 0 to 1", frequency, 380),
        profile(material, "object-size", (by_size,), "recall", size, 270),
    ]
    return Section(
        "imbalance",
        "Rare classes",
        figures=[figure for figure in figures if figure is not None],
        details=_members(grouped),
        summary="Which classes are in which group",
        warnings=_warnings(material),
    )


def unseen(material: Material, arm: str) -> list[str]:
    """The classes of the labels of which the arm finds less than 1 %, mean of its seeds; the rarest last."""
    found = []
    for name in material.gathered.classes:
        recalls = [trial.class_score("recall", name) for trial in material.gathered.done(arm)]
        known = [recall for recall in recalls if recall is not None]
        if known and statistics.mean(known) < BLIND:
            found.append(name)
    return found


def _warnings(material: Material) -> list[str]:
    """A sentence for each set of classes that some arms do not find, beside the scores that do not show it."""
    blind: dict[tuple[str, ...], list[str]] = {}
    for arm in material.gathered.shown:
        if names := unseen(material, arm):
            blind.setdefault(tuple(names), []).append(arm)
    return [sentence for names, arms in blind.items() if (sentence := _warning(material, names, arms))]


def _warning(material: Material, names: Sequence[str], arms: Sequence[str]) -> str:
    done = [trial for arm in arms for trial in material.gathered.done(arm)]
    values = {
        what: [value for trial in done if (value := score(trial)) is not None]
        for what, score in (
            ("pixel accuracy", lambda trial: trial.score("pixel_accuracy")),
            ("micro IoU", _micro_iou),
            ("mIoU", lambda trial: trial.score("miou")),
        )
    }
    if not all(values.values()):
        return ""
    shown = {what: _range(found, is_mean=len(arms) == 1) for what, found in values.items()}
    who = listed([material.styles[arm].name for arm in arms], most=12)
    verb, whose = ("does", "Its") if len(arms) == 1 else ("do", "Their")
    return (
        f"{who} {verb} not find {listed(names, most=12)} (recall below {100 * BLIND:g} %). {whose} pixel accuracy of "
        f"{shown['pixel accuracy']} and micro IoU of {shown['micro IoU']} hide that; {whose.lower()} mIoU is "
        f"{shown['mIoU']}."
    )


def _range(values: Sequence[float], is_mean: bool) -> str:
    """The mean of one arm's seeds, or lowest to highest of several arms'."""
    low, high = (f"{value:.3f}" for value in (min(values), max(values)))
    return f"{statistics.mean(values):.3f}" if is_mean else low if low == high else f"{low} to {high}"


def _members(grouped: Sequence[TrialRecord]) -> list[str]:
    """The classes of each group, of the first trial."""

    def classes(trial: TrialRecord, group: str) -> tuple[str, ...]:
        members = trial.within("groups", "frequency", group, "classes")
        return tuple(map(str, members)) if isinstance(members, list) else ()

    def told(name: str) -> str:
        share = number(grouped[0].within("groups", "training_share", name))
        return name if share is None else f"{name} ({percent(share)})"

    lines = [
        f"{group.capitalize()}: {', '.join(map(told, classes(grouped[0], group))) or 'none'}"
        for group in FREQUENCY_GROUPS
    ]
    if len({tuple(classes(trial, group) for group in FREQUENCY_GROUPS) for trial in grouped}) > 1:
        lines.append("Arms were trained on other data and have other groups; these are those of the first.")
    return [*lines, "Percentages: share of the labelled training pixels."]


def _micro_iou(trial: TrialRecord) -> float | None:
    """IoU of all classes' pixels together: each wrong pixel is a false positive of one and a false negative of
    another."""
    accuracy = trial.score("pixel_accuracy")
    return None if accuracy is None else accuracy / (2 - accuracy)


def _within(part: str, group: str, name: str) -> Score:
    return lambda trial: number(trial.within("groups", part, group, name))
