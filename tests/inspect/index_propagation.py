"""An independent derivation of sizes and receptive fields: single indices, followed through one window after another.

Nothing is shared with segsuite.inspect but what a layer is: no formula for sizes or fields stands here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from segsuite.inspect.stacks import StackLayer


@dataclass(frozen=True)
class Row:
    """Along one axis, of one layer of a stack without upsampling."""

    size: int
    field: int
    stride: int
    start: Fraction


def windows(layer: StackLayer, inputs: int) -> list[set[int]]:
    """The inputs, also those in the padding, that each output of `layer` reads: windows are laid down one by one until
    the next one does not fit."""
    kernel, stride, padding, dilation = layer.kernel[0], layer.stride[0], layer.padding[0], layer.dilation[0]
    if layer.kind == "transposed":
        outputs: dict[int, set[int]] = {}
        for i in range(inputs):
            for tap in range(kernel):
                outputs.setdefault(i * stride + tap * dilation, set()).add(i)
        last = max(outputs) + layer.output_padding[0]
        return [outputs.get(place, set()) for place in range(padding, last - padding + 1)]
    if layer.kind == "upsample":
        assert layer.mode == "nearest"
        return [{i} for i in range(inputs) for _ in range(kernel)]
    found, at = [], -padding
    while True:
        window = [at + tap * dilation for tap in range(kernel)]
        fits = window[-1] < inputs + padding
        # ceil mode: the last window may hang over, if it begins inside or in the left padding
        if not fits and not (layer.ceil and at < inputs and window[-1] - (inputs + padding - 1) < stride):
            return found
        found.append(set(window))
        at += stride


def support(layers: Sequence[StackLayer], inputs: int, output: int) -> set[int]:
    """The inputs inside the image that the output of that index depends on."""
    maps, size = [], inputs
    for layer in layers:
        maps.append(windows(layer, size))
        size = len(maps[-1])
    reached = {output}
    for found, inside in zip(reversed(maps), reversed([inputs, *map(len, maps[:-1])]), strict=True):
        reached = {i for o in reached for i in found[o] if 0 <= i < inside}
    return reached


def derive(layers: Sequence[StackLayer], inputs: int) -> Row:
    """The last of `layers`, none of which upsamples: the field of outputs 0 and 1, beyond the borders too."""
    size = inputs
    for layer in layers:
        size = len(windows(layer, size))
    fields = []
    for output in (0, 1):
        reached = {output}
        for layer in reversed(layers):
            kernel, stride, padding, dilation = layer.kernel[0], layer.stride[0], layer.padding[0], layer.dilation[0]
            reached = {o * stride - padding + tap * dilation for o in reached for tap in range(kernel)}
        fields.append((min(reached), max(reached)))
    (first, last), (second, _) = fields
    return Row(size, last - first + 1, second - first, Fraction(first + last + 1, 2))
