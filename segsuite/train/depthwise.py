"""Depthwise convolutions under bf16 on a CPU: forward in bf16, backward in fp32.

oneDNN's bf16 backward of a depthwise convolution is 2 to 100 times slower than its fp32 one, which makes it half of
the training step of an EfficientNet (docs/decisions/0002-precision-auto.md has the figures). May go when a torch
release closes that gap; benchmarks/precision.py shows whether it has.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]


class DepthwiseConvolution(torch.autograd.Function):
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
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = (stride, padding, dilation, bias is not None)
        return torch.conv2d(x, weight, bias, stride, padding, dilation, x.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation, has_bias = ctx.geometry
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], has_bias and ctx.needs_input_grad[2]]
        grad_x, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
            grads[0].float(), x.float(), weight.float(), [weight.shape[0]] if has_bias else None,
            stride, padding, dilation, False, [0, 0], x.shape[1], wanted,
        )  # fmt: skip
        return (
            grad_x.to(x.dtype) if wanted[0] else None,
            grad_weight.to(weight.dtype) if wanted[1] else None,
            grad_bias if wanted[2] else None,
            None,
            None,
            None,
        )


class Fp32DepthwiseBackward(TorchFunctionMode):
    """Within this context, depthwise convolutions under CPU autocast to bf16 compute their gradients in fp32.

    A function mode, because timm's strided convolutions pad by themselves and call `conv2d` without a module around it.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.conv2d:
            call = _bind(*args, **(kwargs or {}))
            if call is not None:
                return DepthwiseConvolution.apply(*call)
        return func(*args, **(kwargs or {}))


def _bind(
    input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None,
    stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> tuple[Any, ...] | None:  # fmt: skip
    """The arguments of the depthwise function, or None where the plain convolution is to be used."""
    if groups == 1 or groups != input.shape[1] or isinstance(padding, str) or not torch.is_grad_enabled():
        return None
    if (
        not torch.is_autocast_enabled("cpu")
        or torch.get_autocast_dtype("cpu") != torch.bfloat16
        or input.device.type != "cpu"
    ):
        return None
    low = [tensor if tensor is None else tensor.to(torch.bfloat16) for tensor in (input, weight, bias)]
    return (
        *low,
        *((value, value) if isinstance(value, int) else tuple(value) for value in (stride, padding, dilation)),
    )
