"""Runs trials on this machine, one process a trial, one after the other."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from segsuite.errors import EXIT_DONE, EXIT_PREEMPTED
from segsuite.experiment import Experiment, Trial
from segsuite.io import claims, store
from segsuite.io.wandb_environment import without_service
from segsuite.launch.display import Display
from segsuite.launch.freeze import freeze

# glibc gives big tensors back to the system after each step and faults them in again: keeping them makes a step on a
# CPU up to 1.16 times faster. Only the environment of a new process can say so.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}
KILL_AFTER_SECONDS = 30.0
WAIT_SECONDS = 2.0


@dataclass
class Outcome:
    """How many trials have which end."""

    finished: int = 0
    failed: int = 0
    preempted: bool = False


def run(experiment: Experiment, display: Display) -> Outcome:
    """Runs every trial that has no result. A failed one is recorded and does not stop the others.

    Ctrl-C (or SIGTERM, SIGUSR1) lets the running trial save and ends the run; a second one ends at once.
    """
    outcome = Outcome(finished=sum(store.state(trial.folder) == "finished" for trial in experiment.trials))
    display.begin(experiment, outcome.finished)
    waiting = [trial for trial in experiment.trials if store.state(trial.folder) != "finished"]
    with _signals() as asked:
        while waiting and not asked:
            trial = waiting.pop(0)
            state = store.state(trial.folder)
            if state == "finished":  # by another launcher
                outcome.finished += 1
                continue
            if state == "running":
                waiting.append(trial)
                if all(claims.is_live(other.folder) for other in waiting):
                    display.waits_for(trial, claims.read(trial.folder))
                    time.sleep(WAIT_SECONDS)
                continue
            freeze(trial)
            display.starts(trial)
            code = _attempt(trial, display, asked)
            state = store.state(trial.folder)
            if state == "running" or (state == "finished" and code != EXIT_DONE):  # another launcher was quicker
                waiting.append(trial)
                continue
            outcome.finished += state == "finished"
            outcome.failed += state != "finished" and code != EXIT_PREEMPTED and not asked
            display.ends(trial)
    outcome.preempted = bool(asked)
    display.end()
    return outcome


def _attempt(trial: Trial, display: Display, asked: list[int]) -> int:
    """One process of a trial; its exit code."""
    environment = {**ALLOCATOR, **without_service(os.environ), "SEGSUITE_LAUNCHER": "1"}
    with open(trial.folder / "log.txt", "ab") as log:
        # A session of its own: Ctrl-C in the terminal reaches only this process, which passes it on once.
        process = subprocess.Popen(
            [sys.executable, "-m", "segsuite.trial", str(trial.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
        reader = threading.Thread(target=_listen, args=(process.stdout, display), daemon=True)
        reader.start()
        told: float | None = None
        while process.poll() is None:
            if asked and told is None:
                process.send_signal(signal.SIGTERM)
                told = time.monotonic()
            elif told is not None and (len(asked) > 1 or time.monotonic() - told > KILL_AFTER_SECONDS):
                process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        reader.join(5)
    if process.returncode not in (EXIT_DONE, EXIT_PREEMPTED) and not asked:  # else it died of our own asking
        _explain(trial, process.returncode)
    return process.returncode


def _explain(trial: Trial, code: int) -> None:
    """Records a death that the trial could not record itself: killed, out of memory, a crash of a library."""
    if (trial.folder / "failure.json").exists() or store.state(trial.folder) in ("finished", "running"):
        return
    if code < 0:
        name = signal.Signals(-code).name
        reason = f"the process was ended by {name}"
        advice = "out of memory? lower train.batch_size" if name == "SIGKILL" else "see its log"
    else:
        reason, advice = f"the process ended with exit code {code}", "see its log"
    store.record_failure(trial.folder, "Died", reason, str(trial.folder / "log.txt"), advice)


def _listen(stream: IO[bytes] | None, display: Display) -> None:
    assert stream is not None
    for line in stream:
        with contextlib.suppress(ValueError):
            event: Any = json.loads(line)
            if isinstance(event, dict):
                display.progress(event)


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
