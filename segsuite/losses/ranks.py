"""Sums over the ranks of a training, so that every rank computes the loss of the whole batch.

A loss is a function of sums over pixels. Here each sum is one over the pixels of all ranks: the value is then that of
the global batch, on every rank, and the mean of the ranks' gradients, which DistributedDataParallel takes, is its
gradient. Without torch.distributed nothing here does anything.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def on_this_rank() -> Iterator[None]:
    """Losses in the body are those of this rank's batch; for what ranks do not compute equally often."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def world_size() -> int:
    """Number of ranks; 1 without torch.distributed."""
    if _ALONE.get():
        return 1
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def over_ranks(values: Tensor) -> Tensor:
    """The sum of `values` over all ranks; differentiable. Every rank must make the same number of the sum."""
    if world_size() == 1:
        return values
    total: Tensor = _SumOverRanks.apply(values)
    return total


def gathered(values: Tensor) -> Tensor:
    """The `values` of all ranks, flat, in the order of the ranks; as many on each; no gradient."""
    flat = values.detach().flatten()
    if world_size() == 1:
        return flat
    of_ranks = [torch.empty_like(flat) for _ in range(world_size())]
    distributed.all_gather(of_ranks, flat)
    return torch.cat(of_ranks)


def own_part(values: Tensor) -> Tensor:
    """What belongs to this rank of `values`, which are in the order of `gathered`."""
    return values if world_size() == 1 else values.chunk(world_size())[distributed.get_rank()]


def norm_over_ranks(norm: float, device: torch.device) -> float:
    """The norm of a loss's gradient to the logits of all ranks, from that to this rank's."""
    if world_size() == 1:
        return norm
    square_sum = torch.tensor(norm**2, dtype=torch.float64, device=device)
    distributed.all_reduce(square_sum)
    return math.sqrt(float(square_sum)) / world_size()  # each rank's is world size times its part, see over_ranks


class _SumOverRanks(Function):
    """All ranks make one loss of the sum, so its gradient is the same everywhere and that of all ranks' losses is world
    size times it: known without another message, whose order among those of DistributedDataParallel would matter."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * world_size()
