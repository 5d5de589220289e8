"""`segsuite data`: which datasets there are, whether their files are good, what their labels hold."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segsuite.commands.experiments import add_overrides
from segsuite.commands.printing import show
from segsuite.errors import EXIT_DONE, ConfigError, DataError


def add(commands: Any) -> None:
    """Adds the command with its actions to the subparsers of the command line."""
    help = "datasets: list them, check every file, look at what the labels hold"
    data = commands.add_parser("data", help=help, description=help)
    actions = data.add_subparsers(metavar="ACTION", required=True)
    _action(actions, "list", "the datasets by name, and which splits are here", _list)
    check = "read every image and mask once and name all that cannot be used"
    _on_dataset(_action(actions, "check", check, _check))
    described = "share, presence and object sizes of each class in each split, and weights for it"
    stats = _action(actions, "stats", described, _stats)
    _on_dataset(stats)
    stats.add_argument("--out", type=Path, metavar="FILE.html", help="also write a page with pictures")


def _action(actions: Any, name: str, help: str, command: Callable[..., int]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help, description=help)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=command)
    return parser


def _on_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", nargs="?", metavar="E.yaml|NAME|FOLDER", help="an experiment or a dataset")
    parser.add_argument("--root", metavar="FOLDER", help="where the files are; alone for a known layout")
    add_overrides(parser, "data.root=FOLDER")


def _list(given: argparse.Namespace) -> int:
    from segsuite.data_command.listing import listing, listing_table

    found = listing()
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        show(listing_table(found))
    return EXIT_DONE


def _check(given: argparse.Namespace) -> int:
    from segsuite.data_command.checking import check, check_table
    from segsuite.data_command.targets import targets

    found = check(targets(given.target, given.root, given.overrides))
    if given.json:
        print(json.dumps([one.to_json() for one in found], indent=1))
        return DataError.exit_code if any(one.problems for one in found) else EXIT_DONE
    show(check_table(found))
    for one in found:
        one.raise_if_bad()
    return EXIT_DONE


def _stats(given: argparse.Namespace) -> int:
    from segsuite.data_command.statistics import statistics, statistics_table
    from segsuite.data_command.targets import targets

    chosen = targets(given.target, given.root, given.overrides)
    if given.out is not None:
        _check_out(given.out, len(chosen))
    found = [statistics(one) for one in chosen]
    if given.json:
        print(json.dumps({"datasets": [one.to_json() for one in found]}, indent=1, allow_nan=False))
    else:
        for one in found:
            show(statistics_table(one))
    if given.out is not None:
        from segsuite.data_command.statistics import write_statistics_page

        write_statistics_page(found[0], given.out)
        if not given.json:
            print(f"written to {given.out}")
    return EXIT_DONE


def _check_out(path: Path, datasets: int) -> None:
    """Raises before anything is read when the page cannot be written."""
    from segsuite.report.gallery import check_out

    if datasets > 1:
        raise ConfigError(
            f"the experiment compares {datasets} settings of the data, a page is about one",
            "--out",
            "choose one of them with --set, or leave --out away",
        )
    check_out(path)
