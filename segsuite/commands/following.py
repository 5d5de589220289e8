"""`segsuite logs`, `segsuite why` and `segsuite cancel`: one trial, or those that need looking at."""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsuite.commands.experiments import on_experiment
from segsuite.errors import EXIT_DONE, ConfigError, unknown_name

if TYPE_CHECKING:
    from segsuite.experiment import Experiment, Trial

LOOK_SECONDS = 0.5


def add(commands: Any) -> None:
    """Adds the commands to the subparsers of the command line."""
    logs = on_experiment(commands, "logs", "print what a trial's last attempt printed", _logs)
    logs.add_argument("trial", metavar="TRIAL", help="the beginning of its id, as `segsuite plan` shows it")
    logs.add_argument("-f", "--follow", action="store_true", help="go on printing until the trial has ended")
    why = on_experiment(commands, "why", "why trials have no result, and what to do", _why)
    why.add_argument(
        "trial", nargs="?", metavar="TRIAL", help="the beginning of an id; without it: all that ended badly"
    )
    why.add_argument("--json", action="store_true", help="print JSON")
    cancel = on_experiment(commands, "cancel", "take trials from the cluster's queue and end those that run", _cancel)
    cancel.add_argument("trial", nargs="*", metavar="TRIAL", help="beginnings of ids; without them: all trials")


def _chosen(experiment: "Experiment", wanted: str) -> "Trial":
    found = [trial for trial in experiment.trials if trial.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if not found:
        what = unknown_name("trial", wanted, [trial.id for trial in experiment.trials])
        raise ConfigError(what, str(experiment.path), f"`segsuite plan {experiment.path}` lists the ids")
    raise ConfigError(f"{len(found)} trials begin with '{wanted}'", str(experiment.path), "give more of the id")


def _logs(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.io import store

    trial = _chosen(load(given.experiment, given.overrides), given.trial)
    path, read = store.log_file(trial.folder), 0
    while True:
        ended = store.state(trial.folder) != "running"  # before the last look, so that nothing is missed
        read = _print_from(path, read)
        if not given.follow or ended:
            return EXIT_DONE
        time.sleep(LOOK_SECONDS)


def _print_from(path: Path, begin: int) -> int:
    """Prints a file from byte `begin`; where it ends now."""
    try:
        with open(path, "rb") as file:
            file.seek(begin)
            text = file.read()
    except OSError:
        return begin
    sys.stdout.write(text.decode(errors="replace"))
    sys.stdout.flush()
    return begin + len(text)


def _why(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.io import store
    from segsuite.launch.causes import cause

    experiment = load(given.experiment, given.overrides)
    if given.trial is not None:
        trials = [_chosen(experiment, given.trial)]
    else:
        trials = [trial for trial in experiment.trials if store.state(trial.folder) in ("failed", "unfinished")]
    found = [(trial, cause(trial.folder)) for trial in trials]
    if given.json:
        named = [({"id": trial.id, "arm": trial.arm, "seed": trial.seed}, why) for trial, why in found]
        print(json.dumps([name | dataclasses.asdict(why) for name, why in named], indent=1))
        return EXIT_DONE
    for trial, why in found:
        print(f"{trial.id} {trial.arm}, seed {trial.seed}: {why.state}\n  why: {why.reason}\n  where: {why.where}")
        if why.advice:
            print(f"  to do: {why.advice}")
        for at, attempt in enumerate(why.attempts, 1):
            print(f"  attempt {at}: {_attempt(attempt)}")
        if given.trial is not None and why.state in ("failed", "unfinished"):
            print("".join(f"  | {line}\n" for line in why.tail), end="")
    if not found:
        print("no trial has ended without a result")
    return EXIT_DONE


def _attempt(attempt: dict[str, Any]) -> str:
    ended = "no end"
    if "end" in attempt and "begin" in attempt:
        ended = f"exit code {attempt.get('code')} after {attempt['end'] - attempt['begin']} s"
    return f"job {attempt['job']} on {attempt.get('node')}, {ended}"


def _cancel(given: argparse.Namespace) -> int:
    from segsuite.experiment import load, plural
    from segsuite.launch.slurm.arrays import Place
    from segsuite.launch.slurm.command import call
    from segsuite.launch.slurm.queue import live_tasks

    experiment = load(given.experiment, given.overrides)
    place = Place.of(experiment)
    wanted = {_chosen(experiment, text).id for text in given.trial}
    tasks = live_tasks(place.job_prefix)
    chosen = [task for task in tasks if not wanted or place.trial_of(task) in wanted]
    if chosen:
        whole = dict.fromkeys(task.job for task in chosen)  # few words, however many tasks
        call(["scancel", *(whole if not wanted else (task.id for task in chosen))])
    print(f"cancelled {plural(len(chosen), 'task')}; `segsuite run` submits them again")
    return EXIT_DONE
