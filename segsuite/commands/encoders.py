"""`segsuite encoders`: what each encoder can do, and where its weights come from."""

import argparse
import json
from typing import Any

from segsuite.commands.printing import print_rows
from segsuite.encoders import TABLE, Row, check_encoder_name, dilatable, row_of
from segsuite.errors import EXIT_DONE

COLUMNS = ("name", "family", "library", "strides", "channels", "output strides", "licence")
LEAVE = ("channels", "strides", "family")
UNPROVED = "not in the table: unproved"


def add(commands: Any) -> None:
    """Adds the command to the subparsers of the command line."""
    help = "the encoders that are proved: strides, dilation, weights and their licence"
    encoders = commands.add_parser("encoders", help=help, description=help)
    encoders.add_argument("name", nargs="?", metavar="NAME", help="one encoder, with all that is known of it")
    encoders.add_argument("--json", action="store_true", help="print JSON")
    encoders.set_defaults(command=_encoders)


def _encoders(given: argparse.Namespace) -> int:
    if given.name is None:
        if given.json:
            print(json.dumps([_described(name, row) for name, row in TABLE.items()], indent=1))
        else:
            print_rows(COLUMNS, [_cells(name, row) for name, row in TABLE.items()], LEAVE)
            print("`segsuite encoders NAME` says more; any other name of smp or timm can be taken, unproved.")
        return EXIT_DONE
    check_encoder_name(given.name)
    row = row_of(given.name)
    found = _described(given.name, row) if row else _unproved(given.name)
    if given.json:
        print(json.dumps(found, indent=1))
        return EXIT_DONE
    texts = {key: _text(value) for key, value in found.items()}
    width = max(map(len, texts))
    for key, text in texts.items():
        print(f"{key.replace('_', ' '):{width}}  {text}")
    return EXIT_DONE


def _cells(name: str, row: Row) -> tuple[str, ...]:
    return (
        name, row.family, row.library, _text(row.strides), _text(row.channels), _text(row.output_strides), row.licence
    )  # fmt: skip


def _described(name: str, row: Row) -> dict[str, Any]:
    fields = {key: list(value) if isinstance(value, tuple) else value for key, value in row._asdict().items()}
    del fields["source"]
    return {"name": name, "proved": True, **fields, "weights": row.url}


def _unproved(name: str) -> dict[str, Any]:
    return {"name": name, "proved": False, "note": UNPROVED, "dilation": dilatable(name)}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
