"""Explains a network without training it, without its weights and without data."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from segsuite.errors import ConfigError
from segsuite.inspect.field import Field, field_of, is_cut
from segsuite.inspect.layers import Explained, Layer, Memory, block_of
from segsuite.inspect.outline import Outline
from segsuite.inspect.trace import PRODUCT, Step, Trace

CANVASES = (512, 1024, 2048, 4096, 8192)
"""Sides of the images on which fields are measured: the first one whose border no field reaches."""

Size = tuple[int, int]


def explain(
    name: str, network: nn.Module, size: Size, channels: int = 3, training: tuple[int, Size] | None = None
) -> Explained:
    """Everything about `network` on an image (1, channels, *size).

    training: number and size of the images of a training step, whose memory is to be known. `network` is left in
    evaluation mode. Raises what the network raises for images of that size.
    """
    network.eval()
    shape = (1, channels, *size)
    with torch.no_grad():
        trace = Trace(network)
        trace.forward(shape)
        peak = trace.ledger.peak
        wide, canvas, output = _on_canvas(network, channels, size)
    fields = [_field(step, canvas) for step in wide]
    if [step.path for step in wide] != [step.path for step in trace.steps]:  # it decides by the size of the image
        fields = [None] * len(trace.steps)
    layers = tuple(_layer(network, step, field) for step, field in zip(trace.steps, fields, strict=True))
    memory = Memory(peak, shape)
    if training is not None:
        memory = _training_memory(network, memory, (training[0], channels, *training[1]))
    of_encoder = [layer.field for layer in layers if layer.block.startswith("encoder") and layer.field]
    return Explained(name, size, layers, memory, _field(output, canvas), _largest(of_encoder) if of_encoder else None)


def build_outline(build: Callable[[], nn.Module]) -> nn.Module:
    """The network that `build` makes, its parameters without values where it can be built so, which takes a fraction
    of the time."""
    try:
        with torch.device("meta"):
            return build()
    except (ConfigError, NotImplementedError, RuntimeError):  # something in it needs a value while it is built
        return build()


def _on_canvas(network: nn.Module, channels: int, size: Size) -> tuple[list[Step], Size, Step]:
    """The steps on an image so large that no field in its middle is cut, that image, and its output."""
    for side in CANVASES:
        if side < min(size) and side != CANVASES[-1]:
            continue
        canvas = (side, side)
        trace = Trace(network)
        made = trace.forward((1, channels, *canvas), with_spans=True)
        output = Step("", "output", tuple(made.shape), made.spans)
        maps = [one for one in (*trace.steps, output) if one.spans and one.what != PRODUCT]
        if not any(is_cut(one.spans, one.shape, canvas) for one in maps if one.spans):
            break
    return trace.steps, canvas, output


def _field(step: Step, canvas: Size) -> Field | None:
    if step.spans is None:
        return None
    if step.what == PRODUCT:  # the scores of every token for every other have four dimensions too
        return Field(None, None, tuple(sorted(step.spans.whole)))
    return field_of(step.spans, step.shape, canvas)


def _largest(fields: list[Field]) -> Field:
    widest = max(fields, key=lambda field: field.rows.size if field.rows else 0)
    whole = {path for field in fields for path in field.whole}
    return Field(widest.rows, widest.columns, tuple(sorted(whole)))


def _layer(network: nn.Module, step: Step, field: Field | None) -> Layer:
    def has_children(path: str) -> bool:
        return any(True for _ in network.get_submodule(path).children())

    block = "unused" if step.what == "unused" else block_of(step.path, has_children)
    return Layer(step.path, block, step.what, step.shape, field, step.parameters, step.multiply_adds)


def _training_memory(network: nn.Module, memory: Memory, shape: tuple[int, ...]) -> Memory:
    network.train()
    trace = Trace(network)
    made: list[Outline] = [trace.forward(shape)]
    take: Any = getattr(network, "take_auxiliary_logits", None)
    auxiliary = take() if take else None
    if auxiliary is not None:
        made.append(auxiliary)
    kept = trace.ledger.live
    trace.backward(made)
    network.eval()
    return Memory(memory.inference, memory.inference_shape, trace.ledger.peak, kept, shape)
