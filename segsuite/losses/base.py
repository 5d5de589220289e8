"""The base of all losses, and the checks of settings that they share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsuite.errors import ConfigError, plural
from segsuite.losses.pixels import Pixels


class Loss(nn.Module, ABC):
    """forward(logits_NCHW, labels_NHW) -> scalar; contract in the package docstring.

    `of` is the loss itself and takes what is shared with the other terms of a sum; `sums` and `squares` say which sums
    of the softmax it reads. `additive`: the value of a batch is the mean of the values of its parts when these have
    equally many valid pixels of each class and equally many images. With `train.accumulate` it is then the mean over
    all batches of an optimizer step, however many pixels and images each of them has (effective_batch.py).
    """

    additive: bool = True
    sums: bool = False
    squares: bool = False

    def __init__(self, ignore_index: int = 255) -> None:
        super().__init__()
        if not 0 <= ignore_index <= 255:
            raise ConfigError(
                f"ignore_index is {ignore_index}, outside 0..255", advice="choose 255, the void of the suite"
            )
        self.ignore_index = ignore_index

    def forward(self, logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
        """Scalar fp32 (fp64 for fp64 logits). Raises DataError for an unknown label on a CPU, ConfigError when a
        setting of one number a class does not fit C."""
        return self.of(Pixels(logits_NCHW, labels_NHW, self.ignore_index, self.sums, self.squares))

    @abstractmethod
    def of(self, pixels: Pixels) -> Tensor:
        """The loss of `pixels`, a scalar."""

    def keep_per_class(self, name: str, values: Sequence[float] | None) -> None:
        """Keeps one number >= 0 a class, or None, as the buffer `name`. Raises ConfigError for anything else."""
        numbers = None if values is None else torch.tensor(list(values), dtype=torch.float32)
        if numbers is not None and not (
            numbers.ndim == 1 and torch.isfinite(numbers).all() and (numbers >= 0).all() and numbers.sum() > 0
        ):
            raise ConfigError(f"{name} are {list(values or [])}", advice="give one number >= 0 a class, not all 0")
        # not in the state dict: a setting, not something learnt
        self.register_buffer(f"{name}_C", numbers, persistent=False)


def check_length(name: str, values_C: Tensor | None, num_classes: int) -> None:
    """Raises ConfigError when a setting of one number a class does not fit the logits."""
    if values_C is not None and len(values_C) != num_classes:
        raise ConfigError(
            f"{name} has {plural(len(values_C), 'number')}, the model has {num_classes} classes",
            advice="give one number a class, in the order of the classes",
        )


def check_range(name: str, value: float, low: float, high: float = float("inf"), above: bool = False) -> None:
    """Raises ConfigError unless low <= value <= high (low < value with `above`)."""
    if not (low < value if above else low <= value) or not value <= high:
        range_ = f"{'above ' if above else 'at least '}{low:g}" + (f", at most {high:g}" if high < float("inf") else "")
        raise ConfigError(f"{name} is {value:g}", advice=f"choose a number {range_}")
