"""The command line: which commands there are, and what becomes of errors. Imports no torch."""

import argparse
import errno
import io
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

OF_THE_SYSTEM = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT,
    errno.ELOOP, errno.ENAMETOOLONG, errno.EBADF,
)  # fmt: skip
"""What no code of ours can help: rights, disks, file servers."""

# `--json` is not meant to be `--on`, which has two of its four letters.
OPTION_LIKENESS = 0.7


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code. Errors of a user are three sentences on standard error, without a traceback."""
    _open_streams()
    try:
        return _called(arguments)
    except SegsuiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_PREEMPTED
    except BrokenPipeError:
        # The reader of a pipe (`| head`) has what it wanted. Not 0: a `run` that ends so has not done its work.
        _print_nowhere()
        return EXIT_NO_READER
    except OSError as error:
        if error.errno not in OF_THE_SYSTEM:
            raise
        if error.filename is None:  # as a stream has none: a full disk
            _print_nowhere()
            what = f"what is printed cannot be written: {error.strerror}"
            told = SegsuiteError(what, "standard output", "free space, or let it print elsewhere")
        else:
            told = SegsuiteError(
                f"the system refuses: {error.strerror}", str(error.filename), "see its rights and disk"
            )
        print(f"error: {told}", file=sys.stderr)
        return told.exit_code


def _called(arguments: Sequence[str] | None) -> int:
    parser = build_parser()
    try:
        given = parser.parse_args(arguments)
        if given.command is None:
            parser.print_help()
            return EXIT_DONE
        return int(given.command(given))
    finally:
        sys.stdout.flush()  # while a closed pipe or a full disk can still be caught


def _open_streams() -> None:
    """Makes standard output and error such that any text can be printed to them."""
    # The first file that is opened would take the number of a closed stream, and what is printed would land in it.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115  # for as long as the process lives
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal's encoding may lack what a question is written in
        sys.stdout.reconfigure(errors="backslashreplace")


def _print_nowhere() -> None:
    """What is still to be printed, also when Python ends, is dropped."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in the same three sentences as every other error, with the nearest command or option."""

    def parse_known_args(self, *given: Any) -> Any:  # type: ignore[override]  # as the parsers of commands are called
        """Nothing is left unknown: what a command does not take is its own error, not that of `segsuite`, which does
        not know the command's options."""
        found, unknown = super().parse_known_args(*given)
        places = [action for action in self._actions if not action.option_strings]
        if unknown and places and places[-1].nargs in ("*", "+") and not any(word[:1] == "-" for word in unknown):
            # `evaluate E.yaml --split test TRIAL`: argparse has taken the list for ended when the option came.
            setattr(found, places[-1].dest, [*getattr(found, places[-1].dest), *unknown])
            unknown = []
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
