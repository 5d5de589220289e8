"""Batch normalisation by the statistics of the batch of all ranks, as one process would take them of the whole batch.

torch's SyncBatchNorm does not run on a CPU, and putting it in the place of timm's layers loses their activation. Here
the function that all of them call is exchanged instead, on any device.
"""

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, distributed
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from segsuite.models.normalisation import BATCH_IS_SHARED


class SharedBatchNorm(TorchFunctionMode):
    """Within this context, batch normalisation in training takes its statistics over all ranks, each of which must have
    at least one image. It is entered once."""

    def __enter__(self) -> Self:
        self._before = BATCH_IS_SHARED.set(True)
        super().__enter__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        BATCH_IS_SHARED.reset(self._before)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return (_batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """torch.nn.functional.batch_norm of the batches of all ranks."""
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    output, mean_C, variance_C, count = _Normalised.apply(input, eps)
    if running_mean is not None and running_var is not None:
        unbiased_C = variance_C * (count / (count - 1).clamp_min(1.0))
        running_mean.lerp_(mean_C.to(running_mean.dtype), momentum)
        running_var.lerp_(unbiased_C.to(running_var.dtype), momentum)
    shape = (1, -1, *[1] * (input.ndim - 2))
    if weight is not None:
        output = output * weight.view(shape)
    if bias is not None:
        output = output + bias.view(shape)
    normalised: Tensor = output.to(input.dtype)
    return normalised


class _Normalised(Function):
    """(x - mean) / sqrt(variance + eps) in fp32, mean and variance of each channel over all ranks, and what they are
    of; differentiable by x once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.dtype, ctx.dims = x.dtype, (0, *range(2, x.ndim))
        ctx.shape = (1, -1, *[1] * (x.ndim - 2))
        x = x.float() if x.dtype != torch.float64 else x
        count = x.new_tensor([x.numel() / x.shape[1]])
        sums = torch.cat([x.sum(ctx.dims), count])
        distributed.all_reduce(sums)
        mean_C, count = sums[:-1] / sums[-1], sums[-1]
        centred = x - mean_C.view(ctx.shape)
        variance_C = centred.square().sum(ctx.dims)  # of what is centred: differences of large squares lose all digits
        distributed.all_reduce(variance_C)
        variance_C = variance_C / count
        scale_C = (variance_C + eps).rsqrt()
        output = centred.mul_(scale_C.view(ctx.shape))
        ctx.save_for_backward(output, scale_C, count)
        ctx.mark_non_differentiable(mean_C, variance_C, count)
        return output, mean_C, variance_C, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor, None]:
        output, scale_C, count = ctx.saved_tensors
        sums_2C = torch.stack([gradient.sum(ctx.dims), (gradient * output).sum(ctx.dims)])
        distributed.all_reduce(sums_2C)
        mean_C, along_C = (sums_2C / count).unbind()
        centred = gradient - mean_C.view(ctx.shape) - output * along_C.view(ctx.shape)
        return (centred * scale_C.view(ctx.shape)).to(ctx.dtype), None
