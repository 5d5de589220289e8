"""What an experiment compares: axes -> the grid of arms, without the excluded ones, and which arm is the baseline."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsuite import yaml_io
from segsuite.composition import Composed
from segsuite.config import TrialSettings
from segsuite.errors import ConfigError, Problems, unknown_name

MOST_ARMS = 10_000


@dataclass(frozen=True)
class Point:
    """One choice on an axis: what the plan shows, and which settings it changes."""

    label: str
    changes: dict[str, Any]
    where: str


def expand(composed: Composed, experiment: str) -> dict[str, dict[str, Point]]:
    """Arm -> its point on every axis, the first axis outermost, without the excluded ones."""
    where = composed.where(("compare",))
    axes = _axes(composed)
    sizes = [len(options) for options in axes.values()]
    if math.prod(sizes) > MOST_ARMS:
        crossed = f" ({' x '.join(f'{size:,}' for size in sizes)})" if len(sizes) > 1 else ""
        what = f"this compares {math.prod(sizes):,} arms{crossed}, and at most {MOST_ARMS:,} are possible"
        raise ConfigError(what, where, "cross fewer axes or values")
    points = [dict(zip(axes, choice, strict=True)) for choice in itertools.product(*axes.values())]
    arms: dict[str, dict[str, Point]] = {}
    for point in _excluded(composed, points):
        name = ", ".join(choice.label for choice in point.values()) or experiment
        if name in arms:
            advice = "remove a value that appears twice, or name them: {first: {setting: value}, second: ...}"
            raise ConfigError(f"two arms are called '{name}'", where, advice)
        arms[name] = point
    return arms


def _axes(composed: Composed) -> dict[str, list[Point]]:
    compare = composed.values.get("compare") or {}
    if isinstance(compare, list):  # axes that move together, without a name of their own
        compare = {"": compare}
    if not isinstance(compare, dict):
        raise ConfigError(
            "compare must be a mapping of settings to lists of values",
            composed.where(("compare",)),
            "for example `compare: {model.upsampler: [nearest_conv, bilinear_conv]}`",
        )
    problems = Problems()
    axes = {str(axis): problems.attempt([], _axis, composed, str(axis), compare[axis]) for axis in compare}
    problems.raise_all()
    return axes


def _axis(composed: Composed, axis: str, options: Any) -> list[Point]:
    path = ("compare", axis) if axis else ("compare",)
    is_setting = axis.split(".")[0] in (*TrialSettings.model_fields, "")
    if not isinstance(options, list | dict) or len(options) < 2:
        whose = f"the axis '{axis}'" if axis else "compare"
        raise ConfigError(
            f"{whose} needs a list of at least two values",
            composed.where(path),
            "one value compares nothing: set it above",
        )
    if axis and is_setting and isinstance(options, list):
        composed.check_key(axis, composed.where(path))
        values = enumerate(options)
        return [_point(_label(axis, value), {axis: value}, composed.where((*path, at))) for at, value in values]
    points = []
    for at, changes in options.items() if isinstance(options, dict) else enumerate(options):
        where = composed.where((*path, at))
        if not isinstance(changes, dict) or not changes:
            what = "each entry of compare must be a mapping of settings to values"
            raise ConfigError(
                what if is_setting else unknown_name("setting", axis.split(".")[0], list(TrialSettings.model_fields)),
                where,
                "an axis is a setting such as model.upsampler with a list, or a list of {setting: value} that move "
                "together",
            )
        for key in changes:
            composed.check_key(key, composed.where((*path, at, key)))
        label = str(at) if isinstance(options, dict) else ", ".join(_label(key, changes[key]) for key in changes)
        points.append(_point(label, {str(key): value for key, value in changes.items()}, where))
    return points


def _point(label: str, changes: dict[str, Any], where: str) -> Point:
    # An arm is shown in tables and on terminals: a line break or an escape sequence would garble them.
    if not label.isprintable() or not label.strip():
        raise ConfigError(f"the arm name {label[:80]!a} is not one printable line", where, "choose a plain name")
    return Point(label, changes, where)


def _excluded(composed: Composed, points: list[dict[str, Point]]) -> list[dict[str, Point]]:
    rules = composed.values.get("exclude") or []
    example = "for example `exclude: [{model.upsampler: transposed_k2}]`"
    if not isinstance(rules, list) or not all(isinstance(rule, dict) and rule for rule in rules):
        raise ConfigError("exclude must be a list of mappings", composed.where(("exclude",)), example)
    known, having, left = _known(points), _having(points) if rules else {}, (1 << len(points)) - 1
    for index, rule in enumerate(rules):
        where = composed.where(("exclude", index))
        _check_axes(rule, known, where)
        matched = left
        for key, wanted in rule.items():
            values = [wanted, *wanted] if isinstance(wanted, list) else [wanted]
            of_key = 0
            for value in values:
                of_key |= having.get((key, _hashable(value)), 0)
            matched &= of_key
        if not matched:
            raise ConfigError(f"this exclude matches no arm: {rule}", where, "correct or remove it")
        left &= ~matched
    if not left:
        raise ConfigError("exclude leaves no arm", composed.where(("exclude",)), "remove an entry")
    return [point for at, point in enumerate(points) if left >> at & 1]


def _having(points: Sequence[Mapping[str, Point]]) -> dict[tuple[str, Any], int]:
    """Key and value -> the arms that have it, as the bits of a number: thousands of rules look each up once, and
    compare no arm."""
    found: dict[tuple[str, Any], int] = {}
    for at, point in enumerate(points):
        for key, values in _values(point).items():
            for value in values:
                entry = key, _hashable(value)
                found[entry] = found.get(entry, 0) | 1 << at
    return found


def _hashable(value: Any) -> Any:
    """`value` such that two are equal when the values are.

    >>> _hashable({"a": [1, 2]}) == _hashable({"a": [1.0, 2]}), _hashable([1]) == _hashable({1: 1})
    (True, False)
    """
    if isinstance(value, dict):
        return "mapping", frozenset((key, _hashable(one)) for key, one in value.items())
    return ("list", *map(_hashable, value)) if isinstance(value, list) else value


def changes_of(point: Mapping[str, Point]) -> dict[str, Any]:
    """What the arm at `point` sets."""
    return {key: value for choice in point.values() for key, value in choice.changes.items()}


def _known(points: Iterable[Mapping[str, Point]]) -> set[str]:
    """What a rule may name: settings that arms change, and named axes."""
    return {key for point in points for key in (*changes_of(point), *filter(None, point))}


def _check_axes(rule: Mapping[Any, Any], known: set[str], where: str) -> None:
    if not known:
        raise ConfigError("nothing is compared, so no arm can be named", where, "write compare, or remove this")
    for key in rule:
        if key not in known:
            raise ConfigError(unknown_name("axis", str(key), known), where, "name an axis of compare")


def _matches(rule: Mapping[str, Any], point: Mapping[str, Point]) -> bool:
    """Whether the arm has, for each key of `rule`, its value or one of its values."""
    values = _values(point)
    return all(
        any(have in ([wanted, *wanted] if isinstance(wanted, list) else [wanted]) for have in values.get(key, ()))
        for key, wanted in rule.items()
    )


def _values(point: Mapping[str, Point]) -> dict[str, list[Any]]:
    """What an arm has by axis and by setting: its label, and the value that it sets."""
    values: dict[str, list[Any]] = {axis: [choice.label] for axis, choice in point.items()}
    for key, value in changes_of(point).items():
        values.setdefault(key, []).append(value)
    return values


def find_baseline(composed: Composed, arms: Mapping[str, dict[str, Point]]) -> str | None:
    """The one arm that `baseline` matches; None when there is no baseline."""
    wanted = composed.values.get("baseline")
    if wanted is None:
        return None
    where = composed.where(("baseline",))
    if not isinstance(wanted, dict) or not wanted:
        raise ConfigError(
            "baseline must be a mapping", where, "for example `baseline: {model.upsampler: bilinear_conv}`"
        )
    _check_axes(wanted, _known(arms.values()), where)
    found = [arm for arm, point in arms.items() if _matches(wanted, point)]
    if len(found) != 1:
        shown = f"{len(found)} arms: {_some(found)}" if found else "no arm"
        raise ConfigError(
            f"baseline must match one arm, but matches {shown}", where, f"the arms are: {_some(list(arms))}"
        )
    return found[0]


def _some(names: Sequence[str]) -> str:
    return "; ".join(names[:12]) + (f"; ... ({len(names)} in all)" if len(names) > 12 else "")


def _label(key: str, value: Any) -> str:
    words = str(key).split(".")
    short = words[-2] if words[-1] == "name" and len(words) > 1 else words[-1]
    if isinstance(value, dict):
        rest = ", ".join(f"{name}={_plain(item)}" for name, item in value.items() if name != "name")
        return f"{short}={value.get('name', '')}" + (f"({rest})" if rest else "")
    return f"{short}={_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(item)}" for key, item in value.items()) + "}"
    return yaml_io.to_text(value).split("\n")[0] if isinstance(value, bool | float) or value is None else str(value)
