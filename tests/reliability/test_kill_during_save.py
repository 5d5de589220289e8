"""Whatever moment a process dies at, the last checkpoint loads."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from segsuite.train import checkpoint_io
from tests.reliability.trials import environment, kill, wait_for

KILLS = 12
SAVER = """
import pathlib, sys, torch
from segsuite.train import checkpoint_io
path, saver = pathlib.Path(sys.argv[1]), checkpoint_io.AtomicCheckpointIO()
tensors = {str(index): torch.empty(1_000_000) for index in range(6)}
step = 0
while True:
    step += 1
    saver.save_checkpoint({"step": step, "state_dict": {k: t.fill_(step) for k, t in tensors.items()}}, path)
"""


def other_file_system(than: Path) -> Path | None:
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shared.stat().st_dev != than.stat().st_dev else None


@pytest.mark.slow
def test_the_last_checkpoint_loads_whenever_the_saving_process_is_killed(tmp_path: Path) -> None:
    elsewhere = other_file_system(tmp_path)
    chance, path, last, stale = random.Random(0), tmp_path / "last.ckpt", 0, 0
    with tempfile.TemporaryDirectory(dir=elsewhere) as temporary:
        for _ in range(KILLS):
            path.unlink(missing_ok=True)
            process = subprocess.Popen(
                [sys.executable, "-c", SAVER, str(path)], env=environment(TMPDIR=temporary), text=True
            )
            try:
                wait_for(path.exists, "the first save", 60)
                time.sleep(chance.uniform(0, 0.3))
                os.kill(process.pid, signal.SIGKILL)
                process.wait(10)
            finally:
                kill(process)
            checkpoint = checkpoint_io.load(path)
            assert all(torch.equal(value, torch.full_like(value, checkpoint["step"]))
                       for value in checkpoint["state_dict"].values())  # fmt: skip
            last = max(last, checkpoint["step"])
            stale += len(list(tmp_path.glob(".last.ckpt.*.tmp")))
            assert os.listdir(temporary) == []
    assert last > 1, "no process was killed after its first save"
    assert stale > 0, "no kill fell into a save"
