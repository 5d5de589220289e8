"""Profiles of single trials: `resources` of a profile says what those with certain settings want otherwise."""

from collections.abc import Mapping
from typing import Any

from segsuite.config import TrialSettings
from segsuite.errors import unknown_name
from segsuite.experiment import Trial

OF_THE_TRIAL = ("arm", "seed")
MISSING = object()


def check_match(match: Any) -> None:
    """Raises ValueError for what is no mapping of settings to values."""
    if not isinstance(match, Mapping) or not match:
        raise ValueError("match: write settings and their values, e.g. {model.encoder: resnet101}")
    known = [*OF_THE_TRIAL, *TrialSettings.model_fields]
    for key in match:
        if str(key).partition(".")[0] not in known:
            raise ValueError(f"match.{key}: {unknown_name('setting', str(key).partition('.')[0], known)}")


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
