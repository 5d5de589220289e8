"""What all settings have in common: frozen, unknown keys rejected, a sentence with unit and range under each field."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict

from segsuite.errors import ConfigError

# Field marks, read by `identity`: execution never changes a result, so it is not part of a trial's identity; of a
# path only the file name is, so that an id is the same on every machine.
EXECUTION: dict[str, Any] = {"identity": "none"}
PATH: dict[str, Any] = {"identity": "file name"}


class Settings(BaseModel):
    """Base of every group of settings."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )

    def revision(self) -> dict[str, Any]:
        """What `identity` holds beside these settings where they mean something else than they did once, so that no old
        result is taken for a new one. All other ids stay, which SCHEMA of trial.py would change as well."""
        return {}


@contextlib.contextmanager
def as_value_error() -> Iterator[None]:
    """Turns a ConfigError in the body, of a check that is shared, into the error that pydantic takes from a
    validator."""
    try:
        yield
    except ConfigError as error:
        raise ValueError(f"{error.what}: {error.advice}" if error.advice else error.what) from None


def frozen(value: Any) -> Any:
    """YAML's value with tuples for its lists, as settings that are validated strictly take them."""
    if isinstance(value, dict):
        return {key: frozen(item) for key, item in value.items()}
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The groups of settings that a field's annotation allows.

    >>> models_in(int | Settings)
    [<class 'segsuite.config.base.Settings'>]
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def identity(settings: BaseModel) -> dict[str, Any]:
    """What makes a trial this trial: the fields that differ from their defaults, without those about execution.

    Leaving out defaults keeps every id when a field with a default is added later. A default must therefore never
    change its meaning silently: tests/golden/defaults.json pins them, and SCHEMA in trial.py is raised when one
    changes.
    """
    kept: dict[str, Any] = {}
    for name, (default, is_path) in _compared(type(settings)).items():
        value = _file_name(getattr(settings, name)) if is_path else getattr(settings, name)
        if name == "name" or value != default:
            kept[name] = _identity_of(value)
    return kept | (settings.revision() if isinstance(settings, Settings) else {})


@functools.cache  # pydantic copies a default deeply each time that it is asked for it: most of a plan's seconds
def _compared(model: type[BaseModel]) -> dict[str, tuple[Any, bool]]:
    """Of each field that is part of the identity: its default, and whether it is a path. A required field's default
    equals nothing."""
    found: dict[str, tuple[Any, bool]] = {}
    for name, field in model.model_fields.items():
        mark = field.json_schema_extra.get("identity") if isinstance(field.json_schema_extra, dict) else None
        if mark != "none":
            default = object() if field.is_required() else field.get_default(call_default_factory=True)
            is_path = mark == "file name"
            found[name] = (_file_name(default) if is_path else default, is_path)
    return found


def _identity_of(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_identity_of(item) for item in value]
    return identity(value) if isinstance(value, BaseModel) else value


def _file_name(path: Any) -> Any:
    return path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] if isinstance(path, str) else path
