"""CUDA's autocast to bf16 on a CPU, forward only: which operations compute in which type decides whether those of a
network fit together, and CPU autocast decides otherwise (interpolation, for one, stays in bf16 there)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

# From the lists of aten/src/ATen/autocast_mode.h that CUDA autocast is made of, as they arrive at the dispatcher;
# convolutions and matrix products are in those of both devices.
TO_FP32 = {
    "acos", "asin", "cosh", "erfinv", "exp", "expm1", "log", "log10", "log2", "log1p", "reciprocal", "rsqrt", "sinh",
    "tan", "pow", "softplus", "native_layer_norm", "native_group_norm", "dist", "renorm", "logsumexp",
    "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "_upsample_nearest_exact2d", "_softmax",
    "_log_softmax", "prod", "cumprod", "cumsum", "linalg_vector_norm", "sum",
}  # fmt: skip
TO_WIDEST = {"addcdiv", "addcmul", "atan2", "cross", "dot", "vdot", "grid_sampler_2d", "index_put", "scatter_add"}


@contextmanager
def cuda_autocast() -> Iterator[None]:
    """Types are those of autocast("cuda", torch.bfloat16) in the body, which has no gradients."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), _Fp32AsOnCuda():
        yield


class _Fp32AsOnCuda(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.partition(".")[0]
        given = [one for one in torch.utils._pytree.tree_leaves((args, kwargs)) if _is_float(one)]
        dtype = torch.float32 if name in TO_FP32 else None
        if name in TO_WIDEST and len({one.dtype for one in given}) > 1:
            dtype = torch.float32
        if dtype is not None:
            args, kwargs = tree_map(lambda one: one.to(dtype) if _is_float(one) else one, (args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
