"""What all commands on an experiment take."""

import argparse
from pathlib import Path
from typing import Any


def on_experiment(commands: Any, name: str, help: str, command: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
    parser.add_argument("experiment", type=Path, metavar="E.yaml", help="the experiment")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a setting, e.g. train.epochs=5",
    )
    parser.set_defaults(command=command)
    return parser
