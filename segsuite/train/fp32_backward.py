"""Convolutions under bf16 on a CPU whose backward is to be computed in fp32; forward they stay in bf16.

- Depthwise ones: oneDNN's bf16 backward is 2 to 100 times slower than its fp32 one, which makes it half of the training
  step of an EfficientNet (docs/decisions/0002-precision-auto.md has the figures). May go when a torch release closes
  that gap; benchmarks/precision.py shows whether it has.
- Those with weights that meet nothing but padding, such as the outer ones of 7 x 7 on a map of 1 x 1: in torch 2.11 to
  2.15 the gradients of these weights are memory that nobody has written, of kernels of 5 and more. They are 0.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]


class Convolution(torch.autograd.Function):
    """Forward as it comes, backward in fp32: what convolutions become inside of the mode below."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = (stride, padding, dilation, groups, bias is not None)
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation, groups, has_bias = ctx.geometry
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], has_bias and ctx.needs_input_grad[2]]
        grad_x, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
            grads[0].float(), x.float(), weight.float(), [weight.shape[0]] if has_bias else None,
            stride, padding, dilation, False, [0, 0], groups, wanted,
        )  # fmt: skip
        return (
            grad_x.to(x.dtype) if wanted[0] else None,
            grad_weight.to(weight.dtype) if wanted[1] else None,
            grad_bias if wanted[2] else None,
            None,
            None,
            None,
            None,
        )


class Fp32Backward(TorchFunctionMode):
    """Within this context, such convolutions under CPU autocast to bf16 compute their gradients in fp32.

    A function mode, because timm's strided convolutions pad by themselves and call `conv2d` without a module around it.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.conv2d:
            call = _arguments(*args, **(kwargs or {}))
            if call is not None:
                return Convolution.apply(*call)
        return func(*args, **(kwargs or {}))


def _arguments(
    input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None,
    stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> tuple[Any, ...] | None:  # fmt: skip
    """The arguments of `Convolution`, or None where the plain one is to be used."""
    if not torch.is_grad_enabled() or isinstance(padding, str) or input.device.type != "cpu":
        return None
    if not torch.is_autocast_enabled("cpu") or torch.get_autocast_dtype("cpu") != torch.bfloat16:
        return None
    geometry = [(value, value) if isinstance(value, int) else tuple(value) for value in (stride, padding, dilation)]
    is_depthwise = groups != 1 and groups == input.shape[1]
    if not is_depthwise and not any(map(_meets_padding_only, input.shape[2:], weight.shape[2:], *geometry)):
        return None
    low = [tensor if tensor is None else tensor.to(torch.bfloat16) for tensor in (input, weight, bias)]
    return *low, *geometry, groups


def _meets_padding_only(size: int, kernel: int, stride: int, padding: int, dilation: int) -> bool:
    """Whether a kernel of 5 and more has weights, along one axis, that no output multiplies with a pixel."""
    reach = dilation * (kernel - 1)
    if kernel < 5 or size > reach:
        return False
    firsts = range(-padding, size + padding - reach, stride)  # where the kernel begins
    return any(all(not 0 <= first + at < size for first in firsts) for at in range(0, reach + 1, dilation))
