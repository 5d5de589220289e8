"""Profiles of single trials: `resources` of a profile says what those with certain settings want otherwise."""

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from segsuite.config import TrialSettings
from segsuite.config.base import models_in
from segsuite.errors import unknown_name
from segsuite.experiment import Trial

OF_THE_TRIAL = ("arm", "seed")
MISSING = object()


def check_match(match: Any) -> None:
    """Raises ValueError for what is no mapping of settings to values."""
    if not isinstance(match, Mapping) or not match:
        raise ValueError("match: write settings and their values, e.g. {model.encoder: resnet101}")
    for key in match:
        if key not in OF_THE_TRIAL:
            _check_setting(str(key))


def _check_setting(key: str) -> None:
    """Raises ValueError unless some trial has the setting, whatever its data, model and loss are."""
    models: list[type[BaseModel]] = [TrialSettings]
    section, anything = "", False
    for part in key.split("."):
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        if not fields and not anything:
            known = {section + name for model in models for name in model.model_fields}
            if not known:
                raise ValueError(f"match.{key}: {section[:-1]} holds no settings")
            raise ValueError(
                f"match.{key}: {unknown_name('setting', section + part, known | set(() if section else OF_THE_TRIAL))}"
            )
        # Items of a list have no names, and a mapping such as model.options takes any.
        kinds = [field.annotation for field in fields if get_origin(field.annotation) is not tuple]
        anything = anything or any(_is_mapping(kind) for kind in kinds)
        models = [model for kind in kinds for model in models_in(kind)]
        section += f"{part}."


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(_is_mapping(part) for part in get_args(annotation))


def matches(trial: Trial, match: Mapping[str, Any]) -> bool:
    """Whether each setting of `match` has its value in the trial, or one of a list of values."""
    return all(_equal(_value(trial, key), wanted) for key, wanted in match.items())


def _value(trial: Trial, key: str) -> Any:
    if key in OF_THE_TRIAL:
        return getattr(trial, key)
    found: Any = trial.settings
    for part in key.split("."):
        found = found.get(part, MISSING) if isinstance(found, Mapping) else getattr(found, part, MISSING)
    return list(found) if isinstance(found, tuple) else found


def _equal(value: Any, wanted: Any) -> bool:
    return bool(value == wanted or (isinstance(wanted, list | tuple) and value in wanted))
