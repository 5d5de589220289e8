"""What all settings have in common: frozen, unknown keys rejected, a sentence with unit and range under each field."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from segsuite.errors import nearest

# Field marks, read by `identity`: execution never changes a result, so it is not part of a trial's identity; of a
# path only the file name is, so that an id is the same on every machine.
EXECUTION: dict[str, Any] = {"identity": "none"}
PATH: dict[str, Any] = {"identity": "file name"}


class Settings(BaseModel):
    """Base of every group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        # Before pydantic's own check, whose message knows no nearest name.
        if isinstance(value, dict):
            unknown = [key for key in value if key not in cls.model_fields]
            if unknown:
                raise PydanticCustomError("unknown_key", "{what}", {"keys": unknown, "what": cls._describe(unknown)})
        return value

    @classmethod
    def _describe(cls, unknown: list[Any]) -> str:
        parts = []
        for key in unknown:
            near = nearest(str(key), cls.model_fields)
            parts.append(f"unknown key '{key}'" + (f", did you mean '{near}'?" if near else ""))
        return "; ".join(parts) + f" (valid here: {', '.join(cls.model_fields)})"


def identity(settings: BaseModel) -> dict[str, Any]:
    """What makes a trial this trial: the fields that differ from their defaults, without those about execution.

    Leaving out defaults keeps every id when a field with a default is added later. A default must therefore never
    change its meaning silently: tests/golden/defaults.json pins them, and SCHEMA in trial.py is raised when one
    changes.
    """
    kept: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        mark = (field.json_schema_extra or {}).get("identity") if isinstance(field.json_schema_extra, dict) else None
        value = getattr(settings, name)
        if mark == "none":
            continue
        if name != "name" and not field.is_required() and value == field.get_default(call_default_factory=True):
            continue
        if isinstance(value, BaseModel):
            kept[name] = identity(value)
        elif mark == "file name" and isinstance(value, str):
            kept[name] = value.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
        else:
            kept[name] = value
    return kept
