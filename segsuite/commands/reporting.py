"""`segsuite report`, `segsuite dashboard` and `segsuite wandb-sync`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsuite.commands.experiments import on_experiment
from segsuite.commands.printing import print_rows
from segsuite.errors import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from segsuite.experiment import Experiment


def add(commands: Any) -> None:
    """Adds the commands to the subparsers of the command line."""
    _options(on_experiment(commands, "report", "one HTML page with the answer, tables and figures", _report))
    sync = on_experiment(commands, "wandb-sync", "upload the trials' W&B logs and check what arrived", _wandb_sync)
    sync.add_argument("--again", action="store_true", help="upload also what was uploaded before")
    on_experiment(commands, "dashboard", "make or update the experiment's W&B workspace and report", _dashboard)


def _options(report: argparse.ArgumentParser) -> None:
    report.add_argument("--out", type=Path, metavar="DIR", help="write there instead of report/ beside the runs")
    report.add_argument("--figures", action="store_true", help="also every figure as PNG, SVG and PDF (needs Chromium)")
    report.add_argument(
        "--no-images", action="store_true", help="leave out photos and predictions, to publish the page"
    )
    report.add_argument("--open", action="store_true", help="open the page in the browser")
    report.add_argument("--serve", action="store_true", help="follow a running experiment in the browser, until Ctrl-C")
    report.add_argument(
        "--port", type=int, default=0, metavar="N", help="port of --serve on 127.0.0.1; default: any free"
    )


def _experiment(given: argparse.Namespace) -> "Experiment":
    """The experiment of the command line. Raises ConfigError when its runs lie elsewhere: a page without an answer,
    in a new folder or on a server, helps nobody."""
    from segsuite.experiment import load
    from segsuite.launch.notes import elsewhere

    experiment = load(given.experiment, given.overrides)
    if (there := elsewhere(experiment)) is not None:
        raise there
    return experiment


def _report(given: argparse.Namespace) -> int:
    from segsuite.report.command import Wishes, report

    wishes = Wishes(given.out, not given.no_images, given.figures, given.open, given.serve, given.port)
    report(_experiment(given), wishes)
    return EXIT_DONE


def _wandb_sync(given: argparse.Namespace) -> int:
    from segsuite.launch.wandb_sync import sync

    found = sync(_experiment(given), given.again)
    rows = [
        (item.trial.id, item.trial.arm, str(item.trial.seed), item.state, item.done, item.verdict) for item in found
    ]
    print_rows(("id", "arm", "seed", "state", "done", "on the server"), rows)
    for item in found:
        for missing in item.missing.values():
            print(f"missing: {item.trial.arm}, seed {item.trial.seed}: {missing}", file=sys.stderr)
        if item.lost:
            print(f"lost: {item.trial.arm}, seed {item.trial.seed}: {item.lost}; no log has them", file=sys.stderr)
    return EXIT_FAILED if any(item.missing for item in found) else EXIT_DONE


def _dashboard(given: argparse.Namespace) -> int:
    from segsuite.report.build import build_report, folder_of, write_report
    from segsuite.report.dashboard import dashboard

    experiment = _experiment(given)
    report = build_report(experiment)
    write_report(report, folder_of(experiment))
    made = dashboard(experiment, report.answer(), report.plotly_figures())
    print(f"report: {made['report_url']}\nworkspace: {made['workspace_url']}")
    return EXIT_DONE
