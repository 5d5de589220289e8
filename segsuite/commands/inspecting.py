"""`segsuite inspect`."""

import argparse
import json
from pathlib import Path
from typing import Any

from segsuite.commands.printing import print_rows
from segsuite.errors import EXIT_DONE, ConfigError

TARGETS = (
    "an upsampler (transposed_k4; transposed_k4:bilinear with that initialisation), a geometry (k3s2p1), "
    "a module of your own (module:package.module:Factory), a chain of these (A+B+C), or all"
)


def add(commands: Any) -> None:
    """Adds the command to the subparsers of the command line."""
    help = "the theory of checkerboards of any upsampler, without training"
    inspect = commands.add_parser("inspect", help=help, description=help)
    inspect.add_argument("--checkerboard", nargs="+", metavar="TARGET", help=TARGETS)
    inspect.add_argument("--channels", type=int, default=16, metavar="N", help="in and out; default: 16")
    inspect.add_argument("--factor", type=int, default=2, metavar="N", help="of each upsampler; default: 2")
    inspect.add_argument("--draws", type=int, default=20, metavar="N", help="of the weights; default: 20")
    inspect.add_argument("--seed", type=int, default=0, metavar="N", help="of all draws; default: 0")
    inspect.add_argument("--json", action="store_true", help="print JSON, with standard errors")
    inspect.add_argument("--out", type=Path, metavar="FILE.html", help="also write a page with pictures")
    inspect.set_defaults(command=_inspect)


def _inspect(given: argparse.Namespace) -> int:
    from segsuite.inspect import checkerboard

    if given.checkerboard is None:
        raise ConfigError(
            "`segsuite inspect` can only look at checkerboards so far",
            "the command line",
            "name an upsampler, e.g. segsuite inspect --checkerboard transposed_k4",
        )
    wishes = checkerboard.Wishes(given.channels, given.factor, given.draws, given.seed, given.out)
    found = checkerboard.inspect(given.checkerboard, wishes)
    if given.json:
        print(json.dumps([profile.to_json() for profile in found], indent=1, allow_nan=False))
        return EXIT_DONE
    names, *rows = checkerboard.rows(found)
    print_rows(names, rows)
    print("\n".join(checkerboard.footnote(found)))
    if given.out is not None:
        print(f"written to {given.out}")
    return EXIT_DONE
