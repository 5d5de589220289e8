"""The command line: each command parses, calls one function and prints one table. Imports no torch."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from segsuite import __version__
from segsuite.data_command import add_data_command
from segsuite.errors import EXIT_DONE, EXIT_FAILED, EXIT_PREEMPTED, ConfigError, SegsuiteError, nearest

EPILOG = """examples:
  segsuite run experiments/quickstart.yaml
  segsuite run experiments/camvid_unet.yaml --set data.root=/data/camvid --set train.epochs=5
  segsuite plan experiments/quickstart.yaml --json
  segsuite inspect --checkerboard transposed_k3 nearest_conv
exit codes: 0 done, 1 some trial failed, 2 wrong use, 75 stopped on request (the same command continues)"""

COMMANDS = ("run", "plan", "status", "report", "wandb-sync", "dashboard", "inspect", "data", "schema")
OPTIONS = (
    *("--set", "--json", "--origins", "--watch", "--again", "--help", "--version"),
    *("--out", "--figures", "--no-images", "--open", "--serve", "--port"),
    *("--checkerboard", "--channels", "--factor", "--draws", "--seed", "--root"),
)
TARGETS = (
    "an upsampler (transposed_k4; transposed_k4:bilinear with that initialisation), a geometry (k3s2p1), "
    "a module of your own (module:package.module:Factory), a chain of these (A+B+C), or all"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code. Errors of a user are three sentences on standard error, without a traceback."""
    parser = _parser()
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
        # The reader of a pipe (`| head`) has what it wanted; what is left goes nowhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in the same three sentences as every other error, with the nearest command or option."""

    def error(self, message: str) -> NoReturn:
        given = re.search(r"(?:invalid choice: '|unrecognized arguments: )([^' ]+)", message)
        choices = re.findall(r"[\w-]+", message.partition("choose from")[2])
        near = nearest(given[1], choices or (*COMMANDS, *OPTIONS)) if given else None
        advice = f"did you mean '{near}'?" if near else f"`{self.prog} --help` shows what it takes"
        print(f"error: {ConfigError(message, 'the command line', advice)}", file=sys.stderr)
        raise SystemExit(ConfigError.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="segsuite",
        description="Semantic-segmentation experiments: one YAML, many trials, one answer.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=None)
    parser.add_argument("--version", action="version", version=f"segsuite {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    _on_experiment(commands, "run", "run every trial that has no result yet; calling it again continues", _run)
    plan = _on_experiment(commands, "plan", "list the trials, their differences and states; nothing runs", _plan)
    plan.add_argument("--json", action="store_true", help="print JSON")
    plan.add_argument("--origins", action="store_true", help="print the base settings and the file and line of each")
    status = _on_experiment(commands, "status", "counts, progress, scores and failures", _status)
    status.add_argument("--json", action="store_true", help="print JSON")
    status.add_argument("--watch", action="store_true", help="print again every 5 s until all trials have ended")
    _report_options(_on_experiment(commands, "report", "one HTML page with the answer, tables and figures", _report))
    sync = _on_experiment(commands, "wandb-sync", "upload the trials' W&B logs and check what arrived", _wandb_sync)
    sync.add_argument("--again", action="store_true", help="upload also what was uploaded before")
    _on_experiment(commands, "dashboard", "make or update the experiment's W&B workspace and report", _dashboard)
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
    add_data_command(commands, _print)
    schema = commands.add_parser("schema", help="print the JSON Schema of an experiment's YAML, for editors")
    schema.set_defaults(command=_schema)
    return parser


def _on_experiment(commands: Any, name: str, help: str, command: Any) -> argparse.ArgumentParser:
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


def _report_options(report: argparse.ArgumentParser) -> None:
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


def _run(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.launch.check import check_data
    from segsuite.launch.display import Display
    from segsuite.launch.freeze import check_writable
    from segsuite.launch.local import run
    from segsuite.report.tables import result_table

    experiment = load(given.experiment, given.overrides)
    display = Display()
    check_writable(experiment)
    check_data(experiment, display.console)
    outcome = run(experiment, display)
    if outcome.finished:
        _print(result_table(experiment))
    print(f"written to {experiment.folder}")
    if outcome.preempted:
        print("stopped; the same command continues", file=sys.stderr)
        return EXIT_PREEMPTED
    return EXIT_FAILED if outcome.failed else EXIT_DONE


def _plan(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.launch.status import plan

    experiment = load(given.experiment, given.overrides)
    if given.origins:
        origins = experiment.composed.leaves()
        if given.json:
            found = [(".".join(map(str, path)), experiment.composed.value(path), where) for path, where in origins]
            print(json.dumps([{"key": key, "value": value, "origin": where} for key, value, where in found], indent=1))
            return EXIT_DONE
        for path, where in origins:
            print(f"{'.'.join(map(str, path))}: {json.dumps(experiment.composed.value(path))}  # {where}")
        return EXIT_DONE
    listing = plan(experiment)
    if given.json:
        print(json.dumps(listing, indent=1))
        return EXIT_DONE
    rows = [
        (
            trial["id"],
            trial["arm"] + (" (baseline)" if trial["arm"] == experiment.baseline else ""),
            str(trial["seed"]),
            trial["state"],
        )
        for trial in listing["trials"]
    ]
    _print_rows(("id", "arm", "seed", "state"), rows)
    print(f"{len(rows)} trials: {len(experiment.arms)} arms x {len(experiment.seeds)} seeds, in {experiment.folder}")
    return EXIT_DONE


def _status(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.launch.display import duration
    from segsuite.launch.status import status

    while True:
        experiment = load(given.experiment, given.overrides)
        found = status(experiment)
        if given.json:
            print(json.dumps(found, indent=1))
        else:
            rows = []
            for trial in found["trials"]:
                score = "-" if trial["miou"] is None else f"{trial['miou']:.3f}"
                left = "" if trial["seconds_left"] is None else duration(trial["seconds_left"])
                epochs = f"{trial['epochs_done']} of {trial['epochs']}"
                rows.append((trial["id"], trial["arm"], str(trial["seed"]), trial["state"], epochs, score, left))
            _print_rows(("id", "arm", "seed", "state", "epochs", "mIoU", "left"), rows)
            for trial in found["trials"]:
                if trial["state"] == "failed":
                    print(f"failed: {trial['arm']}, seed {trial['seed']}: {trial['reason']}\n  log: {trial['log']}")
            print(
                ", ".join(f"{count} {state}" for state, count in found["counts"].items() if count)
                + f", in {found['folder']}"
            )
        if not given.watch or not any(found["counts"][state] for state in ("new", "running", "unfinished")):
            return EXIT_FAILED if found["counts"]["failed"] else EXIT_DONE
        time.sleep(5)


def _report(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.report.command import Wishes, report

    wishes = Wishes(given.out, not given.no_images, given.figures, given.open, given.serve, given.port)
    report(load(given.experiment, given.overrides), wishes)
    return EXIT_DONE


def _wandb_sync(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.launch.wandb_sync import sync

    found = sync(load(given.experiment, given.overrides), given.again)
    rows = [
        (item.trial.id, item.trial.arm, str(item.trial.seed), item.state, item.done, item.verdict) for item in found
    ]
    _print_rows(("id", "arm", "seed", "state", "done", "on the server"), rows)
    for item in found:
        for missing in item.missing.values():
            print(f"missing: {item.trial.arm}, seed {item.trial.seed}: {missing}", file=sys.stderr)
    return EXIT_FAILED if any(item.missing for item in found) else EXIT_DONE


def _dashboard(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.report.build import build_report, folder_of, write_report
    from segsuite.report.dashboard import dashboard

    experiment = load(given.experiment, given.overrides)
    report = build_report(experiment)
    write_report(report, folder_of(experiment))
    made = dashboard(experiment, report.answer(), report.plotly_figures())
    print(f"report: {made['report_url']}\nworkspace: {made['workspace_url']}")
    return EXIT_DONE


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
    _print_rows(names, rows)
    print("\n".join(checkerboard.footnote(found)))
    if given.out is not None:
        print(f"written to {given.out}")
    return EXIT_DONE


def _schema(given: argparse.Namespace) -> int:
    from segsuite.schema import experiment_schema

    print(json.dumps(experiment_schema(), indent=1))
    return EXIT_DONE


def _print(renderable: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    # A pipe has no width: tables must not be folded to 80 columns there.
    Console(highlight=False, width=console.width if console.is_terminal else 200).print(renderable)


def _print_rows(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in (names, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
