"""What a device can do."""

from functools import cache
from importlib.util import find_spec

from torch import Tensor


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


def runs_triton(tensor: Tensor) -> bool:
    """Whether Triton's kernels can be launched on the device of `tensor`: CUDA, on Linux."""
    return tensor.is_cuda and _has_triton()
