"""Convolutions and poolings without their stride, at another rate, where they stood on the grid before.

Where a window stands matters as much as its rate. A 2x2 window, and TensorFlow's "same" padding at a stride, reach
further to the right than to the left of their pixel; as dense windows they look half a window, or a whole rate, past
it, which is 24 pixels of the image for an EfficientNet-lite at output stride 8. `shift_to_centre` says by how much
such a window may move; windows whose results meet must move together. "Same" padding is taken as it is at sizes
that the stride divides.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.io.imports import without

with without("wandb"):  # see library.py
    from timm.layers.conv2d_same import Conv2dSame
    from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame

Window = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d
WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
PADS_ITSELF = (AvgPool2dSame, Conv2dSame, MaxPool2dSame)
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]  # left, right, top, bottom, as torch.nn.functional.pad takes them


class AtrousConv2d(nn.Conv2d):
    """(N, C, H, W) -> (N, C', H, W): `conv` at stride 1 with another rate and padding; it shares the parameters of
    `conv`."""

    def __init__(self, conv: nn.Conv2d, dilation: Pair, sides: Sides) -> None:
        # the meta device: nothing is drawn from the global generator for weights that are replaced at once
        super().__init__(
            conv.in_channels, conv.out_channels, pair(conv.kernel_size), 1, 0, dilation, conv.groups,
            conv.bias is not None, device="meta",
        )  # fmt: skip
        self.weight, self.bias, self.sides = conv.weight, conv.bias, sides

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of the padded `input`."""
        return super().forward(F.pad(input, self.sides))


class AtrousMaxPool2d(nn.MaxPool2d):
    """(N, C, H, W) -> (N, C, H, W): maximum over a dilated window, as far as it is inside."""

    def __init__(self, kernel: Pair, dilation: Pair, sides: Sides) -> None:
        super().__init__(kernel, 1, 0, dilation)
        self.sides = sides

    def forward(self, input: Tensor) -> Tensor:
        """The pooled features."""
        pooled: Tensor = super().forward(F.pad(input, self.sides, value=float("-inf")))
        return pooled


class AtrousAvgPool2d(nn.AvgPool2d):
    """(N, C, H, W) -> (N, C, H, W): mean over a dilated window, as far as it is inside, or with `counts_padding`
    zeros outside."""

    def __init__(self, kernel: Pair, dilation: Pair, sides: Sides, counts_padding: bool) -> None:
        super().__init__(kernel, 1)
        self.dilation, self.sides, self.counts_padding = dilation, sides, counts_padding
        self._taps = [(i * dilation[0], j * dilation[1]) for i in range(kernel[0]) for j in range(kernel[1])]

    def forward(self, input: Tensor) -> Tensor:
        """The pooled features."""
        if self.counts_padding:
            return self._sum(input) / len(self._taps)
        return self._sum(input) / self._sum(torch.ones_like(input[:1, :1]))

    def _sum(self, x_NCHW: Tensor) -> Tensor:
        height, width = x_NCHW.shape[-2:]
        padded = F.pad(x_NCHW, self.sides)
        return torch.stack([padded[..., y : y + height, x : x + width] for y, x in self._taps]).sum(0)


def dense(window: Window, rate: int, shift: int = 0) -> Window:
    """`window` at stride 1, its rate multiplied by `rate`; the same object, changed, when that is enough.

    On an input whose samples p, p + rate, p + 2 rate, ... are what `window` got, the output's samples q, q + rate *
    stride, ... are what `window` gave: q = p for a window without stride, else q = p + shift. shift: 0 to what
    shift_to_centre gives. Raises ValueError when a convolution cannot be changed so.
    """
    kernel, stride, dilation = pair(window.kernel_size), pair(window.stride), _dilation(window, rate)
    edges = []
    for axis in (0, 1):
        start, end = (rate * pixels for pixels in _padding(window, axis))
        if stride[axis] > 1:  # as many outputs as inputs
            start += shift
            end = max(0, dilation[axis] * (kernel[axis] - 1) - start)
        edges.append((start, end))
    (top, bottom), (left, right) = edges
    sides = left, right, top, bottom
    if isinstance(window, nn.MaxPool2d):
        return AtrousMaxPool2d(kernel, dilation, sides)
    if isinstance(window, nn.AvgPool2d):
        return AtrousAvgPool2d(kernel, dilation, sides, window.count_include_pad and any(pair(window.padding)))
    if _pads_itself(window) or type(window).forward is nn.Conv2d.forward:
        if left == right and top == bottom and not _pads_itself(window):
            window.stride, window.dilation, window.padding = (1, 1), dilation, (top, left)
            return window
        return AtrousConv2d(window, dilation, sides)
    raise ValueError(f"a {type(window).__name__} has a forward of its own")


def shift_to_centre(window: Window, rate: int) -> int:
    """The `shift` with which dense(window, rate, shift) looks evenly to both sides of its pixel, half a pixel less
    where that is impossible; from 0 to `rate`, beyond which the former samples would be lost."""
    dilation = _dilation(window, rate)
    reaches = [dilation[axis] * (pair(window.kernel_size)[axis] - 1) for axis in (0, 1)]
    return min(max(0, min(reaches[axis] // 2 - rate * _padding(window, axis)[0], rate)) for axis in (0, 1))


def pair(value: int | Sequence[int]) -> Pair:
    """Vertical and horizontal value.

    >>> pair(3), pair((1, 7))
    ((3, 3), (1, 7))
    """
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _dilation(window: Window, rate: int) -> Pair:
    own = pair(getattr(window, "dilation", 1))
    return own[0] * rate, own[1] * rate


def _padding(window: Window, axis: int) -> Pair:
    """What `window` pads before and after along `axis`: 0 vertically, 1 horizontally."""
    static = getattr(window, "static_padding", None)
    if isinstance(static, nn.ZeroPad2d):
        left, right, top, bottom = static.padding
        return (left, right) if axis else (top, bottom)
    if _pads_itself(window) or window.padding == "same":
        reach = _dilation(window, 1)[axis] * (pair(window.kernel_size)[axis] - 1)
        total = max(0, reach + 1 - pair(window.stride)[axis])
        return total // 2, total - total // 2
    padding = 0 if isinstance(window.padding, str) else pair(window.padding)[axis]
    return padding, padding


def _pads_itself(window: nn.Module) -> bool:
    """Timm's "same" layers, and the convolutions of smp's EfficientNet."""
    return isinstance(window, PADS_ITSELF) or isinstance(getattr(window, "static_padding", None), nn.ZeroPad2d)
