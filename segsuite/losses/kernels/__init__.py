"""Triton kernels of the losses for GPUs; what they compute is defined, and computed elsewhere, by the files above.

Importing this imports no triton, which only Linux has.
"""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

MOST_CLASSES = 256


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


def usable(tensor: Tensor) -> bool:
    """Whether kernels can be launched on the device of `tensor`."""
    return tensor.is_cuda and _has_triton()


def take(logits_NCHW: Tensor) -> bool:
    """Whether the kernels compute sums of the softmax of these logits."""
    fits = 0 < logits_NCHW.shape[1] <= MOST_CLASSES and logits_NCHW.numel() > 0
    return usable(logits_NCHW) and fits and logits_NCHW.dtype != torch.float64
