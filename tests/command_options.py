"""The options of every command, as its parser knows them."""

import argparse

from segsuite.cli import build_parser


def options_of_commands() -> dict[str, set[str]]:
    """`data check` -> {"--json", ...}."""
    return _options(build_parser(), "")


def _options(parser: argparse.ArgumentParser, name: str) -> dict[str, set[str]]:
    found = {name: {option for option in parser._option_string_actions if option.startswith("--")}}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command, inner in action.choices.items():
                found |= _options(inner, f"{name} {command}".strip())
    return found
