"""Triton kernels of the losses for GPUs; what they compute is defined, and computed elsewhere, by the files above.

Importing this imports no triton, which only Linux has.
"""

import torch
from torch import Tensor

from segsuite.devices import runs_triton

MOST_CLASSES = 256


def take(logits_NCHW: Tensor) -> bool:
    """Whether the kernels compute sums of the softmax of these logits."""
    fits = 0 < logits_NCHW.shape[1] <= MOST_CLASSES and logits_NCHW.numel() > 0
    return runs_triton(logits_NCHW) and fits and logits_NCHW.dtype != torch.float64
