"""From the settings of a loss to its arguments: rules become numbers, names of classes become ids."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from segsuite.config.class_numbers import check_class_numbers
from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.statistics import LabelCounts, label_counts
from segsuite.losses.class_weights import class_weights

Weights = dict[str, dict[str, float]]


def resolve_loss(
    options: Mapping[str, Any], training: SegmentationDataset, indices: Sequence[int]
) -> tuple[dict[str, Any], Weights]:
    """The arguments of a loss from its settings, and {setting: {class: number}} of all that are one number a class.

    Rules are applied to the pixels of the images `indices` of `training`, which are counted only when one asks. Raises
    ConfigError when a list does not have one number a class, or a name is no class.
    """
    check_class_numbers(options, training.classes)
    resolver = _Resolver(training, indices)
    return resolver.resolve(options), resolver.weights


class _Resolver:
    def __init__(self, training: SegmentationDataset, indices: Sequence[int]) -> None:
        self.training, self.indices = training, indices
        self.weights: Weights = {}

    @cached_property
    def counts(self) -> LabelCounts:
        return label_counts(self.training).of(self.indices)

    def resolve(self, options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        """`options` without rules; `prefix` is where they stand in a sum."""
        result = dict(options)
        # The Tversky loss has an alpha too, which is one number.
        for key in ("class_weights", "alpha"):
            if isinstance(result.get(key), str | Mapping | Sequence):
                result[key] = self._numbers(prefix + key, self._by_rule(result[key]))
        if "pixel_counts" in result:
            given = result["pixel_counts"]
            result["pixel_counts"] = self._numbers(
                prefix + "pixel_counts", self.counts.pixels_C if given is None else given
            )
        if "rare_classes" in result:
            result["rare_classes"] = [self.training.classes.index(name) for name in result["rare_classes"]]
        if "terms" in result:
            result["terms"] = [
                self.resolve(term, f"{prefix}terms.{index}.") for index, term in enumerate(result["terms"])
            ]
        return result

    def _by_rule(self, value: Any) -> Sequence[float]:
        """The numbers of a list, a rule's name, or a mapping of a rule and its settings."""
        if not isinstance(value, str | Mapping):
            return [float(number) for number in value]
        rule: dict[str, Any] = {"rule": value} if isinstance(value, str) else dict(value)
        return class_weights(self.counts.pixels_C, **rule, present_pixels=self.counts.present_pixels_C)

    def _numbers(self, setting: str, numbers: Sequence[float]) -> list[float]:
        self.weights[setting] = dict(zip(self.training.classes, map(float, numbers), strict=True))
        return list(numbers)
