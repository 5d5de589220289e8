"""How commands print."""

from collections.abc import Sequence
from typing import Any


def show(renderable: Any) -> None:
    """Prints what rich can render."""
    from rich.console import Console

    console = Console(highlight=False)
    # A pipe has no width: tables must not be folded to 80 columns there.
    Console(highlight=False, width=console.width if console.is_terminal else 200).print(renderable)


def print_rows(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns of plain text under their names."""
    print("\n".join(in_columns(names, rows)))


def in_columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines: columns of plain text under their names."""
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (names, *rows))
    return ["  ".join(row).rstrip() for row in padded]
