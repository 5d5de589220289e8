"""What all commands on an experiment take: its YAML, settings to override, and trials by name."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsuite.errors import ConfigError, plural, unknown_name

if TYPE_CHECKING:
    from segsuite.experiment import Experiment, Trial

TRIALS_HELP = "the beginning of an id as `segsuite plan` shows it, an arm, or a run directory"


def on_experiment(commands: Any, name: str, help: str, command: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
    parser.add_argument("experiment", type=Path, metavar="E.yaml", help="the experiment")
    add_overrides(parser, "train.epochs=5")
    parser.set_defaults(command=command)
    return parser


def add_overrides(parser: argparse.ArgumentParser, example: str) -> None:
    """Adds `--set`; what it is given is `overrides`, the texts in their order."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help=f"override a setting, e.g. {example}",
    )


def tell_changes(experiment: "Experiment") -> None:
    """Prints what each `--set` changed: a setting that one believes to have set is seen to be set."""
    for change in experiment.composed.changes:
        print(f"--set {change.words}")


def trials_called(experiment: "Experiment", wish: str) -> list["Trial"]:
    """The trials of an arm, or the one of a run directory or of an id, of which the beginning is enough. Raises
    ConfigError when there is none, or several ids begin so."""
    name = Path(wish).name if Path(wish, "trial.yaml").exists() else wish
    found = [trial for trial in experiment.trials if trial.arm == name]
    found = found or [trial for trial in experiment.trials if trial.id.startswith(name)]
    if not found:
        ids = [trial.id for trial in experiment.trials]
        advice = f"`segsuite plan {experiment.path}` lists ids and arms; settings given with --set change ids"
        raise ConfigError(unknown_name("trial", name, [*experiment.arms, *ids]), str(experiment.path), advice)
    if len(found) > 1 and found[0].arm != name:
        raise ConfigError(f"{len(found)} trials begin with '{name}'", str(experiment.path), "give more of the id")
    return found


def trial_called(experiment: "Experiment", wish: str) -> "Trial":
    """The one trial of that name; raises ConfigError when an arm has several."""
    found = trials_called(experiment, wish)
    if len(found) > 1:
        ids = ", ".join(trial.id for trial in found[:9])
        raise ConfigError(
            f"the arm '{wish}' has {plural(len(found), 'trial')}", str(experiment.path), f"give an id: {ids}"
        )
    return found[0]


def tell_elsewhere(experiment: "Experiment") -> None:
    """Says on standard error that the experiment's trials seem to lie in another folder, where they do."""
    from segsuite.launch.notes import elsewhere

    there = elsewhere(experiment)
    if there is not None:
        print(f"note: {there}", file=sys.stderr)
