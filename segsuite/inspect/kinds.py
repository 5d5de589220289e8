"""Which operations are layers of their own, and what they are called."""

from collections.abc import Callable, Sequence
from typing import Any

from segsuite.inspect.calls import Call


def kind_of(call: Call) -> str:
    """What a table calls the layer, e.g. "conv 3x3 s2"; "" for what works element by element and what only moves."""
    name = NAMES.get(call.name)
    return name(call) if name else ""


def _convolution(call: Call) -> str:
    _, weight, _, stride, _, dilation, transposed, _, groups = call.args[:9]
    channels = call.x.shape[1]
    kind = "transposed" if transposed else "depthwise" if groups == channels > 1 else "conv"
    text = f"{kind} {_by(weight.shape[2:])}" + _step("s", stride) + _step("d", dilation)
    return text + (f" g{groups}" if 1 < groups != channels else "")


def _pooling(kind: str) -> Callable[[Call], str]:
    def name(call: Call) -> str:
        kernel = _pair(call.args[1])
        return f"{kind} {_by(kernel)}" + _step("s", _pair(call.get(2, "stride") or kernel))

    return name


def _resizing(kind: str) -> Callable[[Call], str]:
    def name(call: Call) -> str:
        factors = [out / size for out, size in zip(call.shape[-2:], call.x.shape[-2:], strict=True)]
        texts = [f"{factor:.3g}" for factor in factors]
        return f"{kind} x{texts[0]}" if texts[0] == texts[1] else f"{kind} x{texts[0]} x{texts[1]}"

    return name


def _mean(call: Call) -> str:
    rank = len(call.x.shape)
    dims = call.get(1, "dim") or range(rank)
    over = {dim % rank for dim in ([dims] if isinstance(dims, int) else dims)}
    return "mean of image" if rank == 4 and over == {2, 3} else ""


def _adaptive(call: Call) -> str:
    height, width = call.shape[-2:]
    return "mean of image" if height == width == 1 else f"pool to {height}x{width}"


def _pair(values: Any) -> tuple[int, int]:
    values = [values] if isinstance(values, int) else list(values)
    return values[0], values[-1]


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _step(letter: str, values: Sequence[int]) -> str:
    first, last = values[0], values[-1]
    if first == last:
        return f" {letter}{first}" if first != 1 else ""
    return f" {letter}{first}x{last}"


NAMES: dict[str, Callable[[Call], str]] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _pooling("pool"),
    "avg_pool2d": _pooling("average_pool"),
    "_adaptive_avg_pool2d": _adaptive,
    "upsample_nearest2d": _resizing("nearest"),
    "upsample_bilinear2d": _resizing("bilinear"),
    "upsample_bicubic2d": _resizing("bicubic"),
    "grid_sampler_2d": _resizing("sampling"),
    "pixel_shuffle": _resizing("pixel_shuffle"),
    "scatter": lambda call: "unpool",
    "mean": _mean,
}
