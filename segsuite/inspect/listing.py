"""What `segsuite inspect TARGET` prints. No torch."""

from collections.abc import Iterator, Sequence

from segsuite.inspect.layers import Explained, first_of, share
from segsuite.inspect.network import Answer, Arm

LAYERS = ("layer", "what", "channels", "size", "stride", "field", "start", "parameters", "multiply-adds")
BLOCKS = ("block", "layers", "parameters", "share", "multiply-adds", "share")
ARMS = ("arm", "parameters", "", "multiply-adds", "", "field", "inference", "", "training", "")
LEAVE = ("start", "stride", "training", "inference", "channels", "size", "layers")
"""Columns of all three that a narrow terminal does without, the first one first."""
ARMS_FOOTNOTE = (
    "field: pixels that an output sees through windows; + image: and all of the image, by pooling or attention",
    "inference, training: peak memory of activations, of one image and of a training step",
    "behind each column: its difference to the baseline; each column is explained in docs/guides/inspect.md",
)

Rows = list[tuple[str, ...]]


def layer_rows(explained: Explained) -> Rows:
    """LAYERS, a row a layer, and the totals."""
    lines: Rows = [LAYERS]
    for layer in explained.layers:
        axis = layer.field.rows if layer.field else None
        stride = f"{float(axis.stride):g}" if axis else "-"
        start = f"{axis.start:g}" if axis else "-"
        numbers = (f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
        text = layer.field.text if layer.field else "-"
        lines.append((layer.path or "-", layer.what, layer.channels, layer.size, stride, text, start, *numbers))
    total = explained.field.text if explained.field else "-"
    sums = (f"{explained.parameters:,}", f"{explained.multiply_adds:,}")
    lines.append(("output", "", "", "", "", total, "", *sums))
    return right(lines, left=2)


def block_rows(explained: Explained) -> Rows:
    """BLOCKS and a row a part of the network; empty where each layer is a part of its own."""
    blocks = explained.blocks
    if len(blocks) == len(explained.layers):
        return []
    lines: Rows = [BLOCKS]
    for block in blocks:
        parameters = (f"{block.parameters:,}", share(block.parameters, explained.parameters))
        cost = (f"{block.multiply_adds:,}", share(block.multiply_adds, explained.multiply_adds))
        lines.append((block.name, str(block.layers), *parameters, *cost))
    return right(lines, left=1)


def arm_rows(answer: Answer) -> Rows:
    """ARMS and a row an arm, with its differences to the baseline."""
    base = answer.baseline
    lines: Rows = [ARMS]
    for arm in answer.arms:
        one, other = arm.explained, base.explained if base else arm.explained
        mark = " (baseline)" if arm is base else ""
        cells = [f"{arm.subject.name}{mark}"]
        cells += [millions(one.parameters), change(one.parameters, other.parameters)]
        cells += [billions(one.multiply_adds), change(one.multiply_adds, other.multiply_adds)]
        cells.append(one.field.text if one.field else "-")
        cells += [mebibytes(one.memory.inference), change(one.memory.inference, other.memory.inference)]
        cells += [mebibytes(one.memory.training or 0), change(one.memory.training or 0, other.memory.training or 0)]
        lines.append(tuple(cells))
    return right(lines, left=1)


def facts(arm: Arm) -> Iterator[str]:
    """Sentences about one network."""
    one, memory = arm.explained, arm.explained.memory
    yield (
        f"{one.parameters:,} parameters; {one.multiply_adds:,} multiply-adds for an image of {one.size[0]} x "
        f"{one.size[1]}"
    )
    if one.field and one.field.rows and one.field.columns:
        sees = f"an output sees {one.field.rows.size} x {one.field.columns.size} pixels"
        if one.field.rows.smallest < one.field.rows.size:
            sees += f" ({one.field.rows.smallest} where it sees least)"
        if abs(one.field.rows.shift) >= 0.01 and arm.subject.training and one.encoder_field:
            sees += f", around a point {one.field.rows.shift:+g} pixels from its own place"
        yield sees
    if one.field and one.field.whole:
        yield f"and it sees the whole image, through {first_of(one.field.whole)}"
    yield f"memory of a forward pass: {mebibytes(memory.inference)}"
    if memory.training is not None and memory.kept is not None:
        count, _, height, width = memory.training_shape
        images = f"{count} image{'s' if count > 1 else ''} of {height} x {width}"
        yield (
            f"memory of a training step of {images}: {mebibytes(memory.training)}, of which "
            f"{mebibytes(memory.kept)} are kept for the backward pass"
        )
    yield from arm.subject.notes


def right(lines: Sequence[tuple[str, ...]], left: int) -> Rows:
    """The cells of all columns but the first `left` end below each other."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        tuple(
            cell if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]


def change(value: int, base: int) -> str:
    """
    >>> change(110, 100), change(100, 100), change(1, 0), change(1001, 1000)
    ('+10 %', '', '', '+0.1 %')
    """
    if not base or value == base:
        return ""
    percent = 100 * (value / base - 1)
    return f"{percent:+.0f} %" if abs(percent) >= 9.5 else f"{percent:+.1f} %"


def millions(value: int) -> str:
    """
    >>> millions(15_115_819), millions(1200)
    ('15.1 M', '0.0012 M')
    """
    return f"{value / 1e6:.3g} M"


def billions(value: int) -> str:
    """
    >>> billions(17_570_856_960)
    '17.6 G'
    """
    return f"{value / 1e9:.3g} G"


def mebibytes(value: int) -> str:
    """
    >>> mebibytes(2**21), mebibytes(1000)
    ('2 MiB', '0.000954 MiB')
    """
    return f"{value / 2**20:,.0f} MiB" if value >= 2**20 else f"{value / 2**20:.3g} MiB"
