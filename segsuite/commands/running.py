"""`segsuite run`."""

import argparse
import shlex
import sys
from typing import Any

from segsuite.commands.experiments import on_experiment
from segsuite.commands.printing import show
from segsuite.errors import EXIT_DONE, EXIT_FAILED, EXIT_PREEMPTED


def add(commands: Any) -> None:
    """Adds the command to the subparsers of the command line."""
    run = on_experiment(commands, "run", "run every trial that has no result yet; calling it again continues", _run)
    run.add_argument(
        "--workers", type=_workers, default=1, metavar="N|auto", help="trials at a time; auto: what suits the machine"
    )
    run.add_argument("--on", choices=("local", "slurm"), default="local", help="this machine (default), or a cluster")
    run.add_argument("--profile", metavar="NAME|FILE", help="on slurm: a site profile, see slurm/README.md")
    run.add_argument("--dry-run", action="store_true", help="on slurm: print what would be submitted, submit nothing")
    run.add_argument(
        "--live-code", action="store_true", help="on slurm: no copy of the code; edits reach queued trials"
    )
    run.add_argument(
        "--per-device", type=_positive, default=1, metavar="K", help="trials at a time on a GPU; default: 1"
    )


def _workers(text: str) -> int | None:
    return None if text == "auto" else _positive(text)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number of at least 1")
    return int(text)


def _run(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.launch.check import check_data
    from segsuite.launch.display import Display
    from segsuite.launch.freeze import check_writable
    from segsuite.launch.local import run
    from segsuite.report.tables import result_table

    experiment = load(given.experiment, given.overrides)
    display = Display()
    if given.on == "slurm":
        return _submit(given, experiment)
    check_writable(experiment)
    check_data(experiment, display.console)
    outcome = run(experiment, display, given.workers, given.per_device)
    if outcome.finished:
        show(result_table(experiment))
    print(f"written to {experiment.folder}")
    if outcome.preempted:
        print("stopped; the same command continues", file=sys.stderr)
        return EXIT_PREEMPTED
    return EXIT_FAILED if outcome.failed else EXIT_DONE


def _submit(given: argparse.Namespace, experiment: Any) -> int:
    from rich.console import Console

    from segsuite.experiment import plural
    from segsuite.launch.check import check_data
    from segsuite.launch.freeze import check_writable
    from segsuite.launch.slurm.profile import read_profile
    from segsuite.launch.slurm.reconcile import submit

    name, profile = read_profile(given.profile)
    if not given.dry_run:
        check_writable(experiment)
        check_data(experiment, Console(highlight=False, soft_wrap=True))
    overrides = [word for text in given.overrides for word in ("--set", text)]
    report = ["report", str(experiment.path.resolve()), *overrides]
    found = submit(experiment, profile, report, given.dry_run, given.live_code)
    print(f"{experiment.name}: {found.difference.words()}")
    if given.dry_run:
        for command in found.commands:
            print(shlex.join(command))
        print(f"nothing was submitted (profile: {name})")
    elif found.jobs:
        *arrays, report_job = found.jobs
        count = plural(len(found.difference.missing), "trial")
        print(f"submitted {count} as {', '.join(arrays)}, the report after them as {report_job}")
        print(f"`segsuite status {experiment.path}` follows them")
    else:
        print("nothing to submit")
    return EXIT_DONE
