"""What a network costs, counted: parameters and multiply-adds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry


def count_parameters(module: nn.Module) -> int:
    """Number of parameters, frozen ones too; each counts once, however often it is used."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_multiply_adds(call: Callable[[], object]) -> int:
    """Multiply-adds while `call` runs: those of convolutions and matrix products (half of torch's floating-point
    operations). Interpolation, normalisation, activations and other work element by element count nothing.
    """
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops()) // 2


def multiply_adds_of(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], made: Any) -> int:
    """Multiply-adds of one operation of PyTorch (an OpOverload) that gives `made`, as count_multiply_adds counts it."""
    formula = flop_registry.get(operation.overloadpacket)
    return int(formula(*args, **kwargs, out_val=made)) // 2 if formula else 0
