"""`segsuite logs`, `segsuite why` and `segsuite cancel`: one trial, or those that need looking at."""

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsuite.commands.experiments import TRIALS_HELP, on_experiment, tell_elsewhere, trial_called, trials_called
from segsuite.errors import EXIT_DONE

if TYPE_CHECKING:
    from segsuite.experiment import Experiment, Trial
    from segsuite.launch.log_lines import Lines
    from segsuite.launch.slurm.queue import Task

LOOK_SECONDS = 0.5
PIECE_BYTES = 1024**2


def add(commands: Any) -> None:
    """Adds the commands to the subparsers of the command line."""
    logs = on_experiment(commands, "logs", "print what a trial's last attempt printed", _logs)
    logs.add_argument("trial", metavar="TRIAL", help=TRIALS_HELP)
    logs.add_argument("-f", "--follow", action="store_true", help="go on printing until the trial has ended")
    why = on_experiment(commands, "why", "why trials have no result or a warning, and what to do", _why)
    why.add_argument(
        "trial", nargs="?", metavar="TRIAL", help=f"{TRIALS_HELP}; without it: all that ended badly or warned"
    )
    why.add_argument("--json", action="store_true", help="print JSON")
    cancel = on_experiment(commands, "cancel", "take trials from the cluster's queue and end those that run", _cancel)
    cancel.add_argument("trial", nargs="*", metavar="TRIAL", help=f"{TRIALS_HELP}; without it: all, and the report")


def _logs(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.io import store
    from segsuite.launch.log_lines import Lines

    experiment = load(given.experiment, given.overrides)
    tell_elsewhere(experiment)
    trial, path, read, told = trial_called(experiment, given.trial), Path(), 0, ""
    lines = Lines()
    while True:
        ended = store.state(trial.folder) != "running"  # before the last look, so that nothing is missed
        last = store.log_file(trial.folder).resolve()
        if last != path:  # submitted anew, it has another log
            path, read, lines = last, 0, Lines()
        read = _print_from(path, read, lines, ended or not given.follow)
        if not given.follow:
            if read == 0:
                _print_epochs(trial)
            return EXIT_DONE
        if ended:
            task = _task_of(experiment, trial)
            if task is None:
                return EXIT_DONE
            waits = "its task runs" if task.is_running else f"in the queue: {task.reason_in_words}"
            if waits != told:
                told = waits
                print(f"[waiting for {trial.id}: {waits}]", file=sys.stderr, flush=True)
        time.sleep(LOOK_SECONDS)


def _print_epochs(trial: "Trial") -> None:
    """What there is to tell of a trial that printed nothing: on this machine its progress goes to the launcher."""
    from segsuite.io import store
    from segsuite.launch.log_lines import epoch_in_words

    epochs = store.events(trial.folder)
    print(f"{trial.id} has printed nothing" + ("; its epochs:" if epochs else f" and is {store.state(trial.folder)}"))
    for event in epochs:
        print(epoch_in_words({"epochs": trial.settings.train.epochs, **event}))


def _task_of(experiment: "Experiment", trial: "Trial") -> "Task | None":
    """What of the cluster's queue will still run a trial that nobody runs now: after a requeue, or at all."""
    from segsuite.io import store
    from segsuite.launch.slurm.view import view

    if store.state(trial.folder) == "finished":
        return None
    seen = view(experiment)
    return seen.tasks.get(trial.id) if seen is not None else None


def _print_from(path: Path, begin: int, lines: "Lines", to_its_end: bool) -> int:
    """Prints a file from byte `begin`, half a line only `to_its_end`; where it ends now."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(begin if begin <= size else max(0, size - PIECE_BYTES))  # its middle was taken out
            while piece := file.read(PIECE_BYTES):
                sys.stdout.write(lines.add(piece))
            end = file.tell()
    except FileNotFoundError:
        return begin
    except OSError as error:
        if error.filename is None:  # of the output, not of the log
            raise
        print(f"[{path} cannot be read: {error.strerror}]", file=sys.stderr)
        return begin
    sys.stdout.write(lines.add(b"", to_its_end))
    sys.stdout.flush()
    return end


def _why(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.io import users
    from segsuite.io.trial_warnings import noted
    from segsuite.launch.causes import NOTHING_KNOWN, cause, ended_badly, read_attempts
    from segsuite.launch.slurm.endings import endings
    from segsuite.launch.slurm.view import view

    experiment = load(given.experiment, given.overrides)
    tell_elsewhere(experiment)
    trials = experiment.trials if given.trial is None else trials_called(experiment, given.trial)
    warned = {trial.id: noted(trial.folder) for trial in trials}
    if given.trial is None:
        trials = [trial for trial in trials if ended_badly(trial.folder) or warned[trial.id]]
    seen = view(experiment)
    known = {
        trial.id: NOTHING_KNOWN if seen is None else seen.known(trial.id, read_attempts(trial.folder))
        for trial in trials
    }
    found = [(trial, cause(trial.folder, known[trial.id])) for trial in trials]
    if given.trial is None:
        found = [(trial, why) for trial, why in found if why.state != "running" or warned[trial.id]]
    whose = {trial.id: users.owner(trial.folder) if trial.folder.exists() else "" for trial, _ in found}
    if given.json:
        told = [
            {"id": trial.id, "arm": trial.arm, "seed": trial.seed}
            | dataclasses.asdict(why)
            | {"warnings": warned[trial.id], "owner": whose[trial.id] or None}
            for trial, why in found
        ]
        print(json.dumps(told, indent=1))
        return EXIT_DONE
    said = endings([why.attempts[-1]["job"] for _, why in found if why.attempts])
    for trial, why in found:
        task = seen.tasks.get(trial.id) if seen is not None else None
        print(f"{trial.id} {trial.arm}, seed {trial.seed}: {why.state}\n  why: {why.reason}\n  where: {why.where}")
        if why.remark:
            print(f"  note: {why.remark}")
        if whose[trial.id] not in ("", users.name()):
            print(f"  whose: {whose[trial.id]}'s")
        if task is not None and not task.is_running:
            print(f"  in the queue: {task.reason_in_words}")
        elif why.advice:
            again = f"; then segsuite retry {experiment.path} {trial.id}" if why.state == "failed" else ""
            print(f"  to do: {why.advice}{again}")
        for text in warned[trial.id] if why.state != "unreadable" else ():
            print(f"  warning: {text}")
        for at, attempt in enumerate(why.attempts, 1):
            print(f"  attempt {at}: {_attempt(attempt)}")
        if why.attempts and why.attempts[-1]["job"] in said:
            print(f"  sacct: {said[why.attempts[-1]['job']]}")
        if given.trial is not None and why.state in ("failed", "unfinished"):
            print("".join(f"  | {line}\n" for line in why.tail), end="")
    if seen is not None and seen.held is not None:
        print(f"held: {seen.held.get('reason')}\n  to do: mend it, then segsuite retry {experiment.path} --on slurm")
    if not found:
        print("no trial has ended without a result, none has a warning")
    return EXIT_DONE


def _attempt(attempt: dict[str, Any]) -> str:
    ended = "no end"
    if "end" in attempt and "begin" in attempt:
        ended = f"exit code {attempt.get('code')} after {attempt['end'] - attempt['begin']} s"
    return f"job {attempt['job']} on {attempt.get('node')}, {ended}"


def _cancel(given: argparse.Namespace) -> int:
    from segsuite.errors import plural
    from segsuite.experiment import load
    from segsuite.launch.slurm import hold
    from segsuite.launch.slurm.arrays import Place
    from segsuite.launch.slurm.queue import live_tasks

    experiment = load(given.experiment, given.overrides)
    place = Place.of(experiment)
    wanted = {trial.id for wish in given.trial for trial in trials_called(experiment, wish)}
    tasks = live_tasks(place.job_prefix, place.folder)
    chosen = [task for task in tasks if not wanted or wanted & set(place.trials_of(task))]
    hold.cancel(place, chosen, tasks)
    trials = {trial: task.is_running for task in chosen for trial in place.trials_of(task)}
    running, waiting = sum(trials.values()), sum(not runs for runs in trials.values())
    parts = [
        (running, f"{plural(running, 'trial')} that ran (each saves first)"),
        (waiting, f"{plural(waiting, 'trial')} that waited"),
        (any(not place.trials_of(task) for task in chosen), "the report"),
    ]
    said = ", ".join(words for number, words in parts if number)
    print(f"cancelled {said}; `segsuite run` submits what is left" if said else "nothing to cancel: no task is queued")
    beside = sorted(set(trials) - wanted) if wanted else []
    if beside:
        print(f"{plural(len(beside), 'trial')} shared a job with them and went, too: {', '.join(beside)}")
    return EXIT_DONE
