"""The settings of one trial, their identity, and their validation with errors that point at the file."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from pydantic import Field, ValidationError, model_validator

from segsuite.config.base import EXECUTION, Settings, identity
from segsuite.config.data import Augment, Data
from segsuite.config.model import CrossEntropyLoss, Loss, Model
from segsuite.config.training import Evaluation, Execution, Train
from segsuite.errors import ConfigError, unknown_name
from segsuite.models import MODELS

# Part of every id. Raise it when the meaning of a setting, or a default, changes: all ids change then, and no old
# result is taken for a new one.
SCHEMA = 1


class TrialSettings(Settings):
    """Everything that one trial needs to know."""

    data: Data
    """The dataset."""
    model: Model
    """The network."""
    loss: Loss = CrossEntropyLoss()
    """What training minimises."""
    augment: Augment = Augment()
    """Random changes of training images."""
    train: Train = Train()
    """Training."""
    evaluation: Evaluation = Evaluation()
    """What is scored at the end."""
    execution: Execution = Field(Execution(), json_schema_extra=EXECUTION)
    """How it is executed; not part of the trial's identity."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of initialisation, order and augmentation, 0 to 4294967295."""

    @model_validator(mode="after")
    def _crosswise(self) -> "TrialSettings":
        if self.train.deterministic == "strict" and self.train.precision == "fp16-mixed":
            raise ValueError(
                "train.deterministic: strict and train.precision: fp16-mixed exclude each other (the loss scale adapts)"
            )
        return self


def trial_id(settings: TrialSettings) -> str:
    """12 hex digits: the same in every process, on every machine and for every order of keys.

    A hash of the settings that differ from their defaults (see `identity`), so that a setting which is added later
    with a default changes no id.
    """
    return _digest({"schema": SCHEMA, "seed": settings.seed, **identity(settings)})


def arm_id(settings: TrialSettings) -> str:
    """As `trial_id`, but the same for all seeds of an arm."""
    return _digest({"schema": SCHEMA, **identity(settings.model_copy(update={"seed": 0}))})


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]


def validate(values: dict[str, Any], where: Callable[[tuple[str | int, ...]], str]) -> TrialSettings:
    """Settings from plain values. Raises one ConfigError that lists every problem with its place.

    `where(path)` tells the file and line that a value came from.
    """
    try:
        # Strict: neither `true` is 1.0 nor "3" is 3. YAML's lists become the tuples that frozen settings hold.
        return TrialSettings.model_validate(_frozen(values), strict=True)
    except ValidationError as error:
        problems = [_problem(values, dict(item), where) for item in error.errors(include_url=False)]
        whats = [f"{what}" for what, _ in problems]
        places = list(dict.fromkeys(place for _, place in problems))
        advice = "`segsuite schema` prints every key with its meaning and range"
        if len(problems) == 1:
            raise ConfigError(whats[0], places[0], advice) from None
        listed = "".join(f"\n  - {what} ({place})" for what, place in problems)
        raise ConfigError(f"{len(problems)} settings are wrong:{listed}", "", advice) from None


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _problem(
    values: dict[str, Any], item: dict[str, Any], where: Callable[[tuple[str | int, ...]], str]
) -> tuple[str, str]:
    """What is wrong, and where, for one error of pydantic."""
    path: tuple[str | int, ...] = ()
    at: Any = values
    missing = ""
    for part in item["loc"]:
        # The location also holds the union's tag (`data.camvid.root`), which the values do not.
        if (isinstance(at, dict) and part in at) or (isinstance(at, list) and isinstance(part, int) and part < len(at)):
            path, at, missing = (*path, part), at[part], ""
        elif item["type"] == "missing":
            missing = str(part)
    context = item.get("ctx", {})
    place = where((*path, str(context["keys"][0]))) if item["type"] == "unknown_key" else where(path)
    name = ".".join(str(part) for part in path)
    if item["type"] == "missing":
        return f"{'.'.join(filter(None, (name, missing)))} is required", place
    if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
        valid = [tag.strip(" '") for tag in str(context.get("expected_tags", "")).split(",") if tag]
        valid = sorted(MODELS) if path == ("model",) else valid
        given = at.get("name") if isinstance(at, dict) else at
        if given is None or not isinstance(at, dict):
            return f"{name} must be a mapping with a name{': one of ' + ', '.join(valid) if valid else ''}", place
        return f"{name}.name: {unknown_name(name, str(given), valid)}", where((*path, "name"))
    if item["type"] == "literal_error":
        valid = [tag.strip(" '") for tag in str(context.get("expected", "")).replace(" or ", ", ").split(",")]
        return f"{name}: {unknown_name('value', str(at), valid)}", place
    if item["type"] in ("unknown_key", "unknown_name"):
        return (f"{name}: " if name else "") + str(item["msg"]), place
    message = str(item["msg"]).removeprefix("Value error, ")
    shown = "" if isinstance(at, dict) else f", not {json.dumps(at)}"
    return (f"{name}: " if name else "") + message[0].lower() + message[1:] + shown, place
