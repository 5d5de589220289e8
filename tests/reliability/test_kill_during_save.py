"""Whatever moment a process dies at, and when the disk is full, the last checkpoint loads."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from segsuite.train import checkpoint_io
from tests.reliability.trials import environment, wait_for

KILLS = 12
# For each line that it reads, a new process that saves until it is killed; one import for all of them.
SAVER = """
import os, pathlib, sys, torch
from segsuite.train import checkpoint_io
def save():
    path, saver, step = pathlib.Path(sys.argv[1]), checkpoint_io.AtomicCheckpointIO(), 0
    tensors = {str(index): torch.empty(1_000_000) for index in range(6)}
    while True:
        step += 1
        saver.save_checkpoint({"step": step, "state_dict": {k: t.fill_(step) for k, t in tensors.items()}}, path)
for line in sys.stdin:
    if (pid := os.fork()) == 0:
        save()
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
FULL = """
import pathlib, resource, sys, torch
from segsuite.errors import SegsuiteError
from segsuite.train import checkpoint_io
path, saver = pathlib.Path(sys.argv[1]), checkpoint_io.AtomicCheckpointIO()
tensors = {str(index): torch.empty(1_000_000) for index in range(6)}
saver.save_checkpoint({"step": 1, "state_dict": tensors}, path)
resource.setrlimit(resource.RLIMIT_FSIZE, (9_000_000, resource.RLIM_INFINITY))
try:
    saver.save_checkpoint({"step": 2, "state_dict": tensors}, path)
except SegsuiteError as error:
    print(error.what)
"""


def other_file_system(than: Path) -> Path | None:
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shared.stat().st_dev != than.stat().st_dev else None


@contextlib.contextmanager
def saver(path: Path, temporary: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SAVER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(TMPDIR=temporary),
        start_new_session=True,
        text=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # and what it has forked
        process.communicate()


@pytest.mark.slow
def test_the_last_checkpoint_loads_whenever_the_saving_process_is_killed(tmp_path: Path, chance: random.Random) -> None:
    path, last, stale = tmp_path / "last.ckpt", 0, 0
    with tempfile.TemporaryDirectory(dir=other_file_system(tmp_path)) as temporary, saver(path, temporary) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(KILLS):
            path.unlink(missing_ok=True)
            print("save", file=process.stdin, flush=True)
            saving = int(process.stdout.readline())
            wait_for(path.exists, "the first save", 60)
            time.sleep(chance.uniform(0, 0.3))
            os.kill(saving, signal.SIGKILL)
            assert int(process.stdout.readline()) == -signal.SIGKILL
            checkpoint = checkpoint_io.load(path)
            assert all(torch.equal(value, torch.full_like(value, checkpoint["step"]))
                       for value in checkpoint["state_dict"].values())  # fmt: skip
            last = max(last, checkpoint["step"])
            stale += len(list(tmp_path.glob(".last.ckpt.*.tmp")))
            assert os.listdir(temporary) == []
    assert last > 1, "no process was killed after its first save"
    assert stale > 0, "no kill fell into a save"


@pytest.mark.slow
def test_a_disk_that_takes_half_a_checkpoint_is_one_sentence_and_leaves_the_last_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    saved = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], env=environment(), capture_output=True, text=True, check=False
    )
    assert (saved.returncode, saved.stdout) == (0, "cannot write: File too large\n"), saved.stderr
    assert checkpoint_io.load(path)["step"] == 1
    assert [left.name for left in tmp_path.iterdir()] == ["last.ckpt"]
