"""A weighted sum of losses."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from segsuite.errors import ConfigError
from segsuite.losses.base import Loss
from segsuite.losses.pixels import Pixels


def weighted_sum(pixels: Pixels, losses: Sequence[Loss], weights: Sequence[float]) -> Tensor:
    """Sum of weight * loss over the same pixels."""
    return sum(
        (weight * loss.of(pixels) for weight, loss in zip(weights, losses, strict=True)),
        start=pixels.logits_NCHW.new_zeros((), dtype=pixels.dtype),
    )


class WeightedSum(Loss):
    """The sum of its terms, each times its weight; they share one softmax (see softmax_sums.py).

    terms: mappings of a loss's name and settings, and `weight` (1 if not given): [{"name": "cross_entropy"},
    {"name": "dice", "weight": 0.5}]. Additive when all terms are.
    """

    def __init__(self, terms: Sequence[Mapping[str, Any]], ignore_index: int = 255) -> None:
        from segsuite.losses import build_loss

        super().__init__(ignore_index)
        if not terms:
            raise ConfigError("the sum has no terms", advice="give at least one loss")
        settings = [{"ignore_index": ignore_index, **term} for term in terms]
        self.weights = [float(term.pop("weight", 1.0)) for term in settings]
        for name in (str(term.get("name")) for term in settings):
            if name == "sum":
                raise ConfigError(
                    "a term of a sum is a sum", advice="write the terms of the inner sum in the outer one"
                )
        self.losses = nn.ModuleList(build_loss(**term) for term in settings)
        self.additive = all(loss.additive for loss in self._terms())
        self.sums = any(loss.sums for loss in self._terms())
        self.squares = any(loss.squares for loss in self._terms())

    def of(self, pixels: Pixels) -> Tensor:
        return weighted_sum(pixels, self._terms(), self.weights)

    def _terms(self) -> list[Loss]:
        return [loss for loss in self.losses if isinstance(loss, Loss)]
