"""Pairs of image and mask that a CSV lists."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from segsuite.errors import DataError, plural, unknown_name
from segsuite.io.reading import patiently
from segsuite.io.text_files import NotUtf8, utf8

DELIMITERS = ",;\t"
KEEP_AS_CSV = "Save it as CSV in UTF-8 (in a spreadsheet: `CSV UTF-8`)."
Row = tuple[int, dict[str, str]]
"""Line, and column -> value."""


def listed(folder: Path, name: str, split: str) -> tuple[list[tuple[Path, Path]], bool]:
    """A split's pairs in a CSV, and whether it has a column split. Raises DataError with file:line.

    Commas, semicolons or tabs separate the columns, as the first line shows.
    """
    path = folder / name
    if not path.is_file():
        raise DataError("CSV of images and masks does not exist", str(path), "Correct data.csv or data.root.")
    columns, rows = _table(path)
    seen: dict[str, int] = {}
    for line, row in rows:
        if not row["image"] or not row["mask"] or ("split" in columns and not row["split"]):
            raise DataError("CSV line lacks a value", f"{path}:{line}", f"Fill the columns {', '.join(columns)}.")
        if seen.setdefault(row["image"], line) != line:
            raise DataError(
                f"CSV names {row['image']} twice", f"{path}:{line}", f"See line {seen[row['image']]}; keep one."
            )
    if "split" in columns and split not in (names := {row["split"] for _, row in rows}):
        raise DataError(unknown_name("split", split, names), str(path), "Correct the CSV's column split.")
    chosen = [(line, row) for line, row in rows if row.get("split", split) == split]
    pairs = [(folder / row["image"], folder / row["mask"]) for _, row in chosen]
    missing = [(line, p) for (line, _), pair in zip(chosen, pairs, strict=True) for p in pair if not p.is_file()]
    if missing:
        line, first = missing[0]
        advice = (
            "Write / instead of \\ in paths." if "\\" in str(first) else f"Add them; paths are relative to {folder}."
        )
        are = "is" if len(missing) == 1 else "are"
        what = f"{plural(len(missing), 'file')} of the CSV {are} missing, the first is {first}"
        raise DataError(what, f"{path}:{line}", advice)
    return pairs, "split" in columns


def _table(path: Path) -> tuple[list[str], list[Row]]:
    """The columns and the rows. Raises DataError for what is no such table."""
    text = _text(path)
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        lines = list(_lines(text, delimiter))
    except csv.Error as error:
        raise DataError(f"the file is no CSV: {error}", str(path), KEEP_AS_CSV) from error
    columns = [column.lower() for column in lines[0][1]] if lines else []
    repeated = [column for column, count in Counter(columns).items() if count > 1]
    if not {"image", "mask"} <= set(columns) or repeated:
        raise DataError(
            f"CSV has the columns {columns}" + (f", {repeated[0]} more than once" if repeated else ""),
            f"{path}:1",
            "The first line must name image,mask[,split].",
        )
    for line, values in lines[1:]:
        if len(values) > len(columns):
            raise DataError(
                f"CSV line has {plural(len(values), 'value')} for {plural(len(columns), 'column')}",
                f"{path}:{line}",
                f'Put a value that holds "{delimiter}" into quotes.',
            )
    return columns, [
        (line, dict(zip(columns, [*values, *[""] * len(columns)], strict=False))) for line, values in lines[1:]
    ]


def _lines(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and values of each line that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for values in reader:
        stripped = [value.strip() for value in values]
        if any(stripped):
            yield reader.line_num, stripped


def _text(path: Path) -> str:
    try:
        return utf8(patiently(path.read_bytes))
    except NotUtf8 as error:
        raise DataError(f"the CSV cannot be read: {error.what}", f"{path}:{error.line}", KEEP_AS_CSV) from error
