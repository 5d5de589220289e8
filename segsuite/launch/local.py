"""Runs trials on this machine, one process a trial, as many at a time as there are slots."""

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from segsuite.errors import (
    EXIT_CLAIMED,
    EXIT_DONE,
    EXIT_PREEMPTED,
    EXIT_RETRY_ALONE,
    EXIT_SMALLER_BATCH,
    ConfigError,
    plural,
)
from segsuite.experiment import Experiment, Trial
from segsuite.io import claims, store
from segsuite.io.machine import cores
from segsuite.launch.attempt import Attempt, environment
from segsuite.launch.causes import smaller_batch
from segsuite.launch.device_room import Room, gpu_memory
from segsuite.launch.display import Display
from segsuite.launch.freeze import freeze
from segsuite.launch.same_failure import ENOUGH, common_failure
from segsuite.launch.sharing import Sharing
from segsuite.launch.slots import MOST_ON_A_GPU, Slot, in_words, slots, workers_by_default
from segsuite.launch.warm import Pool

LOOK_SECONDS = 0.1
WAIT_SECONDS = 2.0
AWAY_SECONDS, MOST_MISSES = 60.0, 10
"""How long a trial is left whose folder a file server does not give, and how often: ten minutes of an outage."""


class Asleep:
    """Trials that are not to be looked at for a while. `misses`: id -> how often a file server was away."""

    def __init__(self) -> None:
        self.misses: Counter[str] = Counter()
        self._until: dict[str, float] = {}

    def until_later(self, trial: Trial, is_away: bool = False) -> None:
        """Another launcher runs it, or its run directory `is_away`."""
        self.misses[trial.id] += is_away
        self._until[trial.id] = time.monotonic() + (AWAY_SECONDS if is_away else WAIT_SECONDS)

    def is_so(self, trial: Trial) -> bool:
        """Whether it is too early to look at it again."""
        return self._until.get(trial.id, 0.0) > time.monotonic()


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
    workers: int | Literal["auto"] | None = None,
    per_device: int | Literal["auto"] = 1,
    keep_going: bool = False,
    fresh: bool = False,
) -> Outcome:
    """Runs every trial that has no whole result, `workers` at a time (auto: as many as suit the machine, see slots.py;
    None: that on a CPU, and one on a GPU); not one that cannot be read. A failed one is recorded and stops no other;
    when the first ones fail in the same way, no further one is started, unless `keep_going`. Their processes are forked
    from one that has imported everything, or `fresh`. per_device: trials at a time on a GPU; auto: as many as its
    memory holds.

    Ctrl-C (or SIGTERM, SIGUSR1) lets the running trials save and ends the run; a second one ends at once.
    """
    looks = {trial.id: store.look(trial.folder) for trial in experiment.trials}
    given_up = ("finished", "unreadable")
    waiting = [one for one in experiment.trials if looks[one.id].is_away or looks[one.id].state not in given_up]
    outcome = Outcome(finished=sum(look.state == "finished" for look in looks.values()))
    running: list[Attempt] = []
    ended: list[Path] = []
    asleep = Asleep()
    places = _slots(waiting, workers, per_device)
    sharing = Sharing(places, Room(gpu_memory()) if per_device == "auto" and places[0].device else None)
    display.begin(experiment, outcome.finished, len(places))
    outcome.unreadable = _tell(experiment.trials, looks, display)
    if len(waiting) > 1 and not isinstance(workers, int):
        display.says(in_words(places, at_most=per_device == "auto"))
    _warn_of_fighting(waiting, len(places), display)
    with _signals() as asked, contextlib.closing(Pool(display.warns)) as pool:
        if not fresh and _gain_by_a_pool(waiting):
            pool.open(environment(places[0]))
        while running or (waiting and not asked and not outcome.common_failure):
            for attempt in [attempt for attempt in running if attempt.ended()]:
                running.remove(attempt)
                sharing.give_back(attempt.slot)
                if _is_over(attempt, outcome, bool(asked)):
                    display.ends(attempt.trial)
                    ended.append(attempt.trial.folder)
                    if len(ended) == ENOUGH and not keep_going:
                        outcome.common_failure = common_failure(ended)
                else:
                    waiting.append(attempt.trial)  # another launcher was quicker, or the next attempt has more memory
                    display.leaves(attempt.trial)
                    name = f"{attempt.trial.arm}, seed {attempt.trial.seed}"
                    if attempt.code == EXIT_CLAIMED:
                        asleep.until_later(attempt.trial)
                    if attempt.code == EXIT_SMALLER_BATCH:
                        display.warns(f"{name}: {smaller_batch(attempt.trial.folder)}")
                    if attempt.code == EXIT_RETRY_ALONE:
                        sharing.repeat_alone(attempt.trial)
                        display.warns(f"{name}: the memory was too small beside other trials; it goes on alone")
            if asked:
                for attempt in running:
                    attempt.ask_to_leave(at_once=len(asked) > 1)
            elif not outcome.common_failure and not pool.warming():
                _fill(sharing, running, waiting, outcome, display, pool, asleep)
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
        elif look.state == "unreadable" and not look.is_away:
            unreadable += 1
            display.leaves_alone(trial, look)
    return unreadable


def _slots(
    waiting: Sequence[Trial], workers: int | Literal["auto"] | None, per_device: int | Literal["auto"]
) -> list[Slot]:
    wants_gpu = any(trial.settings.execution.device != "cpu" for trial in waiting)
    if workers is None:
        workers = "auto" if per_device == "auto" or workers_by_default(wants_gpu) is None else 1
    executions = [trial.settings.execution for trial in waiting]
    most = max(((one.threads or 1) * one.ranks for one in executions), default=1)
    on_a_gpu = MOST_ON_A_GPU if per_device == "auto" else per_device
    return slots(None if workers == "auto" else workers, on_a_gpu, len(waiting), wants_gpu, most)


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
    sharing: Sharing,
    running: list[Attempt],
    waiting: list[Trial],
    outcome: Outcome,
    display: Display,
    pool: Pool,
    asleep: Asleep,
) -> None:
    """Starts the next trials where they may; waits a while when other launchers run all that are left."""
    held = 0  # by other launchers, for lack of memory, or by a file server that is away
    while not sharing.is_full and held < len(waiting):
        trial = waiting.pop(0)
        # The slot first: a look costs more, and there may be none for thousands of trials.
        slot = None if asleep.is_so(trial) else sharing.take(trial, running)
        if slot is None:
            waiting.append(trial)
            held += 1
            continue
        attempt = None
        look = store.look(trial.folder)
        if look.state == "finished":  # by another launcher
            outcome.finished += 1
        elif look.state == "running" or (look.is_away and asleep.misses[trial.id] < MOST_MISSES):
            asleep.until_later(trial, look.is_away)
            waiting.append(trial)
            held += 1
        elif look.state == "unreadable":
            outcome.unreadable += 1
            display.leaves_alone(trial, look)
        else:
            attempt = _started(trial, slot, sharing, display, pool)
            outcome.failed += attempt is None
        sharing.give_back(slot) if attempt is None else running.append(attempt)
    if waiting and not running:
        display.waits_for(waiting[0], claims.read(waiting[0].folder))
        time.sleep(WAIT_SECONDS)


def _started(trial: Trial, slot: Slot, sharing: Sharing, display: Display, pool: Pool) -> Attempt | None:
    """None, and a sentence, where its run directory may not be written to, such as another person's: the other trials
    go on."""
    display.starts(trial)
    try:
        freeze(trial)
        return Attempt(trial, slot, partial(_hear, sharing, display, trial), pool)
    except (ConfigError, PermissionError) as error:
        told = error if isinstance(error, ConfigError) else ConfigError(f"cannot write: {error}", str(trial.folder))
        display.refuses(trial, told)
        return None


def _hear(sharing: Sharing, display: Display, trial: Trial, event: dict[str, Any]) -> None:
    sharing.hears(trial, event)
    display.progress(trial, event)


def _is_over(attempt: Attempt, outcome: Outcome, asked: bool) -> bool:
    """Counts how an attempt has ended; False when another launcher runs its trial, or has run it meanwhile, and when it
    is to be run again with smaller batches or alone."""
    state = store.state(attempt.trial.folder)
    if attempt.code in (EXIT_SMALLER_BATCH, EXIT_RETRY_ALONE, EXIT_CLAIMED) and not asked:
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
