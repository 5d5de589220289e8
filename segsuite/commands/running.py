"""`segsuite run` and `segsuite retry`."""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segsuite.commands.experiments import TRIALS_HELP, on_experiment, tell_changes, tell_elsewhere, trials_called
from segsuite.commands.printing import print_rows, show
from segsuite.errors import EXIT_DONE, EXIT_FAILED, EXIT_PREEMPTED, ConfigError, SegsuiteError

if TYPE_CHECKING:
    from segsuite.experiment import Experiment, Trial

OF_SLURM = ("profile", "dry_run", "test_only", "live_code", "untracked")


def add(commands: Any) -> None:
    """Adds the commands to the subparsers of the command line."""
    run = on_experiment(commands, "run", "run every trial that has no result yet; calling it again continues", _run)
    help = "run trials again that failed, and those held on a cluster because of them, with the code as it is now"
    retry = on_experiment(commands, "retry", help, _retry)
    retry.add_argument("trial", nargs="*", metavar="TRIAL", help=f"only these: {TRIALS_HELP}")
    for parser in (run, retry):
        _add_options(parser)
    help = "run nothing; time 20 steps of the first trial, and say where they spend it"
    run.add_argument("--profile-steps", action="store_true", help=help)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=_workers,
        metavar="N|auto",
        help="trials at a time; auto: what suits the machine; default: auto on a CPU, 1 on a GPU",
    )
    parser.add_argument(
        "--on", choices=("local", "slurm"), default="local", help="this machine (default), or a cluster"
    )
    parser.add_argument("--profile", metavar="NAME|FILE", help="on slurm: a site profile, see slurm/README.md")
    parser.add_argument(
        "--dry-run", action="store_true", help="on slurm: print what would be submitted, submit nothing"
    )
    parser.add_argument(
        "--test-only", action="store_true", help="on slurm: only print what it will cost and when it may start"
    )
    parser.add_argument(
        "--live-code", action="store_true", help="on slurm: no copy of the code; edits reach queued trials"
    )
    parser.add_argument(
        "--untracked", choices=("copy", "leave-out"), help="on slurm: files of the checkout that git does not track"
    )
    parser.add_argument(
        "--per-device",
        type=_workers,
        default=1,
        metavar="K|auto",
        help="trials at a time on a GPU; auto: as many as its memory holds, by what they were seen to take; default: 1",
    )
    parser.add_argument(
        "--keep-going", action="store_true", help="start further trials although the first three fail in the same way"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start each trial in a process of its own, not in one forked from a pool"
    )


def _workers(text: str) -> int | str:
    return text if text == "auto" else _positive(text)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number of at least 1")
    return int(text)


def _profile_steps(given: argparse.Namespace) -> int:
    """Prints where the steps of the first trial spend their time."""
    from segsuite.errors import plural
    from segsuite.launch.profiling import profile_steps

    trial, found = profile_steps(given.experiment, given.overrides)
    seconds = sum(found["milliseconds"].values())
    rows = [
        (part, f"{value:.1f}", f"{value / seconds:.0%}" if seconds else "")
        for part, value in found["milliseconds"].items()
    ]
    print(
        f"{trial.arm}, seed {trial.seed}: {found['steps']} steps on {found['device']}, {found['precision']}, "
        f"{plural(found['threads'], 'CPU thread')}"
    )
    print_rows(("part", "ms a step", "share"), [*rows, ("all", f"{seconds:.1f}", "")])
    peak = f"the {found['peak_flops'] / 1e12:.2f} TFLOP/s that products of matrices reach here"
    print(f"{found['images_per_second']:.1f} images/s, {found['share_of_peak']:.0%} of {peak}")
    if of_image := found["validation_milliseconds"]:
        parts = ", ".join(f"{part} {value:.1f} ms" for part, value in of_image.items())
        print(f"an image of a validation: {parts}; a training step counts no predictions")
    return EXIT_DONE


def _run(given: argparse.Namespace) -> int:
    from segsuite.experiment import load

    if given.profile_steps:
        return _profile_steps(given)

    _check_place(given)
    experiment = load(given.experiment, given.overrides)
    return _submit(given, experiment) if given.on == "slurm" else _work(given, experiment)


def _retry(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.io import store
    from segsuite.launch.slurm import hold

    _check_place(given)
    experiment = load(given.experiment, given.overrides)
    held = hold.read(experiment.folder)
    if held is not None and given.on != "slurm":
        advice = f"segsuite retry {experiment.path} --on slurm, or `segsuite cancel {experiment.path}` first"
        raise ConfigError(f"trials are held on the cluster: {held.get('reason')}", str(experiment.folder), advice)
    named = [trial for wish in given.trial for trial in trials_called(experiment, wish)]
    chosen = [trial for trial in named or experiment.trials if store.state(trial.folder) != "finished"]
    if not chosen or not (named or held or any(store.state(trial.folder) in ("failed", "damaged") for trial in chosen)):
        print(f"nothing to retry; `segsuite run {experiment.path}` runs what has no result yet")
        return EXIT_DONE
    if given.on == "slurm":
        return _submit(given, experiment, chosen if named else None, again=True)
    return _work(given, experiment, chosen if named else None)


def _check_place(given: argparse.Namespace) -> None:
    for name in OF_SLURM:
        if getattr(given, name) and given.on != "slurm":
            option, advice = f"--{name.replace('_', '-')}", f"add --on slurm, or see `segsuite plan {given.experiment}`"
            raise ConfigError(f"{option} is for a cluster", "the command line", advice)


def _work(given: argparse.Namespace, experiment: "Experiment", chosen: Sequence["Trial"] | None = None) -> int:
    """Runs the experiment's trials on this machine, or only those `chosen`."""
    from segsuite.errors import plural
    from segsuite.launch.display import Display
    from segsuite.launch.local import run
    from segsuite.report.columns import terminal_width
    from segsuite.report.tables import result_table

    display = Display()
    _check(experiment, display.console, chosen)
    experiment = experiment if chosen is None else dataclasses.replace(experiment, trials=tuple(chosen))
    _tell_failures(experiment.trials)
    outcome = run(experiment, display, given.workers, given.per_device, given.keep_going, given.fresh)
    if outcome.finished:
        show(result_table(experiment, terminal_width()))
    print(f"written to {experiment.folder}")
    if outcome.preempted:
        print("stopped; the same command continues", file=sys.stderr)
        return EXIT_PREEMPTED
    if outcome.common_failure and outcome.not_started:
        what = f"{outcome.common_failure}; not started: {plural(outcome.not_started, 'trial')}"
        advice = f"mend it, then `segsuite retry {experiment.path}`; or add --keep-going"
        raise SegsuiteError(what, str(experiment.folder), advice)
    if outcome.unreadable:
        print(f"{plural(outcome.unreadable, 'trial')} not run, since nobody knows whether there is a result: see above")
    words = [word for text in given.overrides for word in ("--set", text)]
    bad = outcome.failed or outcome.unreadable
    follows = shlex.join(["segsuite", "why" if bad else "report", str(given.experiment), *words])
    print(f"next: {follows}")
    return EXIT_FAILED if bad else EXIT_DONE


def _check(experiment: "Experiment", console: Any, chosen: Sequence["Trial"] | None) -> None:
    """Raises an error that says all that keeps the trials without a result (or those `chosen`) from running, before the
    first one starts: what is known at once, then what reading every image finds."""
    from segsuite.io import store
    from segsuite.launch.check import check_data
    from segsuite.launch.check_plan import problems
    from segsuite.launch.data_changes import changes, seen_data
    from segsuite.launch.freeze import check_writable

    states = {trial.id: store.state(trial.folder) for trial in experiment.trials}
    trials = [trial for trial in chosen or experiment.trials if states[trial.id] not in ("finished", "unreadable")]
    tell_changes(experiment)
    tell_elsewhere(experiment)
    found = changes(experiment, seen_data(experiment.trials, states, sys.maxsize), sys.maxsize)
    if found and trials:
        # What they would learn could be compared with nothing that is there.
        raise ConfigError.of(found)
    for error in found:
        print(f"note: {error}", file=sys.stderr)
    if wrong := problems(experiment, trials, headers=False):
        raise ConfigError.of(wrong)
    check_writable(experiment)
    check_data(experiment, console, trials)


def _tell_failures(trials: Sequence["Trial"]) -> None:
    """A failure is not repeated without a word."""
    from segsuite.launch.same_failure import failures_in_words

    for line in failures_in_words(trial.folder for trial in trials):
        print(f"to retry: {line}")


def _submit(
    given: argparse.Namespace, experiment: "Experiment", chosen: Sequence["Trial"] | None = None, again: bool = False
) -> int:
    """Submits the experiment's trials that are missing, or only those `chosen`; `again`: held ones, too."""
    from rich.console import Console

    from segsuite.errors import plural
    from segsuite.launch.slurm import estimate, hold, snapshot
    from segsuite.launch.slurm.command import NoCluster
    from segsuite.launch.slurm.profile import read_profile
    from segsuite.launch.slurm.reconcile import submit

    name, profile = read_profile(given.profile)
    only = None if chosen is None else {trial.id for trial in chosen}
    overrides = [word for text in given.overrides for word in ("--set", text)]
    report = ["report", str(experiment.path.resolve()), *overrides]
    dry = given.dry_run or given.test_only
    if not dry:
        _check(experiment, Console(highlight=False, soft_wrap=True), chosen)
    try:
        if again:
            cancelled = hold.cancel_held(experiment, only, dry)
            if cancelled:
                said = (
                    "would cancel and submit, too:" if dry else "cancelled, to be submitted with the code as it is now:"
                )
                print(f"{said} {plural(cancelled, 'task')}")
        else:
            hold.refuse(experiment)
    except NoCluster:
        if not dry:
            raise
    planned = submit(experiment, profile, report, True, given.live_code, only, without_cluster=dry)
    if planned.unasked is not None:
        print(f"note: nothing is taken as queued, since the queue was not asked: {planned.unasked.what}")
    print(f"{experiment.name}: {planned.difference.words()}")
    missing = planned.difference.missing
    used = {entry for trial in experiment.trials for entry in profile.entries_of(trial)}
    for at, entry in enumerate(profile.resources):
        if at not in used:
            print(f"note: resources.{at} of the profile matches no trial of this experiment: {entry['match']}")
    _tell_failures(missing)
    if missing and not given.live_code and (code := snapshot.code(given.untracked)) is not None:
        print("".join(f"{line}\n" for line in code.notes()), end="")
    if missing:
        print(estimate.cost(experiment, missing, profile).words())
        try:
            if planned.unasked is None:
                print(f"start: {estimate.start(planned.commands[0])}")
        except SegsuiteError as error:  # a real submission says it again, as an error
            print(f"start: {error.what}")
    if given.dry_run:
        for command in planned.commands:
            print(shlex.join(command))
    if dry:
        print(f"nothing was submitted (profile: {name})")
        return EXIT_DONE
    hold.keep_going(experiment.folder, given.keep_going)
    found = planned
    if missing:
        found = submit(experiment, profile, report, False, given.live_code, only, untracked=given.untracked)
    if found.arrays:
        report_job = "no report after them" if found.report is None else f"the report after them as {found.report}"
        print(f"submitted {plural(found.trials, 'trial')} as {', '.join(found.arrays)}, {report_job}")
        print(f"`segsuite status {experiment.path}` follows them")
        if found.refused is not None:
            left = plural(len(found.difference.missing) - found.trials, "trial")
            advice = "call it again when these have ended, and see slurm/README.md, `When sbatch refuses`"
            raise SegsuiteError(f"{left} not submitted: {found.refused.what}", found.refused.where, advice)
    else:
        print("nothing to submit")
    return EXIT_DONE
