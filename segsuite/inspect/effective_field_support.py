"""The theoretical field of a real network: the inputs that can move one of its outputs, whatever the weights.

In a copy all weights are positive, activations and normalisations are identities and poolings are means: no two paths
can cancel, so that the gradient is positive exactly where there is a path, and proportional to the number of paths.
Means over the whole map (image pooling, squeeze and excitation) reach everything and would hide the rest: they pass no
gradient here.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from segsuite.inspect.effective_field import INPUT, OUTPUT, Field, effective_fields

LARGEST_FIELD = 4096
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
SAFE_DECADES = 60.0
"""float32 has 1e-38 to 1e38, and the gradient starts at PATHS_SCALE."""


def path_fields(
    network: nn.Module, size: tuple[int, int], of: str = OUTPUT, by: Sequence[str] = (INPUT,)
) -> dict[str, Field]:
    """The field of the central place of `of` in each of `by`, for inputs (1, 3, *size): the energy is proportional to
    the number of paths, and 0 where there is none."""
    positive = positive_copy(network)
    kind = next((parameter.dtype for parameter in positive.parameters()), torch.float32)
    draw = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0), dtype=kind) + 0.5
    with PathsOnly():
        return effective_fields(positive, [draw], of, by, paths=True)


def field_size(network: nn.Module, of: str = OUTPUT, short: int = 32) -> tuple[int, bool]:
    """Side in pixels of the theoretical field of the central place of `of` in the input, and whether that is all of
    it: it is looked for along strips of up to LARGEST_FIELD pixels.

    Fields of square windows are squares, so a strip of `short` x length tells their side.
    """
    length = LARGEST_FIELD // 4
    while True:
        field = path_fields(network, (short, length), of)[INPUT]
        reached = np.flatnonzero(field.energy_HW.any(axis=0))
        inside = reached[0] > 0 and reached[-1] < field.energy_HW.shape[1] - 1
        if inside or length >= LARGEST_FIELD:
            return int(reached[-1] - reached[0] + 1), bool(inside)
        length *= 4


def positive_copy(network: nn.Module) -> nn.Module:
    """A copy for evaluation, every weight of a convolution or linear layer 1 by the number of its inputs, without
    biases; other parameters are made positive.

    In float32 when the weight of the longest path that there can be, the product of 1 / kernel area, is far from
    underflow, else in float64, which is many times slower for depthwise convolutions.
    """
    copied = copy.deepcopy(network).float().eval().requires_grad_(False)
    areas = [module.weight[0, 0].numel() for module in copied.modules() if isinstance(module, CONVOLUTIONS)]
    if sum(map(math.log10, areas)) > SAFE_DECADES:
        copied = copied.double()
    for module in copied.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if name == "bias":
                parameter.zero_()
            elif name == "weight" and parameter.ndim > 1:
                inputs = parameter.shape[1]
                if isinstance(module, nn.ConvTranspose2d):
                    inputs = parameter.shape[0] // module.groups
                parameter.fill_(1.0 / (inputs * parameter[0, 0].numel()))
            else:
                parameter.abs_().add_(1e-3)
    return copied


class PathsOnly(TorchFunctionMode):
    """While it is entered, activations and normalisations give their input back, a maximum over a window is its mean,
    and means over whole maps pass no gradient."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch instead of `func`."""
        kwargs = kwargs or {}
        if func in IDENTITIES:
            return args[0] if args else kwargs["input"]
        if func in (F.max_pool2d, torch.max_pool2d):
            return _mean_pool(*args, **{key: value for key, value in kwargs.items() if key != "return_indices"})
        result = func(*args, **kwargs)
        return result.detach() if func in MEANS and _is_global(result, args) else result


IDENTITIES = {
    *(F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6, F.hardtanh, F.leaky_relu, F.elu, F.celu),
    *(F.selu, F.silu, F.gelu, F.mish, F.hardswish, F.prelu, F.batch_norm, F.layer_norm, F.group_norm, F.instance_norm),
}
MEANS = {F.adaptive_avg_pool2d, F.adaptive_max_pool2d, torch.mean, Tensor.mean}


def _is_global(result: Any, args: tuple[Any, ...]) -> bool:
    """Whether one number a channel was made of a map."""
    given = args[0] if args else None
    if not isinstance(result, Tensor) or not isinstance(given, Tensor) or given.ndim != 4:
        return False
    return result.numel() == given.shape[0] * given.shape[1] != given.numel()


def _mean_pool(
    x_NCHW: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Every input of the window counts, and those beyond the border as 0; the size is that of F.max_pool2d."""
    pooled = F.max_pool2d(x_NCHW.detach(), kernel_size, stride, padding, dilation, ceil_mode)
    kernels, strides, paddings, dilations = (
        (value, value) if isinstance(value, int) else tuple(value)
        for value in (kernel_size, kernel_size if stride in (None, []) else stride, padding, dilation)
    )
    short = [
        (size - 1) * step + (kernel - 1) * rate + 1 - (given + 2 * pad)
        for size, step, kernel, rate, given, pad in zip(
            pooled.shape[-2:], strides, kernels, dilations, x_NCHW.shape[-2:], paddings, strict=True
        )
    ]
    padded = F.pad(x_NCHW, (0, max(short[1], 0), 0, max(short[0], 0)))
    weight = x_NCHW.new_full((x_NCHW.shape[1], 1, *kernels), 1.0 / (kernels[0] * kernels[1]))
    mean_NCHW = F.conv2d(padded, weight, None, strides, paddings, dilations, x_NCHW.shape[1])
    return mean_NCHW[..., : pooled.shape[-2], : pooled.shape[-1]]
