"""The settings of one trial, their identity, and their validation with errors that point at the file."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError

from segsuite.config.base import EXECUTION, Settings, identity, models_in
from segsuite.config.checkerboard import Checkerboard
from segsuite.config.data import Augment, Data
from segsuite.config.deeplabv3 import check_evaluation_stride
from segsuite.config.full_resolution import check_full_resolution
from segsuite.config.loss import CrossEntropyLoss, Loss
from segsuite.config.model import Model
from segsuite.config.ranks import check_ranks
from segsuite.config.tracking import Wandb
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
    checkerboard: Checkerboard = Checkerboard()
    """Whether the patterns that upsampling leaves are measured."""
    execution: Execution = Field(Execution(), json_schema_extra=EXECUTION)
    """How it is executed; not part of the trial's identity."""
    tracker: Literal["wandb", "tensorboard", "none"] = Field("wandb", json_schema_extra=EXECUTION)
    """What mirrors the trial while it runs; the files of the run directory are always written."""
    wandb: Wandb = Field(Wandb(), json_schema_extra=EXECUTION)
    """Weights & Biases, when it is the tracker."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of initialisation, order and augmentation, 0 to 4294967295."""


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
        settings = TrialSettings.model_validate(_frozen(values), strict=True)
    except ValidationError as error:
        advice = "`segsuite schema` prints every key with its meaning and range"
        problems = (_problem(values, dict(item), where) for item in error.errors(include_url=False))
        raise ConfigError.of(ConfigError(what, place, advice) for what, place in problems) from None
    try:
        check_ranks(settings)
    except ConfigError as error:
        raise ConfigError(error.what, where(("execution",)), error.advice) from None
    if settings.train.full_resolution == "fused":
        try:
            check_full_resolution(settings.model, settings.loss)
        except ConfigError as error:
            raise ConfigError(error.what, where(("train", "full_resolution")), error.advice) from None
    if settings.evaluation.output_stride is not None:
        try:
            check_evaluation_stride(settings.model, settings.evaluation.output_stride)
        except ConfigError as error:
            raise ConfigError(error.what, where(("evaluation", "output_stride")), error.advice) from None
    return settings


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
    place = where(path)
    name = ".".join(str(part) for part in path)
    if item["type"] == "extra_forbidden":
        section, key = ".".join(str(part) for part in path[:-1]), str(path[-1])
        return (f"{section}: " if section else "") + unknown_name("key", key, _valid_keys(item["loc"][:-1])), place
    if item["loc"][-1:] == ("[key]",):
        at = item["input"]
    if item["type"] == "missing":
        return f"{'.'.join(filter(None, (name, missing)))} is required", place
    if item["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return (
            f"{name} must be a mapping{' with a name' if path in (('data',), ('model',)) else ''}, not {at!r:.80}",
            place,
        )
    if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
        valid = [tag.strip(" '") for tag in str(context.get("expected_tags", "")).split(",") if tag]
        valid = sorted(MODELS) if path == ("model",) else valid
        given = at.get("name")
        if given is None:
            return f"{name} must be a mapping with a name{': one of ' + ', '.join(valid) if valid else ''}", place
        return f"{name}.name: {unknown_name(name, str(given), valid)}", where((*path, "name"))
    if item["type"] == "literal_error":
        valid = [tag.strip(" '") for tag in str(context.get("expected", "")).replace(" or ", ", ").split(",")]
        return f"{name}: {unknown_name('value', str(at), valid)}", place
    if item["type"] == "unknown_name":
        return (f"{name}: " if name else "") + str(item["msg"]), place
    message = str(item["msg"]).removeprefix("Value error, ")
    shown = "" if isinstance(at, dict) else f", not {json.dumps(at)[:200]}"
    return (f"{name}: " if name else "") + message[0].lower() + message[1:] + shown, place


def _valid_keys(location: tuple[str | int, ...]) -> list[str]:
    """The keys of the section at pydantic's `location`, which holds the tags of unions too."""
    models: list[type[BaseModel]] = [TrialSettings]
    for part in location:
        fields = [model.model_fields[part] for model in models if isinstance(part, str) and part in model.model_fields]
        inside = [model for field in fields for model in models_in(field.annotation)]
        models = inside or [model for model in models if part in _tags(model)] or models
    return [key for model in models for key in model.model_fields]


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    return (get_args(model.model_fields["name"].annotation) or ("smp",)) if "name" in model.model_fields else ()
