"""What frequent classes hide: scores that they dominate beside those of frequent and of rare classes (`groups`)."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segsuite.metrics.groups import FREQUENCY_GROUPS, SIZE_EDGES, SIZE_GROUPS, TAIL_OF_EQUAL_SHARE
from segsuite.report.answers import listed
from segsuite.report.gather import TrialRecord, number
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.style import ArmStyle

BLIND = 0.01
"""A class of lower recall is one that the arm does not find."""
SPREAD = 0.3
"""Width over which arms lie side by side within a score; 1 is the distance to the next score."""
Score = Callable[[TrialRecord], float | None]


def build(material: Material) -> Section | None:
    """None unless a result holds `groups`."""
    grouped = [trial for trial in material.gathered.finished if isinstance(trial.within("groups", "frequency"), dict)]
    if not grouped:
        return None
    overall = {
        "pixel<br>accuracy": _scalar("pixel_accuracy"),
        "freq.-wtd.<br>IoU": _scalar("frequency_weighted_iou"),
        "mIoU": _scalar("miou"),
    }
    by_group = {f"{name}<br>mIoU": _within("frequency", name, "miou") for name in FREQUENCY_GROUPS}
    by_size = {name: _within("object_size", name, "mean_recall") for name in SIZE_GROUPS}
    seeds = [len(material.gathered.done(arm)) for arm in material.gathered.shown]
    n = f"{min(seeds)}" if min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}"
    told = f"Small: one seed. Line: mean of n = {n} seeds; no interval."
    frequency = (
        "Left: scores of all classes, from those that frequent ones dominate to the one in which all weigh the same. "
        "Right: mIoU of the classes with at least an equal share of the training pixels (head), of those with less "
        f"than {100 * TAIL_OF_EQUAL_SHARE:.0f} % of an equal share (tail), and of those between (body). {told}"
    )
    small, large = (round(edge**0.5) for edge in SIZE_EDGES)
    size = (
        f"Share of the pixels that is found, by the size of the object they are in: below {small} x {small} pixels, "
        f"below {large} x {large}, and above; mean over classes. An object is a connected region of one class. {told}"
    )
    figures = [
        _profile(material, "rare-classes", (overall, by_group), "score, 0 to 1", frequency, 380),
        _profile(material, "object-size", (by_size,), "recall", size, 270),
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
    """A sentence for each arm that does not find some class, beside the scores that do not show it."""
    sentences = []
    for arm in material.gathered.shown:
        names = unseen(material, arm)
        means = {
            score: statistics.mean(values.values())
            for score in ("pixel_accuracy", "miou")
            if (values := material.gathered.scores(arm, score))
        }
        if not names or len(means) < 2:
            continue
        accuracy = means["pixel_accuracy"]
        # Over all pixels, every wrong one is a false positive of one class and a false negative of another.
        micro = accuracy / (2 - accuracy)
        sentences.append(
            f"{material.styles[arm].name} does not find {listed(names, most=12)} (recall below {100 * BLIND:g} %). Its "
            f"pixel accuracy of {accuracy:.3f} and micro IoU of {micro:.3f} hide that; its mIoU is {means['miou']:.3f}."
        )
    return sentences


def _members(grouped: Sequence[TrialRecord]) -> list[str]:
    """The classes of each group, of the first trial."""

    def classes(trial: TrialRecord, group: str) -> tuple[str, ...]:
        members = trial.within("groups", "frequency", group, "classes")
        return tuple(map(str, members)) if isinstance(members, list) else ()

    def told(name: str) -> str:
        share = number(grouped[0].within("groups", "training_share", name))
        return name if share is None else f"{name} ({100 * share:.2g} %)"

    lines = [
        f"{group.capitalize()}: {', '.join(map(told, classes(grouped[0], group))) or 'none'}"
        for group in FREQUENCY_GROUPS
    ]
    if len({tuple(classes(trial, group) for group in FREQUENCY_GROUPS) for trial in grouped}) > 1:
        lines.append("Arms were trained on other data and have other groups; these are those of the first.")
    return [*lines, "Percentages: share of the labelled training pixels."]


def _scalar(name: str) -> Score:
    return lambda trial: trial.score(name)


def _within(part: str, group: str, name: str) -> Score:
    return lambda trial: number(trial.within("groups", part, group, name))


def _profile(
    material: Material, name: str, blocks: Sequence[Mapping[str, Score]], title: str, caption: str, height: int
) -> Figure | None:
    """A line an arm from score to score of each block, with every seed as a dot; what no trial has is left out."""
    arms = list(material.gathered.shown)
    found: list[tuple[str, dict[str, list[float]]]] = []
    ends: list[int] = []
    for block in blocks:
        for label, score in block.items():
            of_arms = {
                arm: [value for trial in material.gathered.done(arm) if (value := score(trial)) is not None]
                for arm in arms
            }
            if any(of_arms.values()):
                found.append((label, of_arms))
        ends.append(len(found))
    if not found:
        return None
    labels = [label for label, _ in found]
    data: list[dict[str, Any]] = []
    for place, arm in enumerate(arms):
        # Side by side within a score, so that arms do not cover each other.
        shift = SPREAD * (place / (len(arms) - 1) - 0.5) if len(arms) > 1 else 0.0
        points = [(round(column + shift, 3), of_arms[arm]) for column, (_, of_arms) in enumerate(found)]
        data += _of_arm(material.styles[arm], points, labels, ends)
    layout, narrow = _layouts(labels, title, len(arms), height)
    layout["shapes"] = [_divider(end - 0.5) for end in ends if 0 < end < len(labels)]
    return Figure(name, caption, data, layout, narrow)


def _of_arm(
    style: ArmStyle, points: Sequence[tuple[float, Sequence[float]]], labels: Sequence[str], ends: Sequence[int]
) -> list[dict[str, Any]]:
    """The line of an arm, interrupted after each block, and its seeds."""
    line: list[tuple[float | None, float | None, str]] = []
    for column, (at, values) in enumerate(points):
        mean = round(statistics.mean(values), 4) if values else None
        line.append((at, mean, labels[column].replace("<br>", " ")))
        if column + 1 in ends:
            line.append((None, None, ""))
    seeds = [(at, round(value, 4)) for at, values in points for value in values]
    common = {"type": "scatter", "name": style.label, "legendgroup": style.label}
    return [
        common
        | {
            "mode": "lines+markers",
            "x": [at for at, _, _ in line],
            "y": [mean for _, mean, _ in line],
            "text": [label for _, _, label in line],
            "line": {"color": style.colour, "width": 1.6, "dash": style.dash},
            "marker": {"color": style.colour, "symbol": style.symbol, "size": 9},
            "hovertemplate": "%{fullData.name}<br>%{text}: %{y:.3f}, mean of seeds<extra></extra>",
        },
        common
        | {
            "mode": "markers",
            "x": [at for at, _ in seeds],
            "y": [value for _, value in seeds],
            "showlegend": False,
            "marker": {"color": style.colour, "size": 5, "opacity": 0.55},
            "hovertemplate": "%{fullData.name}<br>one seed: %{y:.3f}<extra></extra>",
        },
    ]


def _divider(at: float) -> dict[str, Any]:
    line = {"color": "#8A8F98", "width": 1, "dash": "dot"}
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line, "layer": "below"}


def _layouts(labels: Sequence[str], title: str, arms: int, height: int) -> tuple[dict[str, Any], dict[str, Any]]:
    layout: dict[str, Any] = {
        "height": height + 24 * -(-arms // 3),
        "hovermode": "closest",
        "xaxis": {
            "tickvals": list(range(len(labels))),
            "ticktext": list(labels),
            "range": [-0.5, len(labels) - 0.5],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        "yaxis": {"title": {"text": title}, "range": [-0.02, 1.02], "zeroline": False},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    }
    narrow = {
        "height": height - 30 + 24 * arms,
        "xaxis.tickfont": {"size": 10},
        "xaxis.tickangle": 0,
        "legend": {"orientation": "h", "y": -0.18, "yanchor": "top", "x": 0},
    }
    return layout, narrow
