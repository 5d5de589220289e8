"""`segsuite bench`."""

import argparse
import json
import sys
from typing import Any

from segsuite.commands.printing import print_rows
from segsuite.errors import EXIT_DONE

EPILOG = """examples:
  segsuite bench                       which there are
  segsuite bench losses --rounds 20
  segsuite bench losses --json
  segsuite bench losses --help         its options"""


def add(commands: Any) -> None:
    """Adds the command to the subparsers of the command line."""
    help = "time parts of the suite beside what one would use instead, on this machine"
    bench = commands.add_parser(
        "bench", help=help, description=help, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    bench.add_argument("--json", action="store_true", help="print JSON")
    bench.add_argument("name", nargs="?", metavar="NAME", help="which benchmark; without it they are listed")
    bench.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="...",
        help="its options, which its --help lists",
    )
    bench.set_defaults(command=_bench)


def _bench(given: argparse.Namespace) -> int:
    from segsuite.launch.benchmarks import benchmarks, run_benchmark

    if given.name is None:
        found = benchmarks()
        if given.json:
            print(json.dumps([{"name": name, "what": what} for name, what in found.items()], indent=1))
        else:
            print_rows(("name", "what"), list(found.items()))
        return EXIT_DONE
    arguments = [word for word in given.arguments if word != "--"]
    if given.json and "--json" not in arguments:
        arguments.append("--json")
    sys.stdout.flush()
    return run_benchmark(given.name, arguments)
