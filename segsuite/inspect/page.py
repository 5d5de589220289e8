"""The page of `segsuite inspect TARGET --out FILE.html`: one file that asks nothing of any network. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segsuite.inspect.layers import Explained
from segsuite.inspect.listing import billions, change, facts, mebibytes, millions
from segsuite.inspect.network import Answer, Arm
from segsuite.inspect.page_figures import arms_figure, blocks_figure, depth_figure
from segsuite.io import atomic
from segsuite.report.page import rendered
from segsuite.report.sections.base import Cell, Figure, Table

Columns = Sequence[tuple[str, bool]]

ARMS: Columns = (
    ("arm", False),
    ("parameters", True),
    ("%", True),
    ("multiply-adds", True),
    ("%", True),
    ("field, px", True),
    ("inference", True),
    ("%", True),
    ("training", True),
    ("%", True),
)
BLOCKS: Columns = (("block", False), ("layers", True), ("parameters", True), ("%", True), ("MACs", True), ("%", True))
LAYERS: Columns = (
    ("layer", False),
    ("what", False),
    ("channels", True),
    ("size", True),
    ("stride", True),
    ("field", True),
    ("start", True),
    ("parameters", True),
    ("multiply-adds", True),
)
ARMS_CAPTION = (
    "Each % is the difference to the baseline. Field: pixels that an output sees through windows; + image: and all of "
    "the image, by pooling or attention. Inference and training: peak memory of activations, of one image and of a "
    "training step."
)
LAYERS_CAPTION = (
    "Norms and activations count to the layer before them. Stride, field and start in pixels of the image; start: the "
    "centre of the field of the first output, where the first pixel is from 0 to 1. Multiply-adds of one image."
)


@dataclass(frozen=True, eq=False)
class Part:
    """A section of the page."""

    id: str
    title: str
    notes: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    table: Table | None = None
    layers: Table | None = None
    summary: str = ""


def write_page(answer: Answer, path: Path) -> None:
    """Writes the page."""
    atomic.write_text(path, page(answer))


def page(answer: Answer) -> str:
    """The whole page."""
    parts = _parts(answer)
    return rendered(
        "network.html",
        [figure for part in parts for figure in part.figures],
        command="segsuite inspect",
        title=answer.request.title,
        sentences=[answer.request.question] if answer.request.question else [],
        facts=_facts(answer),
        sections=parts,
    )


def _facts(answer: Answer) -> list[str]:
    sizes = sorted({arm.explained.size for arm in answer.arms})
    count = len(answer.arms)
    return [
        f"{count} arms" if answer.request.kind == "experiment" and count > 1 else answer.request.kind,
        *(f"images of {height} x {width}" for height, width in sizes),
        "counted from the network itself: no weights, no data, no training",
    ]


def _parts(answer: Answer) -> list[Part]:
    parts = []
    if len(answer.arms) > 1:
        everything = range(len(answer.arms))
        figures = [arms_figure(answer), depth_figure(answer, everything, "inspect-depth")]
        parts.append(Part("arms", "The arms side by side", (), figures, _arms(answer)))
    for place, arm in enumerate(answer.arms):
        name = f"inspect-{place}"
        blocks = _blocks(arm.explained)
        figures = [] if len(answer.arms) > 1 else [depth_figure(answer, [place], f"{name}-depth")]
        if blocks or len(answer.arms) == 1:
            figures.append(blocks_figure(arm.explained, f"{name}-blocks"))
        notes = [f"{'. '.join(one[0].upper() + one[1:] for one in facts(arm))}."]
        layers, count = _layers(arm.explained), len(arm.explained.layers)
        parts.append(Part(f"arm-{place}", _title(answer, arm), notes, figures, blocks, layers, f"All {count} layers"))
    return parts


def _title(answer: Answer, arm: Arm) -> str:
    return f"{arm.subject.name} (baseline)" if arm is answer.baseline else arm.subject.name


def _arms(answer: Answer) -> Table:
    base = answer.baseline.explained if answer.baseline else answer.arms[0].explained
    rows = []
    for arm in answer.arms:
        one = arm.explained
        cells = [Cell(_title(answer, arm), arm.subject.name, arm is answer.baseline)]
        cells += _counted(one.parameters, base.parameters, millions(one.parameters))
        cells += _counted(one.multiply_adds, base.multiply_adds, billions(one.multiply_adds))
        field = one.field
        cells.append(Cell(field.text, field.rows.size if field.rows else None) if field else Cell("-"))
        cells += _counted(one.memory.inference, base.memory.inference, mebibytes(one.memory.inference))
        training, other = one.memory.training or 0, base.memory.training or 0
        cells += _counted(training, other, mebibytes(training))
        rows.append(cells)
    return Table(ARMS, rows, ARMS_CAPTION)


def _counted(value: int, base: int, text: str) -> list[Cell]:
    return [Cell(text, value), Cell(change(value, base).removesuffix(" %"), value / base - 1 if base else None)]


def _blocks(one: Explained) -> Table | None:
    if len(one.blocks) == len(one.layers):
        return None
    rows = []
    for block in one.blocks:
        cells = [Cell(block.name, block.name), Cell(str(block.layers), block.layers)]
        for value, total in ((block.parameters, one.parameters), (block.multiply_adds, one.multiply_adds)):
            part = value / total if total else 0.0
            cells += [Cell(f"{value:,}", value), Cell(f"{100 * part:.1f}", part)]
        rows.append(cells)
    return Table(BLOCKS, rows, "% of the whole network.")


def _layers(one: Explained) -> Table:
    rows = []
    for layer in one.layers:
        axis = layer.field.rows if layer.field else None
        height, width = layer.shape[2:] if len(layer.shape) == 4 else (0, 0)
        rows.append(
            [
                Cell(layer.path or "-", layer.path),
                Cell(layer.what, layer.what),
                Cell(layer.channels, int(layer.channels) if layer.channels.isdigit() else None),
                Cell(layer.size, height * width),
                Cell(f"{float(axis.stride):g}", float(axis.stride)) if axis else Cell("-"),
                Cell(layer.field.text if layer.field else "-", axis.size if axis else None),
                Cell(f"{axis.start:g}", axis.start) if axis else Cell("-"),
                Cell(f"{layer.parameters:,}", layer.parameters),
                Cell(f"{layer.multiply_adds:,}", layer.multiply_adds),
            ]
        )
    return Table(LAYERS, rows, LAYERS_CAPTION)
