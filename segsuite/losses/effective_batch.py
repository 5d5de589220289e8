"""The batches whose gradients make one optimizer step (`train.accumulate`): a loss is the mean over all of them.

A mean over pixels is a sum divided by a number of pixels, by the sum of their weights, or by a number of images. Here
that number is the one of all batches of the step, which follows from their labels and is known before the first of them
is computed: batches with more void then count for less, one of void alone counts for nothing, and a last step of fewer
batches is as long as any other. A loss that is no such mean (dice of a batch, OHEM) is averaged over the batches.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from segsuite.losses.ranks import over_ranks

Count = Callable[[Tensor], Tensor]
"""From labels (N, H, W) to a scalar."""


class EffectiveBatch:
    """`labels` of all batches of an optimizer step; the trainer divides the gradient of each by `parts`."""

    def __init__(self, labels: Sequence[Tensor], parts: int) -> None:
        self.labels, self.parts = labels, parts
        self._counts: dict[Hashable, Tensor] = {}

    def counts(self, key: Hashable, count: Count) -> Tensor:
        """`count` of each batch of all ranks; once for each key."""
        if key not in self._counts:
            self._counts[key] = over_ranks(torch.stack([count(labels_NHW) for labels_NHW in self.labels]))
        return self._counts[key]


_CURRENT: ContextVar[EffectiveBatch | None] = ContextVar("effective_batch", default=None)


@contextmanager
def within(effective: EffectiveBatch | None) -> Iterator[None]:
    """Losses in the body are those of a batch of `effective`; None: of a batch on its own."""
    token = _CURRENT.set(effective)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def divisor(key: Hashable, count: Count, own: Callable[[], Tensor]) -> Tensor:
    """What a sum over a batch is divided by to be its part of the mean over the effective batch, and 1 instead of 0.

    `own` is the number of this batch, which it is on its own; within an effective batch it is `count` of all batches
    over the number of parts, since the trainer divides by those. Both of all ranks. `key` is equal where `count` is.
    """
    current = _CURRENT.get()
    number = over_ranks(own()) if current is None else current.counts(key, count).sum() / current.parts
    return torch.where(number > 0, number, 1.0)


def batch_share(value: Tensor, ignore_index: int) -> Tensor:
    """The `value` of a batch, which is no mean over pixels or images, as its part of the mean over the batches with a
    valid pixel."""
    current = _CURRENT.get()
    if current is None:
        return value
    valid = current.counts(("any", ignore_index), lambda labels_NHW: (labels_NHW != ignore_index).any().float())
    return value * (current.parts / (valid > 0).sum().clamp_min(1))
