"""Atrous encoders: strides replaced by dilation, so that the last features stay at stride 8 or 16.

The rule (Chen et al. 2017, arXiv 1706.05587, section 3.1): a stride that is removed multiplies the rate of every
window that comes after it. The window that had the stride keeps its own rate, so the first block of a dilated stage
has the former rate in its strided convolution, as with torchvision's replace_stride_with_dilation. Then the network
with strides is inside the dense one: every 2nd or 4th feature equals its features, value by value
(tests/encoders/test_dilation.py). Global averages (squeeze and excitation, selective kernels) are the one thing that
changes: they average over the denser grid.

smp 0.6.0's own dilated encoders give the full rate to all convolutions of a stage: other features, 18 to 22 % away for
resnet50 with random weights.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from segsuite.encoders.names import check_dilatable, check_multi_grid
from segsuite.encoders.windows import WINDOWS, dense, pair, shift_to_centre
from segsuite.errors import ConfigError

PROBE_SIZE = 64
LAST_STRIDE = 32


def dilate(body: nn.Module, name: str, output_stride: int, multi_grid: Sequence[int] | None = None) -> None:
    """Removes the strides of the encoder `body` beyond `output_stride` (8, 16; 32 keeps all), in place; parameters
    and their names stay. multi_grid: see apply_multi_grid.

    Raises ConfigError when that is not possible for the encoder `name`.
    """
    if output_stride < LAST_STRIDE:
        check_dilatable(name)
        try:
            _remove_strides(body, output_stride)
        except (ValueError, RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"the strides of encoder '{name}' cannot be replaced by dilation: {str(error).splitlines()[0]}",
                "model.output_stride",
                "take output_stride: 32, or another encoder, for example resnet50",
            ) from error
    if multi_grid is not None:
        apply_multi_grid(body, name, output_stride, multi_grid)


def apply_multi_grid(body: nn.Module, name: str, output_stride: int, multi_grid: Sequence[int]) -> None:
    """Gives each block of a ResNet's last stage the rate 32 / output_stride times its unit rate, in place: (1, 2, 4)
    gives (2, 4, 8) at output stride 16 (the paper's section 3.2; there the first block has the full rate too).

    Raises ConfigError unless `name` is a ResNet with as many blocks in its last stage as unit rates.
    """
    check_multi_grid(name, multi_grid)
    stages = [module for path, module in body.named_modules() if path.rpartition(".")[2] == "layer4"]
    blocks = list(stages[0].children())
    for block, unit in zip(blocks, multi_grid, strict=True):
        set_rate(block, LAST_STRIDE // output_stride * unit)


def set_rate(block: nn.Module, rate: int) -> None:
    """Gives every convolution wider than 1x1 in `block` that rate, and the padding that keeps its size, in place."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            kernel = module.kernel_size
            module.dilation = (rate, rate)
            module.padding = (rate * (kernel[0] // 2), rate * (kernel[1] // 2))


def _remove_strides(body: nn.Module, output_stride: int) -> None:
    """Raises ValueError when the features do not come out as they should."""
    strides, before = _input_strides(body)
    windows = {path: body.get_submodule(path) for path in strides}
    shifts: dict[int, list[int]] = {}
    for path, window in windows.items():
        assert isinstance(window, WINDOWS)
        stride, own = strides[path], pair(window.stride)[0]
        if stride < output_stride < stride * own:
            raise ValueError(f"'{path}' goes from stride {stride} to {stride * own} in one step")
        if stride >= output_stride and own > 1:
            shifts.setdefault(stride, []).append(shift_to_centre(window, stride // output_stride))
    for path, window in windows.items():
        assert isinstance(window, WINDOWS)
        stride = strides[path]
        if stride * pair(window.stride)[0] > output_stride:
            parent, _, child = path.rpartition(".")
            # branches meet again: all windows that had this stride move alike
            shift = min(shifts.get(stride, [0]))
            setattr(body.get_submodule(parent), child, dense(window, stride // output_stride, shift))
    if _probe(body) != [max(size, PROBE_SIZE // output_stride) for size in before]:
        raise ValueError("something else than convolutions and poolings reduces its features")


def _input_strides(body: nn.Module) -> tuple[dict[str, int], list[int]]:
    """Path of each convolution and pooling -> stride of what it gets; and what _probe gives."""
    found: dict[str, int] = {}

    def record(path: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(module, WINDOWS)
        if pair(module.kernel_size) == pair(module.stride) == (1, 1):
            return  # the same at every rate
        height, width = inputs[0].shape[-2:]
        if height != width or PROBE_SIZE % height or found.get(path, PROBE_SIZE // height) != PROBE_SIZE // height:
            raise ValueError(f"'{path}' gets {height} x {width} pixels of {PROBE_SIZE} x {PROBE_SIZE}")
        found[path] = PROBE_SIZE // height

    windows = [(path, module) for path, module in body.named_modules() if isinstance(module, WINDOWS)]
    hooks = [module.register_forward_pre_hook(partial(record, path)) for path, module in windows]
    try:
        sizes = _probe(body)
    finally:
        for hook in hooks:
            hook.remove()
    return found, sizes


def _probe(body: nn.Module) -> list[int]:
    """Height of each feature of a square image; nothing of `body` changes."""
    first, training = next(body.parameters()), body.training
    body.eval()
    try:
        with torch.no_grad():
            features = body(torch.zeros(1, 3, PROBE_SIZE, PROBE_SIZE, dtype=first.dtype, device=first.device))
    finally:
        body.train(training)
    return [feature.shape[-2] for feature in features]
