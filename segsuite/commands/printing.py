"""How commands print."""

from collections.abc import Sequence
from typing import Any

from segsuite.report.columns import in_columns, terminal_width


def show(renderable: Any) -> None:
    """Prints what rich can render."""
    from rich.console import Console

    console = Console(highlight=False)
    # A pipe has no width: tables must not be folded to 80 columns there.
    Console(highlight=False, width=console.width if console.is_terminal else 200).print(renderable)


def print_rows(names: Sequence[str], rows: Sequence[Sequence[str]], leave: Sequence[str] = ()) -> None:
    """Prints columns of plain text under their names; where a terminal is too narrow, without those in `leave`."""
    print("\n".join(in_columns(names, rows, terminal_width(), leave)))
