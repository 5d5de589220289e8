"""What a section finds, written line by line, so that a section that is ended leaves what it had."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Records:
    """Rows of tables in a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "w", encoding="utf-8", buffering=1)  # noqa: SIM115  # closed by __exit__

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, table: str, row: str, **columns: Any) -> None:
        """A row of `table`; of a row that is added again the columns come together."""
        self._file.write(json.dumps({"table": table, "row": row, "columns": columns}) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a file; none without one. A last line that was cut short is left out."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"]


def tables(records: Sequence[dict[str, Any]]) -> list[str]:
    """Tables that Markdown, and an eye, can read."""
    of_tables: dict[str, dict[str, dict[str, Any]]] = {}
    for record in records:
        of_tables.setdefault(record["table"], {}).setdefault(record["row"], {}).update(record["columns"])
    return [_table(title, rows) for title, rows in of_tables.items()]


def _table(title: str, rows: dict[str, dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [["", *columns], ["---"] * (1 + len(columns))]
    lines += [[name, *(_cell(row.get(column)) for column in columns)] for name, row in rows.items()]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join([title, "", *(f"| {' | '.join(cells)} |" for cells in padded)])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
