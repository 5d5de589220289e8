"""Runs trials on this machine, one process a trial, as many at a time as there are slots."""

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segsuite.errors import EXIT_DONE, EXIT_PREEMPTED, EXIT_SMALLER_BATCH, ConfigError, plural
from segsuite.experiment import Experiment, Trial
from segsuite.io import claims, store
from segsuite.io.machine import cores
from segsuite.io.reading import owner
from segsuite.launch.attempt import Attempt, environment
from segsuite.launch.causes import smaller_batch
from segsuite.launch.display import Display
from segsuite.launch.freeze import freeze
from segsuite.launch.same_failure import ENOUGH, common_failure
from segsuite.launch.slots import Slot, slots
from segsuite.launch.warm import Pool

LOOK_SECONDS = 0.1
WAIT_SECONDS = 2.0


@dataclass
class Outcome:
    """How many trials have which end."""

    finished: int = 0
    failed: int = 0
    unreadable: int = 0  # nobody knows whether they have a result: they are not run
    preempted: bool = False
    common_failure: str | None = None  # why no further trial was started
    not_started: int = 0  # because of that


def run(
    experiment: Experiment,
    display: Display,
    workers: int | None = 1,
    per_device: int = 1,
    keep_going: bool = False,
    fresh: bool = False,
) -> Outcome:
    """Runs every trial that has no whole result, `workers` at a time (None: as many as suit the machine, see slots.py);
    not one that cannot be read. A failed one is recorded and stops no other; when the first ones fail in the same way,
    no further one is started, unless `keep_going`. Their processes are forked from one that has imported everything, or
    `fresh`.

    Ctrl-C (or SIGTERM, SIGUSR1) lets the running trials save and ends the run; a second one ends at once.
    """
    looks = {trial.id: store.look(trial.folder) for trial in experiment.trials}
    waiting = [trial for trial in experiment.trials if looks[trial.id].state not in ("finished", "unreadable")]
    outcome = Outcome(finished=sum(look.state == "finished" for look in looks.values()))
    running: list[Attempt] = []
    ended: list[Path] = []
    free = _slots(waiting, workers, per_device)
    asleep: dict[str, float] = {}
    display.begin(experiment, outcome.finished, len(free))
    outcome.unreadable = _tell(experiment.trials, looks, display)
    _warn_of_fighting(waiting, len(free), display)
    with _signals() as asked, contextlib.closing(Pool(display.warns)) as pool:
        if not fresh and _gain_by_a_pool(waiting):
            pool.open(environment(free[0]))
        while running or (waiting and not asked and not outcome.common_failure):
            for attempt in [attempt for attempt in running if attempt.ended()]:
                running.remove(attempt)
                free.append(attempt.slot)
                if _is_over(attempt, outcome, bool(asked)):
                    display.ends(attempt.trial)
                    ended.append(attempt.trial.folder)
                    if len(ended) == ENOUGH and not keep_going:
                        outcome.common_failure = common_failure(ended)
                else:
                    waiting.append(attempt.trial)  # another launcher was quicker, or the next attempt takes less memory
                    display.leaves(attempt.trial)
                    if attempt.code == EXIT_SMALLER_BATCH:
                        display.warns(
                            f"{attempt.trial.arm}, seed {attempt.trial.seed}: {smaller_batch(attempt.trial.folder)}"
                        )
            if asked:
                for attempt in running:
                    attempt.ask_to_leave(at_once=len(asked) > 1)
            elif not outcome.common_failure and not pool.warming():
                _fill(free, running, waiting, outcome, display, pool, asleep)
            if running or waiting:
                time.sleep(LOOK_SECONDS)
    outcome.preempted, outcome.not_started = bool(asked), len(waiting)
    display.end()
    return outcome


def _tell(trials: Sequence[Trial], looks: Mapping[str, store.Look], display: Display) -> int:
    """Says which results are damaged and which trials cannot be read; how many of the latter."""
    unreadable = 0
    for trial in trials:
        look = looks[trial.id]
        if look.state == "damaged":
            display.warns(f"{trial.arm}, seed {trial.seed}: {look.why}; it is scored again, or trained anew")
        elif look.state == "unreadable":
            unreadable += 1
            display.leaves_alone(trial, look)
    return unreadable


def _slots(waiting: Sequence[Trial], workers: int | None, per_device: int) -> list[Slot]:
    wants_gpu = any(trial.settings.execution.device in ("auto", "cuda") for trial in waiting)
    return slots(workers, per_device, len(waiting), wants_gpu)


def _gain_by_a_pool(waiting: Sequence[Trial]) -> bool:
    """A single trial does not; one of several processes starts these itself."""
    return len(waiting) > 1 and all(trial.settings.execution.ranks == 1 for trial in waiting)


def _warn_of_fighting(waiting: Sequence[Trial], workers: int, display: Display) -> None:
    threads = max((trial.settings.execution.threads or 1 for trial in waiting), default=1)
    if workers > 1 and workers * threads > cores():
        # Measured: two trials of two threads each on two cores take 2.5 to 3.8 times as long as with one each.
        display.warns(
            f"{workers} workers of execution.threads {threads} fight for {plural(cores(), 'core')}: leave threads unset"
        )


def _fill(
    free: list[Slot],
    running: list[Attempt],
    waiting: list[Trial],
    outcome: Outcome,
    display: Display,
    pool: Pool,
    asleep: dict[str, float],
) -> None:
    """Starts the next trials in the free slots; waits a while when other launchers run all that are left. `asleep`: id
    of a trial that another launcher runs -> until when it is not looked at again."""
    held = 0  # by other launchers
    while free and held < len(waiting):
        trial = waiting.pop(0)
        if asleep.get(trial.id, 0.0) > time.monotonic():
            waiting.append(trial)
            held += 1
            continue
        look = store.look(trial.folder)
        if look.state == "finished":  # by another launcher
            outcome.finished += 1
        elif look.state == "unreadable":
            outcome.unreadable += 1
            display.leaves_alone(trial, look)
        elif look.state == "running":
            asleep[trial.id] = time.monotonic() + WAIT_SECONDS
            waiting.append(trial)
            held += 1
        elif (attempt := _started(trial, free[0], display, pool)) is None:
            outcome.failed += 1
        else:
            free.pop(0)
            running.append(attempt)
    if waiting and not running:
        display.waits_for(waiting[0], claims.read(waiting[0].folder))
        time.sleep(WAIT_SECONDS)


def _started(trial: Trial, slot: Slot, display: Display, pool: Pool) -> Attempt | None:
    """None, and a sentence, where its run directory may not be written to, such as another person's: the other trials
    go on."""
    display.starts(trial)
    try:
        freeze(trial)
        return Attempt(trial, slot, partial(display.progress, trial), pool)
    except (ConfigError, PermissionError) as error:
        told = error if isinstance(error, ConfigError) else ConfigError(f"cannot write: {error}", str(trial.folder))
        display.refuses(trial, told, owner(trial.folder))
        return None


def _is_over(attempt: Attempt, outcome: Outcome, asked: bool) -> bool:
    """Counts how an attempt has ended; False when another launcher runs its trial, or has run it meanwhile, and when it
    is to be run again with smaller batches."""
    state = store.state(attempt.trial.folder)
    if attempt.code == EXIT_SMALLER_BATCH and not asked:
        return False
    if state == "running" or (state == "finished" and attempt.code != EXIT_DONE):
        return False
    is_done = state == "finished" or (state == "unreadable" and attempt.code == EXIT_DONE)
    outcome.finished += is_done
    outcome.failed += not is_done and attempt.code != EXIT_PREEMPTED and not asked
    return True


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that have asked for an end so far, in order."""
    asked: list[int] = []
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {name: signal.signal(name, lambda number, _: asked.append(number)) for name in names}
    try:
        yield asked
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
