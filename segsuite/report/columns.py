"""Tables of plain text that fit a terminal: which columns are left out, and how the rest is folded. Pure Python."""

import re
import shutil
import sys
import textwrap
from collections.abc import Collection, Sequence

GAP = "  "
LEAST = 12


def terminal_width() -> int | None:
    """Columns of the terminal that is printed to; None for a pipe or a file, which has no width."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def in_columns(
    names: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None, leave: Sequence[str] = ()
) -> list[str]:
    """Lines: columns of plain text under their names, at most `width` wide where that can be.

    Where they are wider, columns go in the order of `leave`, which a last line tells, and then the widest column is
    folded. An unnamed column belongs to the one before it, and goes with it.

    >>> print("\\n".join(in_columns(("a", "b", "c"), [("one two", "3", "4")], width=12, leave=("c",))))
    a        b
    one two  3
    left out at 12 columns: c
    """
    table = [tuple(map(str, row)) for row in (names, *rows)]
    gone = columns_left_out(names, widths_of(table), width, leave, len(GAP))
    if gone:
        kept = [at for at in range(len(names)) if at not in gone]
        table = [tuple(row[at] for at in kept) for row in table]
    widths = widths_of(table)
    excess = 0 if width is None else sum(widths) + len(GAP) * (len(widths) - 1) - width
    if excess > 0:
        widest = widths.index(max(widths))
        widths[widest] = max(LEAST, widths[widest] - excess)
    lines = [line for row in table for line in _folded(row, widths)]
    return [*lines, *([left_out(width, [names[at] for at in sorted(gone) if names[at]])] if gone and width else [])]


def columns_left_out(
    names: Sequence[str], widths: Sequence[int], width: int | None, leave: Sequence[str], gap: int, edge: int = 0
) -> set[int]:
    """Places of the columns that go so that the rest fits `width`: those called as in `leave`, one after the other."""
    gone: set[int] = set()
    for name in leave:
        kept = [at for at in range(len(names)) if at not in gone]
        if width is None or sum(widths[at] for at in kept) + gap * (len(kept) - 1) + edge <= width:
            break
        for at in (at for at in kept if names[at] == name):
            gone.add(at)
            while at + 1 < len(names) and not names[at + 1]:
                at += 1
                gone.add(at)
    return gone


def left_out(width: int, names: Collection[str]) -> str:
    """The sentence about columns that are not shown."""
    return f"left out at {width} columns: {', '.join(names)}"


def widths_of(table: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column."""
    return [max(map(len, column)) for column in zip(*table, strict=True)]


def short_arms(arms: Sequence[str]) -> tuple[str, dict[str, str]]:
    """What differs alone: a heading with the axes, and for each arm its values; the arms as they are where that would
    not tell them apart.

    >>> short_arms(["upsampler=bilinear, loss=dice", "upsampler=nearest, loss=dice"])[0]
    'upsampler, loss'
    >>> short_arms(["upsampler=bilinear, loss=dice", "upsampler=nearest, loss=dice"])[1]["upsampler=nearest, loss=dice"]
    'nearest, dice'
    """
    axes = {tuple(re.findall(r"(?:^|, )([\w.]+)=", arm)) for arm in arms}
    short = {arm: re.sub(r"(^|, )[\w.]+=", r"\1", arm) for arm in arms}
    if len(axes) != 1 or not (axis := axes.pop()) or len(set(short.values())) < len(short):
        return "arm", {arm: arm for arm in arms}
    return ", ".join(axis), short


def _folded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The lines of one row."""
    cells = [
        [cell] if len(cell) <= width else textwrap.wrap(cell, width, break_on_hyphens=False)
        for cell, width in zip(row, widths, strict=True)
    ]
    count = max(map(len, cells))
    padded = [[*cell, *[""] * (count - len(cell))] for cell in cells]
    return [
        GAP.join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*padded, strict=True)
    ]
