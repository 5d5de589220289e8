"""From what pydantic finds wrong with settings to errors with the setting, its value and its place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from segsuite.config.base import models_in
from segsuite.config.sentences import expectation, must_be, sentence, shown, written
from segsuite.errors import ConfigError, plural, unknown_name
from segsuite.models import MODELS

KeyPath = tuple[str | int, ...]
ADVICE = "`segsuite schema` prints every key with its meaning and range"


@dataclass(frozen=True)
class _Found:
    """One error of pydantic: `path` leads to the `value` it is about, `missing` is what that lacks."""

    kind: str
    context: dict[str, Any]
    location: KeyPath
    path: KeyPath
    value: Any
    missing: str
    message: str

    @property
    def name(self) -> str:
        """The setting as one writes it."""
        return ".".join(map(str, self.path))


def problems_of(
    error: ValidationError,
    values: dict[str, Any],
    where: Callable[[KeyPath], str],
    settings: type[BaseModel],
    advice: Callable[[KeyPath], str] = lambda path: ADVICE,
) -> list[ConfigError]:
    """One error for each setting that is wrong; `where(path)` is the file and line that a value came from, and
    `advice(path)` what to do about it."""
    found = [_found(dict(item), values) for item in error.errors(include_url=False)]
    found = [one for one in found if not _is_long_enough(one)]
    found = [one for one in found if not _is_of_another_type(one, found)]
    # Of a setting that may be of several types, or a word, pydantic tells of each one that the value is not of it.
    expected: dict[KeyPath, list[str]] = {}
    for one in found:
        if (wanted := expectation(one.kind)) is not None and not one.missing:
            expected.setdefault(one.path, []).append(wanted)
    others = {one.path for one in found if one.kind != "literal_error"}
    of_several = [one for one in found if one.kind == "literal_error" and one.path in others]
    for one in of_several:
        if one.path in expected:
            expected[one.path] += _words(one)
    problems: dict[tuple[str, str], ConfigError] = {}
    for one in (one for one in found if one not in of_several):
        what, place = _problem(one, expected.get(one.path, []), where, settings)
        problems.setdefault((what, place), ConfigError(what, place, advice(one.path)))
    return list(problems.values())


def _is_long_enough(one: _Found) -> bool:
    """Of a list with wrong items, pydantic also tells that it is too short without them."""
    is_list = one.kind == "too_short" and isinstance(one.value, list | tuple)
    return is_list and len(one.value) >= int(one.context.get("min_length", 0))


def _is_of_another_type(one: _Found, found: list[_Found]) -> bool:
    """Of a value that is of one of several types but wrong, or holds what is, pydantic also tells that it is none of
    the others."""
    if expectation(one.kind) is None or one.missing:
        return False
    deeper = any(other.path[: len(one.path)] == one.path and len(other.path) > len(one.path) for other in found)
    return deeper or any(other.path == one.path and other.kind == "string_pattern_mismatch" for other in found)


def _found(item: dict[str, Any], values: dict[str, Any]) -> _Found:
    path: KeyPath = ()
    at: Any = values
    missing = ""
    for part in item["loc"]:
        # The location also holds the union's tag (`data.camvid.root`), which the values do not.
        if isinstance(at, dict) and (keys := [key for key in at if str(key) == str(part)]):
            path, at, missing = (*path, keys[0]), at[keys[0]], ""  # a key 0 of `values` has become the text "0"
        elif isinstance(at, list | tuple) and isinstance(part, int) and part < len(at):
            path, at, missing = (*path, part), at[part], ""
        elif item["type"] == "missing":
            missing = str(part)
    if item["loc"][-1:] == ("[key]",):
        at = item["input"]
    return _Found(item["type"], item.get("ctx", {}), item["loc"], path, at, missing, str(item["msg"]))


def _problem(
    one: _Found, expected: list[str], where: Callable[[KeyPath], str], settings: type[BaseModel]
) -> tuple[str, str]:
    """What is wrong, and where."""
    place, name, start = where(one.path), one.name, f"{one.name}: " if one.name else ""
    if one.kind in ("extra_forbidden", "invalid_key"):  # the latter: a key that is a number
        section, key = ".".join(map(str, one.path[:-1])), str(one.path[-1])
        keys = _valid_keys(one.location[:-1], settings)
        return (f"{section}: " if section else "") + unknown_name("key", key, keys), place
    if one.kind == "missing" and one.missing.isdecimal():
        return f"{name} needs at least {plural(int(one.missing) + 1, 'value')}, not {shown(one.value)}", place
    if one.kind == "missing":
        return f"{'.'.join(filter(None, (name, one.missing)))} is required", place
    if one.kind in ("model_type", "model_attributes_type", "dict_type"):
        named = " with a name" if one.path in (("data",), ("model",)) else ""
        return f"{name} must be a mapping{named}, not {shown(one.value)}", place
    if one.kind in ("union_tag_invalid", "union_tag_not_found"):
        return _tag(one, where, settings)
    if one.kind == "literal_error":
        return f"{start}{unknown_name('value', written(one.value), _words(one))}", place
    if one.kind in ("unknown_name", "value_error"):  # our own words
        message = one.message.removeprefix("Value error, ")
        ours = one.kind == "unknown_name" or isinstance(one.value, dict | list | tuple)
        start = "" if message.startswith((f"{name}.", start)) else start
        return f"{start}{message}" + ("" if ours else f", not {shown(one.value)}"), place
    if one.kind == "string_pattern_mismatch":
        return f"{start}{one.value!a:.80} is no plain word of its kind", place
    if expected and expectation(one.kind) is not None:
        return f"{name} {must_be(expected, one.value)}", place
    return f"{name} {sentence(one.kind, one.context, one.value)}", place


def _words(one: _Found) -> list[str]:
    """The words that a setting may be."""
    return [word.strip(" '") for word in str(one.context.get("expected", "")).replace(" or ", ", ").split(",")]


def _tag(one: _Found, where: Callable[[KeyPath], str], settings: type[BaseModel]) -> tuple[str, str]:
    """A section whose name says which settings it takes, with a name that is missing or unknown."""
    valid = [tag.strip(" '") for tag in str(one.context.get("expected_tags", "")).split(",") if tag]
    if not valid:  # a name that is no text has no tag, and pydantic then lists none
        valid = [tag for model in _models_at(one.location, settings) for tag in _tags(model)]
    valid = sorted(MODELS) if one.path == ("model",) else valid
    given = one.value.get("name") if isinstance(one.value, dict) else None
    if given is None:
        names = f": one of {', '.join(valid)}" if valid else ""
        return f"{one.name} must be a mapping with a name{names}", where(one.path)
    kind = one.name if len(one.path) == 1 else "name"
    return f"{one.name}.name: {unknown_name(kind, written(given), valid)}", where((*one.path, "name"))


def _valid_keys(location: KeyPath, settings: type[BaseModel]) -> list[str]:
    return [key for model in _models_at(location, settings) for key in model.model_fields]


def _models_at(location: KeyPath, settings: type[BaseModel]) -> list[type[BaseModel]]:
    """What the section at pydantic's `location`, which holds the tags of unions too, may be."""
    models: list[type[BaseModel]] = [settings]
    for part in location:
        fields = [model.model_fields[part] for model in models if isinstance(part, str) and part in model.model_fields]
        inside = [model for field in fields for model in models_in(field.annotation)]
        models = inside or [model for model in models if part in _tags(model)] or models
    return models


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    return (get_args(model.model_fields["name"].annotation) or ("smp",)) if "name" in model.model_fields else ()
