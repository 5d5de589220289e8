"""CUDA's autocast to bf16 on a CPU, forward only: which operations compute in which type decides whether those of a
network fit together, and CPU autocast decides otherwise (interpolation, for one, stays in bf16 there)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# From the lists of aten/src/ATen/autocast_mode.h that CUDA autocast is made of; convolutions and matrix products are in
# those of both devices.
TO_FP32 = {
    "acos", "asin", "cosh", "erfinv", "exp", "expm1", "log", "log10", "log2", "log1p", "reciprocal", "rsqrt", "sinh",
    "tan", "pow", "softplus", "layer_norm", "group_norm", "dist", "renorm", "logsumexp", "interpolate",
    "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "softmax", "log_softmax", "prod", "cumprod",
    "cumsum", "vector_norm", "norm", "sum",
}  # fmt: skip
TO_WIDEST = {"addcdiv", "addcmul", "atan2", "cross", "dot", "vdot", "grid_sample", "index_put", "scatter_add"}


@contextmanager
def cuda_autocast() -> Iterator[None]:
    """Types are those of autocast("cuda", torch.bfloat16) in the body, which has no gradients."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), _Fp32AsOnCuda():
        yield


class _Fp32AsOnCuda(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, kwargs = getattr(func, "__name__", ""), dict(kwargs or {})
        floats = {one.dtype for one in (*args, *kwargs.values()) if _is_float(one)}
        if name in TO_FP32 or (name in TO_WIDEST and len(floats) > 1):
            args = tuple(one.float() if _is_float(one) else one for one in args)
            kwargs = {key: one.float() if _is_float(one) else one for key, one in kwargs.items()}
        return func(*args, **kwargs)


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
