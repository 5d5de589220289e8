"""Tensors without values: they have a shape, a type and an owner in memory, and run through any network at no cost.

An Outline claims to be on the CPU, where it computes nothing: each operation asks PyTorch only for the shapes that it
gives (its `meta` device). Autograd works on outlines, so that what a training step keeps can be counted too.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from segsuite.inspect.spans import Spans


class Watcher(Protocol):
    """Who is asked to run an operation on outlines."""

    def run(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What it gives, as outlines."""


class Ledger:
    """Bytes of all tensors that are alive, and the most that there have been at once."""

    def __init__(self) -> None:
        self.live = self.peak = 0

    def enter(self, holder: "Memory") -> None:
        """Counts `holder` until nothing refers to it, once, unless it is of weights."""
        if holder.entered or holder.of_weights:
            return
        holder.entered = True
        self.live += holder.size
        self.peak = max(self.peak, self.live)
        weakref.finalize(holder, self._leave, holder.size)

    def _leave(self, size: int) -> None:
        self.live -= size


class Memory:
    """What an outline and its views would stand in. `of_weights`: it holds parameters, what is made of parameters
    alone, or their gradients, which are no activations."""

    def __init__(self, size: int, of_weights: bool = False) -> None:
        self.size, self.of_weights, self.entered = size, of_weights, False


class Outline(torch.Tensor):
    """`hollow`: a tensor of the meta device; `tracked`: does it depend on the image; `spans`: on which part of it,
    where that is asked for; `owners`: names of the parameters that it is made of; `grid`: of places that a max-pooling
    found, its output's height and width."""

    hollow: Tensor
    memory: Memory
    tracked: bool
    spans: Spans | None
    owners: frozenset[str]
    grid: tuple[int, int] | None
    watcher: Watcher

    @staticmethod
    def of(
        hollow: Tensor,
        watcher: Watcher,
        memory: Memory,
        spans: Spans | None = None,
        owners: frozenset[str] = frozenset(),
        requires_grad: bool = False,
    ) -> "Outline":
        """An outline of `hollow`, on the CPU."""
        made: Outline = torch.Tensor._make_wrapper_subclass(
            Outline,
            hollow.size(),
            strides=hollow.stride(),
            storage_offset=hollow.storage_offset(),
            dtype=hollow.dtype,
            device=torch.device("cpu"),
            requires_grad=requires_grad,
        )
        made.hollow, made.watcher, made.memory = hollow, watcher, memory
        made.tracked, made.spans, made.owners, made.grid = False, spans, owners, None
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # a class method, as PyTorch calls it; its stub has an instance's
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        return next(outlines((*args, *kwargs.values()))).watcher.run(func, args, kwargs)


def outlines(values: Iterable[Any]) -> Iterator[Outline]:
    """All outlines in `values` and in lists within."""
    for value in values:
        if isinstance(value, Outline):
            yield value
        elif isinstance(value, list | tuple):
            yield from outlines(value)


def replaced(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """`value` with each tensor in it changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(replaced(item, change) for item in value)
    return value


def meta(x: Tensor) -> Tensor:
    """What stands for `x` on the meta device."""
    if isinstance(x, Outline):
        return x.hollow
    # what is computed from numbers alone (a scale, a border) may be asked for by meta kernels as a number
    return x if x.device.type == "meta" or x.dim() == 0 else x.detach().to("meta")


def shapes_of(operation: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `operation` gives on the meta device; the shortcuts are of those that take PyTorch long to tell."""
    args = replaced(args, meta)
    if name in LIKE_FIRST and isinstance(args[0], Tensor):
        return torch.empty_like(args[0])
    if name == "native_batch_norm":
        statistics = args[0].new_empty(args[0].shape[1] if args[5] else 0)
        return torch.empty_like(args[0]), statistics, torch.empty_like(statistics)
    if name == "native_batch_norm_backward":
        vector = args[0].new_empty(args[0].shape[1])
        return torch.empty_like(args[0]), vector, torch.empty_like(vector)
    kwargs = {key: replaced(value, meta) for key, value in kwargs.items()}
    if "device" in kwargs:
        kwargs["device"] = torch.device("meta")
    return operation(*args, **kwargs)


LIKE_FIRST = frozenset(
    (
        *("relu", "silu", "sigmoid", "hardtanh", "hardsigmoid", "hardswish", "gelu", "elu", "leaky_relu", "mish"),
        *("threshold_backward", "hardtanh_backward", "silu_backward", "gelu_backward"),
    )
)
