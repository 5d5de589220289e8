"""A warm pool: one process that has imported what every trial needs, and forks a process for each attempt.

Only what a fresh process would be is forked: the pool computes nothing and holds no thread, no CUDA and no descriptor
of a trial (docs/decisions/0012-warm-pool.md). Whenever that cannot be had, `Pool.start` says None and the attempt is a
fresh process.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import segsuite

FORK_SECONDS = 20.0  # takes some milliseconds, unless the machine is out of memory
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Pool:
    """Starts as a cold one, which forks nothing; `warn` hears why it has become one again."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._process: subprocess.Popen[bytes] | None = None
        self.ready = False

    def open(self, environment: Mapping[str, str]) -> None:
        """Starts the process that imports, in `environment`; only on Linux, where an orphan can be adopted."""
        if sys.platform != "linux":
            return
        self.code = code_state()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.settimeout(FORK_SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "segsuite.trial.nursery"],
                stdin=theirs.fileno(),  # what a trial's own standard input takes the place of
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                start_new_session=True,
            )

    def warming(self) -> bool:
        """Whether it still imports, and a trial does better to wait."""
        if self._process is None or self.ready:
            return False
        if not select.select([self._requests], [], [], 0)[0]:
            return True
        said = ""
        with contextlib.suppress(OSError):
            said = self._requests.recv(1024).decode()
        self.ready = said == "ready"
        if not self.ready:
            self._become_cold(said or "its process ended while it imported")
        return False

    def start(self, folder: Path, environment: Mapping[str, str], streams: Sequence[int]) -> "Forked | None":
        """A process that runs the trial in `folder`, with `environment` beside that of the pool and `streams` as its
        standard input, output and error. None: the pool is cold, start a fresh one."""
        if not self.ready:
            return None
        if code_state() != self.code:
            self._become_cold("the code of segsuite has changed since this run began")
            return None
        request = json.dumps({"folder": str(folder), "environment": dict(environment)}).encode()
        try:
            with _adopting_orphans():
                socket.send_fds(self._requests, [request], streams)
                return Forked(int(self._requests.recv(32)))
        except (OSError, ValueError):
            self._become_cold("its process has ended")
            return None

    def close(self) -> None:
        """Ends the process; the trials that it has forked go on."""
        if self._process is not None:
            self._requests.close()
            self._process.kill()  # it holds nothing that could be lost
            self._process.wait()
        self._process, self.ready = None, False

    def _become_cold(self, why: str) -> None:
        self.close()
        self._warn(f"no warm pool: {why}; each trial starts in a fresh process, which takes some seconds longer")


class Forked:
    """A process that the pool has forked: a child of this one, as a `subprocess.Popen` is."""

    def __init__(self, pid: int) -> None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # raises when it is not our child
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it lives."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal, if it still lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)


@contextlib.contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Makes this process the parent of a trial whose own has left: it learns the exit code itself, whatever becomes of
    the pool. Only for a moment: what a trial leaves behind when it is killed is for init to reap."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def code_state() -> dict[str, int]:
    """When each source file of segsuite was last changed, in ns."""
    changed = {}
    for path in Path(segsuite.__file__).parent.rglob("*.py"):
        with contextlib.suppress(OSError):  # an editor has just taken it away
            changed[str(path)] = path.stat().st_mtime_ns
    return changed
