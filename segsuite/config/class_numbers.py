"""Whether a loss's numbers and names of classes fit the classes of the dataset, checked without a label."""

from collections.abc import Mapping, Sequence
from typing import Any

from segsuite.errors import ConfigError, plural, unknown_name

ONE_A_CLASS = ("class_weights", "alpha", "pixel_counts")
"""Settings that may be a list of one number a class. The Tversky loss has an alpha too, which is one number."""


def check_class_numbers(loss: Mapping[str, Any], classes: Sequence[str], prefix: str = "") -> None:
    """Raises ConfigError unless each list in the settings of a loss has one number a class and not all are 0, and
    `rare_classes` names classes. `prefix` is where the loss is in a sum."""
    for key in ONE_A_CLASS:
        numbers = loss.get(key)
        if isinstance(numbers, Sequence) and not isinstance(numbers, str) and len(numbers) != len(classes):
            raise ConfigError(
                f"loss.{prefix}{key} has {plural(len(numbers), 'number')}, the dataset {plural(len(classes), 'class')}",
                advice=f"give one number for each of: {', '.join(classes)}",
            )
        if isinstance(numbers, Sequence) and not isinstance(numbers, str) and not any(numbers):
            raise ConfigError(
                f"loss.{prefix}{key}: all numbers are 0", advice="give one class at least a number above 0"
            )
    for name in loss.get("rare_classes") or ():
        if name not in classes:
            raise ConfigError(
                unknown_name("class in loss.rare_classes", name, classes), advice="name classes of the data"
            )
    for index, term in enumerate(loss.get("terms") or ()):
        check_class_numbers(term, classes, f"{prefix}terms.{index}.")


def checked_clip(clip: tuple[float, float]) -> tuple[float, float]:
    """`clip` of class weights, unless it leaves no weight above 0. Raises ValueError."""
    if not (clip[0] <= clip[1] and clip[1] > 0):
        raise ValueError(f"write [lowest, highest], the highest above 0, not [{clip[0]:g}, {clip[1]:g}]")
    return clip
