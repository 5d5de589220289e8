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
from typing import IO, Any

from segsuite.errors import EXIT_DONE, EXIT_PREEMPTED
from segsuite.experiment import Trial
from segsuite.io import store
from segsuite.io.wandb_environment import without_service
from segsuite.launch.slots import Slot

# glibc gives big tensors back to the system after each step and faults them in again: keeping them makes a step on a
# CPU up to 1.16 times faster. Only the environment of a new process can say so.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}
KILL_AFTER_SECONDS = 30.0


class Attempt:
    """The process of a trial in a slot; `tell` hears its progress, in a thread of its own."""

    def __init__(self, trial: Trial, slot: Slot, tell: Callable[[dict[str, Any]], None]) -> None:
        self.trial, self.slot = trial, slot
        self._asked_at: float | None = None
        with open(trial.folder / "log.txt", "ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches only this process, which passes it on once.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "segsuite.trial", str(trial.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**ALLOCATOR, **without_service(os.environ), **slot.environment(), "SEGSUITE_LAUNCHER": "1"},
                start_new_session=True,
            )
        self._reader = threading.Thread(target=_listen, args=(self._process.stdout, tell), daemon=True)
        self._reader.start()

    @property
    def code(self) -> int:
        """The exit code, once it has ended."""
        assert self._process.returncode is not None
        return self._process.returncode

    def ended(self) -> bool:
        """Whether the process has gone. A death that it could not record itself is recorded here."""
        if self._process.poll() is None:
            return False
        self._reader.join(5)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        if self.code not in (EXIT_DONE, EXIT_PREEMPTED) and self._asked_at is None:  # else it died of our own asking
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


def _listen(stream: IO[bytes] | None, tell: Callable[[dict[str, Any]], None]) -> None:
    assert stream is not None
    with contextlib.suppress(ValueError):  # closed
        for line in stream:
            with contextlib.suppress(ValueError):
                event: Any = json.loads(line)
                if isinstance(event, dict):
                    tell(event)
