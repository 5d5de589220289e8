"""`segsuite clean`."""

import argparse
from typing import Any

from segsuite.commands.experiments import on_experiment, tell_elsewhere
from segsuite.commands.printing import print_rows
from segsuite.errors import EXIT_DONE


def add(commands: Any) -> None:
    """Adds the command to the subparsers of the command line."""
    help = "list what takes disk space and is not needed, and with --yes free it"
    clean = on_experiment(commands, "clean", help, _clean)
    clean.add_argument("--old", action="store_true", help="also checkpoints of trials that the YAML no longer has")
    clean.add_argument("--caches", action="store_true", help="also this user's caches of decoded images and counts")
    clean.add_argument("--yes", action="store_true", help="free it; without, nothing is changed")


def _clean(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.trial.clean import leftovers

    experiment = load(given.experiment, given.overrides)
    tell_elsewhere(experiment)
    found = list(leftovers(experiment, given.old, given.caches))
    if not found:
        print("nothing to free")
        return EXIT_DONE
    freed = [one.free() if given.yes else one.size for one in found]
    print_rows(
        ("MB", "what", "where"),
        [(f"{size / 1e6:.1f}", one.what, str(one.path)) for size, one in zip(freed, found, strict=True)],
    )
    if given.yes:
        print(f"freed {sum(freed) / 1e6:.1f} MB")
    else:
        print(f"up to {sum(freed) / 1e6:.1f} MB; nothing was changed, --yes frees it")
    return EXIT_DONE
