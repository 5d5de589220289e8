"""result.json: the one definition of a whole one. Every reader asks here, so that none meets a value that it cannot
use.

What is checked: strict UTF-8 JSON, without NaN; the entries that every reader needs; and the kind of each known entry.
Entries that are not known here are let through: a later version may have more.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segsuite.io import reading

NAME = "result.json"

Check = Callable[[Any], str]
"""What is wrong with a value, in the words that follow its name; empty for nothing."""


class Damaged(ValueError):
    """The file is there and readable, but no whole result; says what is wrong."""


def read(folder: Path) -> dict[str, Any]:
    """The result of a run directory. Raises FileNotFoundError when it has none, Unreadable, or Damaged."""
    try:
        value = reading.parsed(reading.read_bytes(folder / NAME))
    except ValueError as error:
        content = "is empty" if "line 1 column 1 (char 0)" in str(error) else f"is damaged: {error}"
        raise Damaged(f"{NAME} {content}") from None
    if wrong := fault(value):
        raise Damaged(f"{NAME} is damaged: {wrong}")
    return dict(value)


def fault(value: Any) -> str:
    """What keeps `value` from being a whole result, as half a sentence; empty for one that is.

    >>> fault({"scores": {}})
    'class_scores is missing'
    >>> fault([])
    'it is no mapping'
    """
    wrong = _whole(value)
    return f"it{wrong}" if wrong.startswith(" ") else wrong.removeprefix(".")


def is_number(value: Any) -> bool:
    """Whether it is a finite number (and no truth value).

    >>> [is_number(value) for value in (1, 0.5, float("nan"), True, "1", 10**400)]
    [True, True, False, False, False, False]
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def number(value: Any) -> str:
    """A finite number, or None where there was nothing to measure."""
    return "" if value is None else _known(value)


def each(check: Check) -> Check:
    """A mapping from names to what `check` takes."""
    return _fields({}, {}, check)


def _known(value: Any) -> str:
    return "" if is_number(value) else " is no number"


def _count(value: Any) -> str:
    return "" if is_number(value) and isinstance(value, int) and value >= 0 else " is no count"


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else " is no text"


def _list(check: Check) -> Check:
    return lambda value: "" if isinstance(value, list) and not any(map(check, value)) else " is no list of such values"


def _either(*checks: Check) -> Check:
    """What one of `checks` takes; the last one says what is wrong."""
    return lambda value: "" if any(not check(value) for check in checks[:-1]) else checks[-1](value)


def _optional(check: Check) -> Check:
    return lambda value: "" if value is None else check(value)


def _fields(needed: Mapping[str, Check], known: Mapping[str, Check], others: Check | None = None) -> Check:
    """A mapping that has what is `needed`; what is `known`, and all `others`, are as they should be where they are."""

    def checked(value: Any) -> str:
        if not isinstance(value, Mapping):
            return " is no mapping"
        for name in needed:
            if name not in value:
                return f".{name} is missing"
        for name, one in value.items():
            check = needed.get(name) or known.get(name) or others
            if check is not None and (wrong := check(one)):
                return f".{name}{wrong}"
        return ""

    return checked


_numbers = each(number)
_batches = {"batch_size": _count, "accumulate": _count}
_scores = {"miou": number, "pixel_accuracy": number}
_scored = {"split": _text, "images": _count, "checkpoint": _text}
_costs = ("multiply_adds", "inference_milliseconds", "images_per_second", "peak_memory_bytes", "attempt_seconds")
_groups = {
    "frequency": _optional(each(_fields({}, {"classes": _list(_text), "miou": number, "mean_recall": number}))),
    "training_share": _optional(_numbers),
    "object_size": _optional(each(_fields({}, {"mean_recall": number, "recall": _numbers}))),
    "image_miou": _optional(_fields({}, {"mean": number, "quantiles": _numbers})),
}
_whole = _fields(
    {
        "scores": _fields(_scores, {}, number),
        "class_scores": _fields({"iou": _numbers}, {}, _numbers),
        "scored": _fields(_scored, {"dataset_fingerprint": _text}),
        "cost": _fields({"parameters": _known, "train_seconds": _known}, dict.fromkeys(_costs, number)),
        "epochs": _count,
    },
    {
        **dict.fromkeys(("id", "experiment", "arm", "precision", "device"), _text),
        **dict.fromkeys(("loss_gradient_norm", "loss_reference_norm", "loss_factor", "finished"), number),
        "seed": _count,
        "boundary_scores": _optional(_numbers),
        "ranking": _optional(each(_either(number, _numbers))),
        "calibration": _optional(_fields({}, {"reliability": each(_list(number))}, _either(number, _numbers))),
        "groups": _optional(_fields({}, _groups)),
        "absent_predicted": _list(_text),
        "batch": _optional(_numbers),
        "smaller_batch": _optional(_fields({**_batches, "was": _fields(_batches, {})}, {})),
        "packed": _optional(_count),
        "loss_weights": _optional(each(_numbers)),
    },
)
