"""An experiment: one YAML -> composed settings -> axes -> arms -> trials with stable ids and order. Imports no
torch."""

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsuite import yaml_io
from segsuite.composition import EXPERIMENT_KEYS, Composed, compose
from segsuite.config import TrialSettings, trial_id, validate
from segsuite.errors import ConfigError, unknown_name
from segsuite.io.names import check_slug


@dataclass(frozen=True)
class Trial:
    """One arm x one seed, fully resolved."""

    id: str
    experiment: str
    arm: str
    seed: int
    differences: dict[str, Any]
    settings: TrialSettings
    folder: Path
    is_baseline: bool = False


@dataclass(frozen=True)
class Experiment:
    """A question, its arms and its trials, in the order of the YAML: arm by arm within each seed."""

    name: str
    question: str
    path: Path
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    baseline: str | None
    trials: tuple[Trial, ...]
    folder: Path
    composed: Composed


@dataclass(frozen=True)
class _Point:
    """One choice on an axis: what the plan shows, and which settings it changes."""

    label: str
    changes: dict[str, Any]


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Reads an experiment and resolves every trial. `overrides` are `key=value` texts that win over the file.

    Raises ConfigError, with file:line, for a misspelt key, an unknown value, or an axis that changes nothing.
    """
    composed = compose(path, overrides)
    values = composed.values
    allowed = (*EXPERIMENT_KEYS, *TrialSettings.model_fields)
    for key in values:
        if key not in allowed or key == "seed":
            hint = "write `seeds: [0, 1, 2]`" if key == "seed" else "remove it or correct it"
            raise ConfigError(unknown_name("key", str(key), allowed), composed.where((key,)), hint)
    name = check_slug(str(values.get("name") or path.stem.replace("_", "-")), "the experiment's name")
    seeds = _seeds(composed)
    base = {key: value for key, value in values.items() if key in TrialSettings.model_fields}
    folder = Path(_text(composed, "runs_root", "runs")) / name
    axes = list(_axes(composed, base))
    points = _excluded(
        composed,
        [
            dict(zip([axis for axis, _ in axes], choice, strict=True))
            for choice in itertools.product(*(options for _, options in axes))
        ],
    )
    arms: dict[str, dict[str, _Point]] = {_arm_name(point, name): point for point in points}
    baseline = _baseline(composed, arms)
    trials, seen = [], dict[str, str]()
    for seed, (arm, point) in itertools.product(seeds, arms.items()):
        settings = _settled(base, point, seed, composed)
        identifier = trial_id(settings)
        if identifier in seen:
            raise ConfigError(
                f"the arms '{seen[identifier]}' and '{arm}' are the same trial: this axis changes nothing",
                composed.where(("compare",)),
                "remove one of the two values, or compare a setting that matters",
            )
        seen[identifier] = arm
        differences = {key: value for choice in point.values() for key, value in choice.changes.items()}
        trials.append(Trial(identifier, name, arm, seed, differences, settings, folder / identifier, arm == baseline))
    question = _text(composed, "question", "")
    return Experiment(name, question, path, seeds, tuple(arms), baseline, tuple(trials), folder, composed)


def _settled(base: dict[str, Any], point: dict[str, _Point], seed: int, composed: Composed) -> TrialSettings:
    values = copy.deepcopy(base)
    origin: dict[tuple[str | int, ...], str] = {}
    for axis, choice in point.items():
        for key, value in choice.changes.items():
            place = (
                composed.where(("compare", axis))
                if ("compare", axis) in composed.origins
                else composed.where(("compare",))
            )
            composed.assign(values, key, value, place)
            origin[tuple(key.split("."))] = place
    values["seed"] = seed

    def where(path: tuple[str | int, ...]) -> str:
        for length in range(len(path), 0, -1):
            if path[:length] in origin:
                return origin[path[:length]]
        return composed.where(path)

    return validate(values, where)


def _axes(composed: Composed, base: Mapping[str, Any]) -> Iterator[tuple[str, list[_Point]]]:
    compare = composed.values.get("compare") or {}
    if isinstance(compare, list):  # axes that move together, without a name of their own
        compare = {"": compare}
    if not isinstance(compare, dict):
        raise ConfigError("compare must be a mapping of settings to lists of values", composed.where(("compare",)))
    for axis, options in compare.items():
        where = composed.where(("compare", axis))
        together = isinstance(options, dict) or (
            isinstance(options, list) and axis.split(".")[0] not in TrialSettings.model_fields
        )
        if not isinstance(options, list | dict) or len(options) < 2:
            raise ConfigError(
                f"the axis '{axis}' needs a list of at least two values",
                where,
                "one value compares nothing: set it above",
            )
        if not together:
            composed.check_key(axis, where)
            yield axis, [_Point(_label(axis, value), {axis: value}) for value in options]
            continue
        named = options.items() if isinstance(options, dict) else [(None, option) for option in options]
        points = []
        for label, changes in named:
            if not isinstance(changes, dict) or not changes:
                raise ConfigError(
                    unknown_name("setting", axis, list(TrialSettings.model_fields))
                    if axis
                    else "each entry must be a mapping",
                    where,
                    "an axis is a setting with a list of values, or a list of {setting: value} that move together",
                )
            for key in changes:
                composed.check_key(key, where)
            points.append(
                _Point(label or ", ".join(_label(key, value) for key, value in changes.items()), dict(changes))
            )
        yield axis, points


def _excluded(composed: Composed, points: list[dict[str, _Point]]) -> list[dict[str, _Point]]:
    rules = composed.values.get("exclude") or []
    if not isinstance(rules, list) or not all(isinstance(rule, dict) and rule for rule in rules):
        raise ConfigError(
            "exclude must be a list of mappings such as {model.upsampler: transposed_k2}", composed.where(("exclude",))
        )
    for index, rule in enumerate(rules):
        kept = [point for point in points if not _matches(rule, point)]
        if len(kept) == len(points):
            raise ConfigError(
                f"this exclude matches no arm: {rule}", composed.where(("exclude", index)), "correct or remove it"
            )
        points = kept
    if not points:
        raise ConfigError("exclude leaves no arm", composed.where(("exclude",)))
    return points


def _matches(rule: Mapping[str, Any], point: Mapping[str, _Point]) -> bool:
    changes = {key: value for choice in point.values() for key, value in choice.changes.items()}
    labels = {axis: choice.label for axis, choice in point.items()}
    return all(
        any(
            changes.get(key) == option or labels.get(key) == option
            for option in (wanted if isinstance(wanted, list) else [wanted])
        )
        for key, wanted in rule.items()
    )


def _baseline(composed: Composed, arms: Mapping[str, dict[str, _Point]]) -> str | None:
    wanted = composed.values.get("baseline")
    if wanted is None:
        return None
    where = composed.where(("baseline",))
    if not isinstance(wanted, dict) or not wanted:
        raise ConfigError("baseline must be a mapping such as {model.upsampler: bilinear_conv}", where)
    found = [arm for arm, point in arms.items() if _matches(wanted, point)]
    if len(found) != 1:
        shown = "no arm" if not found else f"{len(found)} arms: {'; '.join(found)}"
        raise ConfigError(
            f"baseline must match one arm, but matches {shown}", where, f"the arms are: {'; '.join(arms)}"
        )
    return found[0]


def _seeds(composed: Composed) -> tuple[int, ...]:
    seeds = composed.values.get("seeds", [0])
    where = composed.where(("seeds",))
    if (
        not isinstance(seeds, list)
        or not seeds
        or not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds)
    ):
        raise ConfigError(f"seeds must be a list of whole numbers such as [0, 1, 2], not {seeds!r}", where)
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"a seed stands twice in {seeds}", where, "the same seed gives the same result: remove one")
    return tuple(seeds)


def _text(composed: Composed, key: str, default: str) -> str:
    value = composed.values.get(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"{key} must be a text, not {value!r}", composed.where((key,)))
    return value


def _label(key: str, value: Any) -> str:
    words = key.split(".")
    short = words[-2] if words[-1] == "name" and len(words) > 1 else words[-1]
    if isinstance(value, dict):
        rest = ", ".join(f"{name}={_plain(item)}" for name, item in value.items() if name != "name")
        return f"{short}={value.get('name', '')}" + (f"({rest})" if rest else "")
    return f"{short}={_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return yaml_io.to_text(value).split("\n")[0] if isinstance(value, bool | float) or value is None else str(value)


def _arm_name(point: Mapping[str, _Point], experiment: str) -> str:
    return ", ".join(choice.label for choice in point.values()) or experiment
