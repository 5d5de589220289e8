"""How operations that work in windows spread the spans of their input (spread.py)."""

import math
from typing import Any

from segsuite.inspect import taps
from segsuite.inspect.calls import Call
from segsuite.inspect.spans import Spans, looked_up, of_channels, reduced, reshaped, union


def convolution(call: Call) -> Spans:
    _, _, _, stride, padding, dilation, transposed, _, groups = call.args[:9]
    kernel = call.args[1].shape[2:]
    spans = of_channels(call.x.known, groups, call.shape[1])
    along = taps.of_transposed if transposed else taps.of_window
    for axis, size in enumerate(kernel):
        dim = axis + 2
        step, border, rate = (values[axis if len(values) > 1 else 0] for values in (stride, padding, dilation))
        found = along(call.x.shape[dim], call.shape[dim], size, step, border, rate)
        spans = looked_up(spans, call.x.shape, dim, found)
    return spans


def pooling(call: Call) -> Spans:
    kernel = _two(call.args[1])
    stride, padding = _two(call.get(2, "stride") or kernel), _two(call.get(3, "padding", 0))
    dilation = _two(call.get(4, "dilation", 1)) if call.name.startswith("max") else (1, 1)
    spans = call.x.known
    for axis, dim in enumerate((len(call.shape) - 2, len(call.shape) - 1)):
        window = taps.of_window(
            call.x.shape[dim], call.shape[dim], kernel[axis], stride[axis], padding[axis], dilation[axis]
        )
        spans = looked_up(spans, call.x.shape, dim, window)
    return spans


def adaptive_pooling(call: Call) -> Spans:
    """To a fixed size: each output is a share of the image."""
    if tuple(call.shape[-2:]) == tuple(call.x.shape[-2:]):
        return call.x.known
    return call.x.known.nothing(len(call.shape)).through(call.path)


def resize(call: Call) -> Spans:
    mode = call.name.removeprefix("upsample_").removesuffix("2d").removesuffix("_aa")
    named = [value for value in (*call.args[1:], *call.kwargs.values()) if isinstance(value, bool)]
    factors = call.args[-1] if isinstance(call.args[-1], list | tuple) and len(call.args) > 2 else None
    spans = call.x.known
    for axis, dim in enumerate((2, 3)):
        scale = float(factors[axis]) if factors else None
        found = taps.of_resize(call.x.shape[dim], call.shape[dim], mode, named[0] if named else None, scale)
        spans = looked_up(spans, call.x.shape, dim, found)
    return spans


def sampling(call: Call) -> Spans:
    """grid_sample: bilinear, at each output's own place, and whatever the places depend on."""
    spans = of_channels(call.x.known, 1, 1)
    for dim in (2, 3):
        found = taps.of_resize(call.x.shape[dim], call.shape[dim], "bilinear", False, None)
        spans = looked_up(spans, call.x.shape, dim, found)
    places = call.args[1]
    if places.spans is None:
        return spans
    of_places = reduced(places.spans, places.shape, [-1], False, call.path)
    return union([spans, of_places.each(lambda part: part.unsqueeze(1))])


def border(call: Call) -> Spans:
    mode = "reflect" if call.name.startswith("reflection") else "replicate"
    spans, sides = call.x.known, call.args[1]
    for axis in range(len(sides) // 2):
        dim = len(call.shape) - 1 - axis
        before, after = sides[2 * axis : 2 * axis + 2]
        spans = looked_up(spans, call.x.shape, dim, taps.of_padding(call.x.shape[dim], before, after, mode))
    return spans


def constant_border(call: Call) -> Spans:
    spans, sides = call.x.known, call.args[1]
    for axis in range(len(sides) // 2):
        dim = len(call.shape) - 1 - axis
        size = call.x.shape[dim]
        spans = looked_up(spans, call.x.shape, dim, taps.of_window(size, call.shape[dim], 1, 1, sides[2 * axis], 1))
    return spans


def unfolding(call: Call) -> Spans:
    """im2col: (N, C, H, W) -> (N, C k k, L); every tap of a window with the field of the whole window."""
    kernel, dilation, padding, stride = call.args[1:5]
    spans = of_channels(call.x.known, 1, 1)
    sizes = []
    for axis, dim in enumerate((2, 3)):
        extent = dilation[axis] * (kernel[axis] - 1) + 1
        sizes.append((call.x.shape[dim] + 2 * padding[axis] - extent) // stride[axis] + 1)
        window = taps.of_window(call.x.shape[dim], sizes[-1], kernel[axis], stride[axis], padding[axis], dilation[axis])
        spans = looked_up(spans, call.x.shape, dim, window)
    return reshaped(spans, (1, 1, *sizes), (1, 1, math.prod(sizes)))


def windows_view(call: Call) -> Spans:
    """Tensor.unfold: a new last dimension with the elements of each window."""
    dim, size, step = call.args[1] % len(call.x.shape), call.args[2], call.args[3]
    window = taps.of_window(call.x.shape[dim], call.shape[dim], size, step, 0, 1)
    return looked_up(call.x.known, call.x.shape, dim, window).each(lambda part: part.unsqueeze(-1))


def _two(values: Any) -> tuple[int, int]:
    values = [values] if isinstance(values, int) else list(values)
    return values[0], values[-1]
