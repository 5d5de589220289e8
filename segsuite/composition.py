"""How a YAML, the files it builds on and `--set` become one set of values, each with the place it came from."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from segsuite import yaml_io
from segsuite.config import TrialSettings
from segsuite.errors import ConfigError, unknown_name

KeyPath = tuple[str | int, ...]
EXPERIMENT_KEYS = ("name", "question", "defaults", "compare", "exclude", "seeds", "baseline", "runs_root")


@dataclass
class Composed:
    """Plain values and, for each key path, `file:line` or `--set` that it came from."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    file: str = ""

    def where(self, path: KeyPath) -> str:
        """The place of `path`, or of the nearest part above it that has one."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return self.file

    def axes(self) -> set[str]:
        """The settings that `compare` varies."""
        compare = self.values.get("compare")
        groups = [compare] if isinstance(compare, dict) else [{"": compare}] if isinstance(compare, list) else []
        keys = {str(key) for group in groups for key in group}
        for options in (options for group in groups for options in group.values()):
            patches = options.values() if isinstance(options, dict) else options if isinstance(options, list) else []
            keys |= {str(key) for patch in patches if isinstance(patch, dict) for key in patch}
        return keys

    def value(self, path: KeyPath) -> Any:
        """The value at `path`."""
        at: Any = self.values
        for part in path:
            at = at[part]
        return at

    def leaves(self) -> list[tuple[KeyPath, str]]:
        """Every setting that is no mapping, and where it came from."""

        def walk(at: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
            if isinstance(at, dict) and at:
                for key, value in at.items():
                    yield from walk(value, (*path, key))
            else:
                yield path, self.where(path)

        return list(walk(self.values, ()))

    def merge(self, source: yaml_io.Source) -> None:
        """Lays the values of a file over those that are here: mappings merge, everything else is replaced.

        A mapping whose `name` differs replaces the whole section: the settings of another dataset or loss do not
        belong to it.
        """
        self._merge(self.values, source.value, (), source)

    def _merge(self, target: dict[str, Any], update: dict[str, Any], path: KeyPath, source: yaml_io.Source) -> None:
        for key, value in update.items():
            here = (*path, key)
            old = target.get(key)
            if (
                isinstance(old, dict)
                and isinstance(value, dict)
                and value.get("name", old.get("name")) == old.get("name")
            ):
                self._merge(old, value, here, source)
                self.origins[here] = source.where(here)
            else:
                target[key] = copy.deepcopy(value)
                self._forget(here)
                self.origins.update({line: source.where(line) for line in source.lines if line[: len(here)] == here})

    def assign(self, values: dict[str, Any], key: str, value: Any, where: str) -> None:
        """Sets the dotted `key`. A mapping is merged unless its `name` differs; `model.name: x` alone keeps the
        other settings."""
        self.check_key(key, where)
        *parents, last = key.split(".")
        at = values
        for parent in parents:
            inner = at.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"'{key}' cannot be set: {parent} holds {inner!r}, not a mapping", where)
            at = inner
        old = at.get(last)
        if isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name"):
            at[last] = {**old, **copy.deepcopy(value)}
        else:
            at[last] = copy.deepcopy(value)

    def override(self, text: str) -> None:
        """Applies one `key=value` of the command line."""
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(
                f"--set needs key=value, not {text!r}", f"--set {text}", "for example --set train.epochs=5"
            )
        where = f"--set {text}"
        path = tuple(key.split("."))
        if key in EXPERIMENT_KEYS:
            self.values[key] = yaml_io.read_value(value)
        elif key in self.axes():
            raise ConfigError(f"'{key}' is what this experiment compares: --set would change nothing", where)
        else:
            self.assign(self.values, key, yaml_io.read_value(value), where)
        self._forget(path)
        self.origins[path] = where

    def check_key(self, key: Any, where: str) -> None:
        """Raises ConfigError with the nearest valid name unless the dotted `key` is a setting of a trial."""
        models: list[type[BaseModel]] = [TrialSettings]
        parts = str(key).split(".")
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
            models = [model for item in fields for model in _models_in(item.annotation)]

    def _forget(self, path: KeyPath) -> None:
        for old in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[old]


def compose(path: Path, overrides: Sequence[str] = ()) -> Composed:
    """The values of `path` over those of the files under its `defaults:` (nearest last), under `--set` texts."""
    composed = Composed(file=str(path))
    _add(composed, path, ())
    composed.values.pop("defaults", None)
    for text in overrides:
        composed.override(text)
    return composed


def _add(composed: Composed, path: Path, above: tuple[Path, ...]) -> None:
    source = yaml_io.read_file(path)
    if path.resolve() in above:
        raise ConfigError(f"the file builds on itself through its defaults: {path}", source.where(("defaults",)))
    parents = source.value.get("defaults") or []
    for parent in [parents] if isinstance(parents, str) else parents:
        if not isinstance(parent, str):
            raise ConfigError("defaults must be a file name or a list of them", source.where(("defaults",)))
        below = path.parent / parent
        if not below.is_file():
            raise ConfigError(
                f"there is no file {below}",
                source.where(("defaults",)),
                "defaults are relative to the file that names them",
            )
        _add(composed, below, (*above, path.resolve()))
    # What a base file is called, asks and compares is its own; only settings are handed on.
    for key in ("name", "question", "compare", "exclude", "baseline"):
        composed.values.pop(key, None)
        composed._forget((key,))
    composed.merge(source)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
