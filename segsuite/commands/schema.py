"""`segsuite schema`."""

import argparse
import json
from typing import Any

from segsuite.errors import EXIT_DONE


def add(commands: Any) -> None:
    """Adds the command to the subparsers of the command line."""
    schema = commands.add_parser("schema", help="print the JSON Schema of an experiment's YAML, for editors")
    schema.set_defaults(command=_schema)


def _schema(given: argparse.Namespace) -> int:
    from segsuite.schema import experiment_schema

    print(json.dumps(experiment_schema(), indent=1))
    return EXIT_DONE
