"""Launchers and trials that are killed at random moments, alone and with a second launcher at work."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from segsuite.errors import plural
from segsuite.experiment import Trial, load
from segsuite.io import store
from torture_faults import Row, Torture
from torture_faults.small_trials import LONGEST_SECONDS, end, holder, outcome, plant, run, touched, until, written

SEEDS = 2
MOST_KILLS = 5
PAUSE_SECONDS, TRAINING_SECONDS = (1.0, 8.0), (0.0, 3.0)
WAIT_SHARE, WAIT_SECONDS = 0.75, 60.0


@dataclass
class Counts:
    """What was killed, in how many experiments."""

    rounds: int = 0
    launchers: int = 0
    trials: int = 0
    unfinished: int = 0


def main(torture: Torture) -> list[Row]:
    """Experiments until the time is over, one after another, at least one with each number of launchers."""
    alone = Row("a launcher and its trials killed (SIGKILL) at random moments, the same command again")
    both = Row("two launchers at once, launchers and trials killed at random moments")
    counted = (Counts(), Counts())
    for number in torture.rounds(least=2):
        _round(torture, number, (alone, both)[number % 2], counted[number % 2], 1 + number % 2)
    for row, counts in zip((alone, both), counted, strict=True):
        row.tried = counts.launchers + counts.trials
        row.happened = (
            f"{plural(counts.rounds, 'experiment')} of {SEEDS} trials; {plural(counts.launchers, 'launcher')} and "
            f"{plural(counts.trials, 'trial')} killed; checkpoints, epochs and scores have the bits of an undisturbed "
            "run, and a person's files beside them stayed"
        )
        if counts.unfinished:
            row.happened += f"; {counts.unfinished} more had not ended after {LONGEST_SECONDS:.0f} s"
    return [alone, both]


def _round(torture: Torture, number: int, row: Row, counts: Counts, launchers: int) -> None:
    """One experiment to its end."""
    folder = torture.place(f"kills-{number}")
    path = written(folder, SEEDS)
    trials = load(path).trials
    planted = plant(trials[0].folder) | plant(trials[0].folder / "checkpoints") | plant(trials[0].folder.parent)
    deadline = time.monotonic() + LONGEST_SECONDS
    _disturb(torture, path, trials, counts, launchers, deadline)
    # A trial that was killed is a failure that its launcher tells and does not repeat.
    while not _finished(trials) and time.monotonic() < deadline:
        again = run(path, "--workers", "2")
        try:
            again.wait(max(1.0, deadline - time.monotonic()))
        finally:
            end(again)
    if not _finished(trials):
        counts.unfinished += 1
        return
    counts.rounds += 1
    for trial, right in zip(trials, torture.right, strict=True):
        if (found := outcome(trial.folder)) != right:
            row.lose(f"round {number}: other bits: {found}")
    for name in touched(planted):
        row.lose(f"round {number}: a file of somebody was touched: {name}")
    if "Traceback" in (said := (folder / "launcher.txt").read_text()):
        row.lose(f"round {number}: a traceback: {said[-300:]}")


def _finished(trials: tuple[Trial, ...]) -> bool:
    return all(store.state(trial.folder) == "finished" for trial in trials)


def _disturb(
    torture: Torture, path: Path, trials: tuple[Trial, ...], counts: Counts, launchers: int, deadline: float
) -> None:
    """Starts launchers and kills them and their trials until the experiment ends or enough have been killed."""
    running = [run(path, "--workers", "2") for _ in range(launchers)]
    left = torture.chance.randint(2, MOST_KILLS)
    try:
        while any(one.poll() is None for one in running) and time.monotonic() < deadline:
            if left and torture.chance.random() < WAIT_SHARE:  # trainings are short, and start slowly
                until(lambda: any(holder(trial.folder) for trial in trials) or _finished(trials), WAIT_SECONDS)
                time.sleep(torture.chance.uniform(*TRAINING_SECONDS))
            else:
                time.sleep(torture.chance.uniform(*PAUSE_SECONDS) if left else 0.2)
            pids = [pid for pid in (holder(trial.folder) for trial in trials) if pid is not None]
            at = torture.chance.randrange(launchers)
            if not left:
                continue
            if pids and torture.chance.random() < 0.5:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(torture.chance.choice(pids), signal.SIGKILL)
                    counts.trials, left = counts.trials + 1, left - 1
            elif running[at].poll() is None:
                running[at].kill()  # it alone: its trials find out and leave
                running[at].wait()
                counts.launchers, left = counts.launchers + 1, left - 1
                running[at] = run(path, "--workers", "2")
    finally:
        for one in running:
            end(one)
