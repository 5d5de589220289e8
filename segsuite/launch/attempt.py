"""One attempt of a trial as a process of this machine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from segsuite.errors import EXIT_CLAIMED, EXIT_DONE, EXIT_PREEMPTED, EXIT_RETRY_ALONE, EXIT_SMALLER_BATCH
from segsuite.experiment import Trial
from segsuite.io import logs, store
from segsuite.io.imports import of_a_child
from segsuite.io.wandb_environment import without_service
from segsuite.launch.slots import Slot
from segsuite.launch.warm import Pool

# glibc gives big tensors back to the system after each step and faults them in again: keeping them makes a step on a
# CPU up to 1.16 times faster. Only the environment of a new process can say so.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}
KILL_AFTER_SECONDS = 30.0
BOUND_SECONDS = 5.0
"""After which the size of the log is looked at again."""


class Process(Protocol):
    """What an attempt needs of its process: fresh (subprocess.Popen) or from the pool (warm.Forked)."""

    returncode: Any
    """Its exit code, or minus the signal that ended it, once `poll` has seen it; None before."""

    def poll(self) -> int | None:
        """`returncode`, looked up."""

    def send_signal(self, number: int, /) -> None:
        """Sends a signal, if it still lives."""

    def kill(self) -> None:
        """Ends it at once."""


def environment(slot: Slot) -> dict[str, str]:
    """What a trial in `slot` finds in its environment."""
    own = of_a_child(without_service(os.environ))
    return {**ALLOCATOR, **own, **slot.environment(), "SEGSUITE_LAUNCHER": "1"}


class Attempt:
    """The process of a trial in a slot, from the pool if that is warm; `tell` hears its progress, in a thread of its
    own."""

    def __init__(self, trial: Trial, slot: Slot, tell: Callable[[dict[str, Any]], None], pool: Pool) -> None:
        self.trial, self.slot = trial, slot
        self._asked_at: float | None = None
        self._bounded_at = time.monotonic()
        # Ends when this process does, however that comes about: the trial then leaves.
        their_input, self._alive = os.pipe()
        progress, their_output = os.pipe()
        with open(their_input, "rb"), open(their_output, "wb"), open(trial.folder / "log.txt", "ab") as log:
            streams = (their_input, their_output, log.fileno())
            forked = pool.start(trial.folder, slot.environment(), streams)
            self._process: Process = forked or _fresh(trial.folder, slot, streams)
        self._reader = threading.Thread(target=_listen, args=(progress, tell), daemon=True)
        self._reader.start()

    @property
    def code(self) -> int:
        """The exit code, once it has ended."""
        assert self._process.returncode is not None
        return int(self._process.returncode)

    def ended(self) -> bool:
        """Whether the process has gone. A death that it could not record itself is recorded here."""
        if self._process.poll() is None:
            if time.monotonic() - self._bounded_at > BOUND_SECONDS:
                self._bounded_at = time.monotonic()
                logs.bound(self.trial.folder / "log.txt")
            return False
        self._reader.join(5)
        logs.bound(self.trial.folder / "log.txt")
        os.close(self._alive)
        # A death of our own asking needs no explanation.
        expected = (EXIT_DONE, EXIT_PREEMPTED, EXIT_SMALLER_BATCH, EXIT_RETRY_ALONE, EXIT_CLAIMED)
        if self.code not in expected and self._asked_at is None:
            _explain(self.trial, self.code)
        return True

    def ask_to_leave(self, at_once: bool) -> None:
        """To be called again and again until it has ended: asks it to save and leave, and kills it after 30 s, or at
        once."""
        if self._asked_at is None:
            self._process.send_signal(signal.SIGTERM)
            self._asked_at = time.monotonic()
        elif at_once or time.monotonic() - self._asked_at > KILL_AFTER_SECONDS:
            self._process.kill()


def _fresh(folder: Path, slot: Slot, streams: tuple[int, int, int]) -> "subprocess.Popen[bytes]":
    # A session of its own: Ctrl-C in the terminal reaches only this process, which passes it on once.
    return subprocess.Popen(
        [sys.executable, "-m", "segsuite.trial", str(folder)],
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        env=environment(slot),
        start_new_session=True,
    )


def _explain(trial: Trial, code: int) -> None:
    """Records a death that the trial could not record itself: killed, out of memory, a crash of a library."""
    if (trial.folder / "failure.json").exists() or store.state(trial.folder) in ("finished", "running"):
        return
    if code < 0:
        name = signal.Signals(-code).name
        reason = f"the process was ended by {name}"
        advice = "out of memory? lower train.batch_size, or --workers" if name == "SIGKILL" else "see its log"
    else:
        reason, advice = f"the process ended with exit code {code}", "see its log"
    store.record_failure(trial.folder, "Died", reason, str(trial.folder / "log.txt"), advice)


def _listen(progress: int, tell: Callable[[dict[str, Any]], None]) -> None:
    with open(progress, "rb") as lines:
        for line in lines:
            with contextlib.suppress(ValueError):
                event: Any = json.loads(line)
                if isinstance(event, dict):
                    tell(event)
