"""The settings of one trial, their identity, and their validation with errors that point at the file."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, ValidationError

from segsuite.config.base import EXECUTION, Settings, frozen, identity
from segsuite.config.batches import check_on_device, check_scaled, check_validated
from segsuite.config.checkerboard import Checkerboard
from segsuite.config.data import Augment, Data
from segsuite.config.deeplabv3 import check_evaluation_stride
from segsuite.config.full_resolution import check_full_resolution
from segsuite.config.loss import CrossEntropyLoss, Loss
from segsuite.config.model import Model
from segsuite.config.problems import problems_of
from segsuite.config.ranks import check_ranks
from segsuite.config.tracking import Wandb
from segsuite.config.training import Evaluation, Execution, Train
from segsuite.errors import ConfigError

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
        settings = TrialSettings.model_validate(frozen(values), strict=True)
    except ValidationError as error:
        raise ConfigError.of(problems_of(error, values, where, TrialSettings)) from None
    checks: list[tuple[tuple[str, ...], Callable[[], None]]] = [
        (("execution",), lambda: check_ranks(settings)),
        (("augment", "scale"), lambda: check_scaled(settings)),
        (("execution", "data_on_device"), lambda: check_on_device(settings)),
        (("train", "validate_every"), lambda: check_validated(settings)),
    ]
    if settings.train.full_resolution == "fused":
        checks.append((("train", "full_resolution"), lambda: check_full_resolution(settings.model, settings.loss)))
    stride = settings.evaluation.output_stride
    if stride is not None:
        checks.append((("evaluation", "output_stride"), lambda: check_evaluation_stride(settings.model, stride)))
    for path, check in checks:
        try:
            check()
        except ConfigError as error:
            raise ConfigError(error.what, where(path), error.advice) from None
    return settings
