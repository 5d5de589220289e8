"""What a section of the page is made of: text, figures, tables, pictures; all plain frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segsuite.report.answers import Answers
from segsuite.report.gather import Gathered
from segsuite.report.style import ArmStyle

PAGE_WIDTH = 976
"""Of a figure in a wide window, in pixels."""


@dataclass(frozen=True, eq=False)
class Material:
    """What every section is made from."""

    gathered: Gathered
    answers: Answers
    styles: Mapping[str, ArmStyle]
    with_images: bool = True


@dataclass(frozen=True, eq=False)
class Figure:
    """A plotly figure as plain lists and dicts. `name` is its file's stem; `caption` tells the kind, n and unit of
    every bar and band; `narrow` are layout changes on a phone; `min_width` pixels make it scroll by itself there;
    `paper_width` is that of its PNG, SVG and PDF, if it needs more than others."""

    name: str
    caption: str
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    narrow: Mapping[str, Any] = field(default_factory=dict)
    min_width: int = 0
    paper_width: int = 0


@dataclass(frozen=True)
class Cell:
    """A table cell: what is shown, what it is sorted by, and whether it stands out."""

    text: str
    value: float | str | None = None
    strong: bool = False
    colour: str = ""


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by each column; columns of numbers are aligned right."""

    columns: Sequence[tuple[str, bool]]
    """Title, and whether it holds numbers."""
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """An image as a data URI, and an overlay of the same size if it has one."""

    title: str
    source: str
    overlay: str = ""
    note: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Row:
    """Pictures of one place, the same for every arm."""

    title: str
    why: str
    pictures: Sequence[Picture]
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Section:
    """One part of the page. `warnings` stand out above `notes`, the paragraphs above what is shown; `details` fold
    away."""

    id: str
    title: str
    notes: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    table: Table | None = None
    rows: Sequence[Row] = ()
    legend: Sequence[tuple[str, str]] = ()
    """Colour and name of the classes in pictures."""
    details: Sequence[str] = ()
    summary: str = ""
    """What the fold says when it is closed."""
    warnings: Sequence[str] = ()
