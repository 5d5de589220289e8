"""Tiny experiments and the processes that run them."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from segsuite import yaml_io
from segsuite.experiment import Trial, load
from segsuite.io import store
from segsuite.launch.freeze import freeze

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT = 600.0
NOT_REPEATABLE = ("seconds", "data_seconds", "images_per_second")

TINY: dict[str, Any] = {
    "data": {"name": "shapes", "size": [32, 48], "train_images": 24, "val_images": 6},
    "model": {"name": "unet", "encoder": "mobilenetv3_small_100", "decoder_channels": [8, 8, 8, 8, 8]},
    "augment": {"crop": [32, 32], "scale": [0.8, 1.2], "brightness": 0.2},
    "train": {"epochs": 3, "batch_size": 2, "precision": "fp32"},
    "execution": {"device": "cpu", "threads": 1, "checkpoint_minutes": 1e-6, "keep": "all"},
}
"""A training of 36 steps that takes about two seconds, saves after every step and keeps its whole state to the end."""


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with the dotted keys of `changes`."""
    result = json.loads(json.dumps(base))
    for key, value in changes.items():
        *parents, last = key.split(".")
        at = result
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = value
    return dict(result)


def write_experiment(folder: Path, **changes: Any) -> Path:
    """folder/tiny.yaml whose runs lie in folder/runs; `changes` are dotted keys, with __ for the dots."""
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    folder.mkdir(parents=True, exist_ok=True)
    values = merged({"name": "tiny", "runs_root": str(folder / "runs"), **TINY}, dotted)
    path = folder / "tiny.yaml"
    path.write_text(yaml_io.to_text(values))
    return path


def trials_of(path: Path) -> tuple[Trial, ...]:
    return load(path).trials


def frozen(path: Path) -> Path:
    """The run directory of the only trial of an experiment, ready to be run."""
    (trial,) = trials_of(path)
    return freeze(trial)


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def customised(folder: Path, code: str) -> str:
    """PYTHONPATH with which every Python process runs `code` when it starts."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(code)
    return f"{folder}{os.pathsep}{REPOSITORY}"


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """`python -m` of the arguments in a session of its own, its output kept."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment(), **options}
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)], text=True, start_new_session=True, cwd=REPOSITORY, **options
    )


def segsuite(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command line, to its end."""
    process = start("segsuite", *arguments, **options)
    try:
        output, errors = process.communicate(timeout=TIMEOUT)
    finally:
        kill(process)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def attempt(folder: Path, module: str = "segsuite.trial", *arguments: str) -> int:
    """One attempt of a trial, to its end; its exit code. `module` is what starts it."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    with open(folder / "log.txt", "a") as log:
        process = start(module, folder, *arguments, stderr=log, **streams)
        try:
            return process.wait(TIMEOUT)
        finally:
            kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """Ends a process of ours if it still lives."""
    if process.poll() is None:
        process.kill()
        process.wait(10)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def wait_for(condition: Callable[[], object], what: str, seconds: float = TIMEOUT) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.01)


def saved_step(folder: Path) -> int:
    """Optimizer steps in last.ckpt, -1 without one."""
    from segsuite.train import checkpoint_io

    try:
        return int(checkpoint_io.load(folder / "checkpoints" / "last.ckpt")["global_step"])
    except FileNotFoundError:
        return -1


def end_after_step(folder: Path, step: int, number: int = signal.SIGKILL, group: bool = False) -> int:
    """Starts an attempt and sends it a signal once last.ckpt holds `step` or a later step; its exit code."""
    with open(folder / "log.txt", "a") as log:
        process = start("segsuite.trial", folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        try:
            wait_for(lambda: process.poll() is not None or saved_step(folder) >= step, f"step {step}")
            assert process.poll() is None, f"ended before step {step}: {(folder / 'log.txt').read_text()}"
            os.killpg(process.pid, number) if group else process.send_signal(number)
            return process.wait(30)
        finally:
            kill(process)


def digest(value: Any) -> str:
    """SHA-256 of nested containers of tensors and plain values, bit for bit."""
    import torch

    sha = hashlib.sha256()

    def add(item: Any) -> None:
        sha.update(type(item).__name__.encode())
        if isinstance(item, dict):
            for key in item:
                add(key)
                add(item[key])
        elif isinstance(item, list | tuple):
            for inner in item:
                add(inner)
        elif isinstance(item, torch.Tensor):
            sha.update(str((item.dtype, tuple(item.shape))).encode())
            sha.update(item.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            sha.update(repr(item).encode())

    add(value)
    return sha.hexdigest()


def outcome(folder: Path) -> dict[str, Any]:
    """What two runs of the same trial must have in common: weights, optimizer, epochs, counts."""
    from segsuite.train import checkpoint_io

    checkpoint = checkpoint_io.load(folder / "checkpoints" / "last.ckpt")
    with np.load(folder / "counts.npz") as arrays:
        counts = {name: hashlib.sha256(arrays[name].tobytes()).hexdigest() for name in arrays.files}
    result = store.read_json(folder / "result.json")
    assert result is not None, (folder / "log.txt").read_text()
    return {
        "weights": digest(checkpoint["state_dict"]),
        "trained weights": digest(checkpoint.get("current_model_state")),
        "optimizer": digest(checkpoint["optimizer_states"]),
        "schedule": digest(checkpoint["lr_schedulers"]),
        "step": checkpoint["global_step"],
        "events": [
            {key: value for key, value in event.items() if key not in NOT_REPEATABLE} for event in store.events(folder)
        ],
        "counts": counts,
        "scores": result["scores"],
    }
