"""The command line: which commands there are, and what becomes of errors. Imports no torch."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from segsuite import __version__
from segsuite.commands import (
    bench,
    cleaning,
    data,
    doctor,
    encoders,
    evaluating,
    following,
    inspecting,
    listing,
    predicting,
    reporting,
    running,
    schema,
)
from segsuite.errors import EXIT_DONE, EXIT_NO_READER, EXIT_PREEMPTED, ConfigError, SegsuiteError, nearest

EPILOG = """examples:
  segsuite run experiments/quickstart.yaml
  segsuite run experiments/camvid_unet.yaml --set data.root=/data/camvid --set train.epochs=5
  segsuite run experiments/aspp.yaml --on slurm --dry-run
  segsuite plan experiments/quickstart.yaml --json
  segsuite predict runs/quickstart/9f2f95f56574 photos/ --out predictions
  segsuite inspect experiments/aspp.yaml
  segsuite inspect --checkerboard transposed_k3 nearest_conv
exit codes: 0 done, 1 some trial failed, 2 wrong use, 75 stopped on request (the same command continues)"""

# `--json` is not meant to be `--on`, which has two of its four letters.
OPTION_LIKENESS = 0.7


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code. Errors of a user are three sentences on standard error, without a traceback."""
    parser = build_parser()
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help()
        return EXIT_DONE
    try:
        code = int(given.command(given))
        sys.stdout.flush()  # while a closed pipe can still be caught
        return code
    except SegsuiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_PREEMPTED
    except BrokenPipeError:
        # The reader of a pipe (`| head`) has what it wanted; what is left goes nowhere when Python ends. Not 0: a `run`
        # that ends so has not done its work.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_NO_READER


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in the same three sentences as every other error, with the nearest command or option."""

    def parse_known_args(self, *given: Any) -> Any:  # type: ignore[override]  # as the parsers of commands are called
        """Nothing is left unknown: what a command does not take is its own error, not that of `segsuite`, which does
        not know the command's options."""
        found, unknown = super().parse_known_args(*given)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        given = re.search(r"(?:invalid choice: '|unrecognized arguments: )([^' ]+)", message)
        choices = re.findall(r"[\w-]+", message.partition("choose from")[2])
        near = None
        if given is not None and given[1].startswith("-"):
            options = [name[2:] for name in self._option_string_actions if name.startswith("--")]
            found = nearest(given[1].strip("-").partition("=")[0], options, OPTION_LIKENESS)
            near = found and f"--{found}"
        elif given is not None:
            near = nearest(given[1], choices)
        advice = f"did you mean '{near}'?" if near else f"`{self.prog} --help` shows what it takes"
        print(f"error: {ConfigError(message, 'the command line', advice)}", file=sys.stderr)
        raise SystemExit(ConfigError.exit_code)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(
        prog="segsuite",
        description="Semantic-segmentation experiments: one YAML, many trials, one answer.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=None)
    parser.add_argument("--version", action="version", version=f"segsuite {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    for command in (
        running,
        listing,
        following,
        reporting,
        cleaning,
        predicting,
        evaluating,
        inspecting,
        data,
        encoders,
        doctor,
        bench,
        schema,
    ):
        command.add(commands)
    return parser
