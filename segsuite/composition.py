"""How a YAML, the files it builds on and `--set` become one set of values, each with the place it came from."""

import copy
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from segsuite import yaml_io
from segsuite.config import TrialSettings
from segsuite.config.base import models_in
from segsuite.errors import ConfigError, Problems, unknown_name
from segsuite.io.paths import as_written

KeyPath = tuple[str | int, ...]
NOT_SET = object()
EXPERIMENT_KEYS = ("name", "question", "defaults", "compare", "exclude", "seeds", "baseline", "runs_root")


@dataclass(frozen=True)
class Change:
    """What one `--set` did: the value that the files give, or None where they give none, and the value now."""

    key: str
    was: Any
    was_set: bool
    now: Any

    @property
    def words(self) -> str:
        """`train.epochs: 20 -> 5`."""
        was = yaml_io.in_line(self.was) if self.was_set else "(default)"
        now = yaml_io.in_line(self.now)
        return f"{self.key}: {now}, as in the file" if was == now else f"{self.key}: {was} -> {now}"


@dataclass
class Composed:
    """Plain values and, for each key path, `file:line` or `--set` that it came from; what each `--set` changed."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    file: str = ""
    changes: list[Change] = field(default_factory=list)

    def where(self, path: KeyPath) -> str:
        """The place of `path`, or of the nearest part above it that has one."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return self.file

    def axes(self) -> set[str]:
        """The settings, written with dots, that `compare` varies."""
        compare = self.values.get("compare")
        groups = compare.items() if isinstance(compare, dict) else [("", compare)]
        keys: set[str] = set()
        for axis, options in groups:
            if isinstance(options, list) and str(axis).split(".")[0] in TrialSettings.model_fields:
                patches: Any = [{axis: option} for option in options]
            else:
                patches = list(options.values()) if isinstance(options, dict) else options
            patches = patches if isinstance(patches, list) else []
            keys |= {_dotted(path) for patch in patches if isinstance(patch, dict) for path in _leaves(patch)}
        return keys

    def value(self, path: KeyPath) -> Any:
        """The value at `path`."""
        at: Any = self.values
        for part in path:
            at = at[part]
        return at

    def leaves(self) -> list[tuple[KeyPath, str]]:
        """Every setting that is no mapping, and where it came from."""
        return [(path, self.where(path)) for path in _leaves(self.values) if path]

    def merge(self, source: yaml_io.Source) -> None:
        """Lays the values of a file over those that are here: mappings merge, everything else is replaced.

        A mapping with another `name` replaces the whole section: the settings of another dataset or loss do not
        belong to it.
        """
        self._merge(self.values, source.value, (), source)

    def _merge(self, target: dict[str, Any], update: dict[str, Any], path: KeyPath, source: yaml_io.Source) -> None:
        for key, value in update.items():
            here = (*path, key)
            if _merges(target.get(key), value):
                self._merge(target[key], value, here, source)
                self.origins[here] = source.where(here)
            else:
                target[key] = copy.deepcopy(value)
                self._forget(here)
                self.origins.update({line: source.where(line) for line in source.lines if line[: len(here)] == here})

    def assign(self, values: dict[str, Any], key: str, value: Any, where: str) -> None:
        """Sets the dotted `key`, by the rules of `merge`; `model.name: x` alone keeps the other settings."""
        at, last = self._parent_of(values, key, where), key.rpartition(".")[2]
        at[last] = _overlaid(at.get(last), value)

    def _parent_of(self, values: dict[str, Any], key: str, where: str) -> dict[str, Any]:
        """The mapping in `values` that holds, or will hold, the dotted `key`."""
        self.check_key(key, where)
        at = values
        for parent in key.split(".")[:-1]:
            inner = at.setdefault(parent, {})
            if not isinstance(inner, dict):
                what = f"'{key}' cannot be set: {parent} holds {yaml_io.in_line(inner)}, not a mapping"
                raise ConfigError(what, where, f"set {parent} as a whole")
            at = inner
        return at

    def override(self, text: str) -> None:
        """Applies one `key=value` of the command line. A mapping replaces all that is at its key: what is typed is
        what is trained, without settings of a file that nobody sees there."""
        key, equals, value = text.partition("=")
        where = f"--set {text if len(text) <= 200 else text[:200] + '...'}"
        if not equals or not key:
            raise ConfigError(f"--set needs key=value, not {text[:200]!r}", where, "for example --set train.epochs=5")
        given = yaml_io.read_value(value, f"--set {key[:100]}=")
        if key == "defaults":
            raise ConfigError("--set cannot name other defaults", where, "write a YAML of its own that names them")
        if key in EXPERIMENT_KEYS:
            self._note(key, given)
            self.values[key] = given
            self._set_origin((key,), where)
            return
        path = tuple(key.split("."))
        paths = list(_leaves(given, path))
        if overlap := _overlap([_dotted(leaf) for leaf in paths], self.axes()):
            raise ConfigError(
                f"'{overlap}' is what this experiment compares: --set would change nothing",
                where,
                f"set what is compared, e.g. --set 'compare={{{overlap}: [a, b]}}'",
            )
        self._note(key, given)
        self._parent_of(self.values, key, where)[path[-1]] = copy.deepcopy(given)
        self._forget(path)
        for leaf in paths:
            self._set_origin(leaf, where)

    def _note(self, key: str, now: Any) -> None:
        at: Any = self.values
        for part in key.split("."):
            at = at.get(part, NOT_SET) if isinstance(at, dict) else NOT_SET
        self.changes.append(Change(key, None if at is NOT_SET else copy.deepcopy(at), at is not NOT_SET, now))

    def _set_origin(self, path: KeyPath, where: str) -> None:
        self._forget(path)
        self.origins[path] = where

    def check_key(self, key: Any, where: str) -> None:
        """Raises ConfigError with the nearest valid name unless the dotted `key` is a setting of a trial."""
        models: list[type[BaseModel]] = [TrialSettings]
        parts = str(key).split(".")
        if parts[0] == "seed":
            raise ConfigError("'seed' is given by seeds", where, "write `seeds: [0, 1, 2]`")
        for index, part in enumerate(parts):
            fields = [model.model_fields[part] for model in models if part in model.model_fields]
            if not fields:
                valid = sorted({name for model in models for name in model.model_fields})
                if not models:
                    return  # free-form options of a library
                what = unknown_name("setting", part, valid)
                raise ConfigError(
                    what + (f" (in '{key}')" if index else ""), where, "`segsuite schema` prints every key"
                )
            models = [model for item in fields for model in models_in(item.annotation)]

    def _forget(self, path: KeyPath) -> None:
        for old in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[old]


def compose(path: Path, overrides: Sequence[str] = ()) -> Composed:
    """The values of `path` over those of the files under its `defaults:` (nearest last), under `--set` texts."""
    composed = Composed(file=str(path))
    _add(composed, path, ())
    composed.values.pop("defaults", None)
    problems = Problems()
    for text in overrides:
        problems.attempt(None, composed.override, text)
    problems.raise_all()
    return composed


def _add(composed: Composed, path: Path, above: tuple[Path, ...]) -> None:
    source = yaml_io.read_file(path)
    parents = source.value.get("defaults") or []
    parents = [parents] if isinstance(parents, str) else parents
    if not isinstance(parents, list) or not all(isinstance(parent, str) for parent in parents):
        raise ConfigError(
            "defaults must be a file name or a list of them",
            source.where(("defaults",)),
            "for example `defaults: base/camvid.yaml`",
        )
    for index, parent in enumerate(parents):
        place = source.where(("defaults", index))
        try:
            below = path.parent / as_written(parent)
        except ConfigError as error:
            raise ConfigError(f"defaults: {error.what}", place, error.advice) from None
        if not os.path.isfile(below):
            advice = f"{yaml_io.similar(below)} (defaults are relative to the file that names them)"
            raise ConfigError(f"there is no file {below}", place, advice)
        if below.resolve() in (*above, path.resolve()):
            raise ConfigError(f"{path.name} builds on itself through {below}", place, "remove one of the defaults")
        _add(composed, below, (*above, path.resolve()))
    # What a base file is called, asks and compares is its own; only settings are handed on.
    for key in ("name", "question", "compare", "exclude", "baseline"):
        composed.values.pop(key, None)
        composed._forget((key,))
    composed.merge(source)


def _merges(old: Any, new: Any) -> bool:
    """Whether `new` is laid over `old` key by key: both are mappings, and not two different things by name."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return False
    return "name" not in old or "name" not in new or old["name"] == new["name"]


def _overlaid(old: Any, new: Any) -> Any:
    if not _merges(old, new):
        return copy.deepcopy(new)
    return {**old, **{key: _overlaid(old.get(key), value) for key, value in new.items()}}


def _leaves(at: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths of everything in `at`, which stands at `path`, that is no mapping with keys."""
    if isinstance(at, dict) and at:
        for key, value in at.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def _overlap(keys: Sequence[str], others: set[str]) -> str | None:
    """The first of `others` that one of `keys` is, holds or is held by."""
    for other in sorted(others):
        if any(f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.") for key in keys):
            return other
    return None
