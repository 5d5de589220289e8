"""`python -m segsuite.trial.nursery`: the process of a warm pool, which imports once and forks a process an attempt.

Its standard input is the socket of the launcher (launch/warm.py). A request holds the run directory, what the
environment of the trial has beside that of the pool, and its standard streams; the answer is its pid.
"""

import atexit
import gc
import json
import os
import runpy
import socket
import sys
import tempfile
from typing import Any

import numpy as np
import torch

import segsuite.encoders.library  # what networks are made of, which a trial imports late
import segsuite.trial  # noqa: F401

# Libraries that take something down of their process while they are imported. wandb: its id, and temporary folders.
NOT_BEFORE_A_FORK = ("wandb",)


def main() -> int:
    """Serves the launcher until it has gone; in a forked process, runs the trial."""
    requests = socket.socket(fileno=0)
    fault = what_a_fork_would_break()
    requests.send((fault or "ready").encode())
    if fault:
        return 1
    gc.collect()
    gc.freeze()  # else the collector writes to, and so copies, what the trials share
    while True:
        message, streams, _, _ = socket.recv_fds(requests, 65536, 3)
        if not message:
            return 0
        pid = fork_for_the_launcher()
        if pid == 0:
            requests.detach()  # its descriptor becomes the trial's standard input
            break
        for stream in streams:
            os.close(stream)
        requests.send(str(pid).encode())
    become_a_trial(json.loads(message), streams)
    runpy.run_module("segsuite.trial", run_name="__main__", alter_sys=True)
    return 0


def what_a_fork_would_break() -> str:
    """Why trials cannot be forked from this process; empty when they can.

    A thread is lost in a fork, unless its library ends it before, as OpenBLAS does: so this is looked at after a fork.
    A temporary file or folder is deleted by the first forked process that ends, and missing for all that follow.
    """
    if imported := [name for name in NOT_BEFORE_A_FORK if name in sys.modules]:
        return f"{imported[0]} is imported already"
    if temporary := temporary_files():
        return f"a library made {temporary[0]} when it was imported"
    if (probe := os.fork()) == 0:
        os._exit(0)
    os.waitpid(probe, 0)
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"a library started {threads - 1} threads when it was imported"
    return "CUDA is in use already" if torch.cuda.is_initialized() else ""  # type: ignore[no-untyped-call]


def temporary_files() -> list[str]:
    """The temporary files and folders that are deleted when this process, or one forked from it, ends."""
    kinds = (tempfile.TemporaryDirectory, tempfile._TemporaryFileWrapper)
    # The type and not isinstance: that would ask some objects, such as lazy modules, for their __class__.
    return [str(one.name) for one in gc.get_objects() if issubclass(type(one), kinds)]


def fork_for_the_launcher() -> int:
    """Forks a process whose parent leaves at once, so that the launcher adopts it; its pid, or 0 within it."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        try:
            pid = os.fork()
        except OSError:
            os._exit(1)
        if pid:
            os.write(writing, str(pid).encode())
            os._exit(0)
        os.close(reading)
        os.close(writing)
        return 0
    os.close(writing)
    os.waitpid(between, 0)  # the pid is told when the launcher is the parent, not before
    with open(reading, "rb") as told:
        return int(told.read())


def become_a_trial(request: dict[str, Any], streams: list[int]) -> None:
    """Makes this process what `python -m segsuite.trial FOLDER` starts as."""
    os.setsid()
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.environ.pop("SEGSUITE_SIDE_BY_SIDE", None)  # of the slot in which the pool was opened
    os.environ.update(request["environment"])
    sys.argv[1:] = [request["folder"]]
    np.random.seed()
    torch.default_generator.seed()
    # Else nanobind, which triton is made with, reports what is frozen as leaked at the end of the trial's log.
    atexit.register(gc.unfreeze)


if __name__ == "__main__":
    sys.exit(main())
