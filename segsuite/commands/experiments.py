"""What all commands on an experiment take."""

import argparse
from pathlib import Path
from typing import Any


def on_experiment(commands: Any, name: str, help: str, command: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
    parser.add_argument("experiment", type=Path, metavar="E.yaml", help="the experiment")
    add_overrides(parser, "train.epochs=5")
    parser.set_defaults(command=command)
    return parser


def add_overrides(parser: argparse.ArgumentParser, example: str) -> None:
    """Adds `--set`; what it is given is `overrides`, the texts in their order."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help=f"override a setting, e.g. {example}",
    )
