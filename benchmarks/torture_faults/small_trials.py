"""Trainings of two seconds for the faults, their processes, and what two runs of one must have in common."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segsuite import yaml_io
from segsuite.experiment import Trial, load
from segsuite.io import claims, store
from segsuite.launch.freeze import freeze
from segsuite.train import checkpoint_io
from torture_faults import environment

EXPERIMENT: dict[str, Any] = {
    "name": "torture",
    "data": {"name": "shapes", "size": [32, 48], "train_images": 24, "val_images": 6},
    "model": {"name": "unet", "encoder": "mobilenetv3_small_100", "decoder_channels": [8, 8, 8, 8, 8]},
    "augment": {"crop": [32, 32], "scale": [0.8, 1.2], "brightness": 0.2},
    "train": {"epochs": 2, "batch_size": 2, "precision": "fp32"},
    "execution": {"device": "cpu", "threads": 1, "checkpoint_minutes": 1e-6, "keep": "all", "cache_images": False},
    "wandb": {"mode": "disabled"},
}
"""24 steps, a checkpoint after each."""
NOT_REPEATABLE = ("seconds", "data_seconds", "images_per_second")
LONGEST_SECONDS = 400.0


def written(folder: Path, seeds: int) -> Path:
    """folder/torture.yaml, whose runs lie in folder/runs."""
    path = folder / "torture.yaml"
    path.write_text(yaml_io.to_text({**EXPERIMENT, "runs_root": str(folder / "runs"), "seeds": list(range(seeds))}))
    return path


def frozen(folder: Path) -> Trial:
    """One trial in `folder`, ready to be run."""
    (trial,) = load(written(folder, 1)).trials
    freeze(trial)
    return trial


def run(path: Path, *options: str, **variables: str) -> "subprocess.Popen[str]":
    """`segsuite run` in a session of its own."""
    return _start(["segsuite", "run", str(path), *options], path.parent / "launcher.txt", variables)


def attempt(folder: Path, **variables: str) -> "subprocess.Popen[str]":
    """One attempt of a trial."""
    return _start(["segsuite.trial", str(folder)], folder / "log.txt", variables)


def _start(words: Sequence[str], log: Path, variables: dict[str, str]) -> "subprocess.Popen[str]":
    with open(log, "a") as said:
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            text=True,
            start_new_session=True,
            env=environment(**variables),
        )


def end(process: "subprocess.Popen[str]") -> None:
    """Ends what was started with `run` or `attempt` and still lives."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def holder(folder: Path) -> int | None:
    """The number of the process that runs the trial in `folder`."""
    number = (claims.read(folder) or {}).get("pid")
    return number if isinstance(number, int) else None


def until(condition: Callable[[], object], seconds: float = LONGEST_SECONDS) -> bool:
    """Waits; whether it came."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def saved_step(folder: Path) -> int:
    """Steps in last.ckpt, -1 without one."""
    try:
        return int(checkpoint_io.load(folder / "checkpoints" / "last.ckpt")["global_step"])
    except FileNotFoundError:
        return -1


def outcome(folder: Path) -> str:
    """A digest of weights, optimizer, schedule, epochs, counts and scores; why there is none, of a trial without."""
    result = store.read_json(folder / "result.json")
    if result is None:
        return f"no result: {store.read_json(folder / 'failure.json')}"
    checkpoint = checkpoint_io.load(folder / "checkpoints" / "last.ckpt")
    sha = hashlib.sha256()
    for name in ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "global_step"):
        _add(sha, checkpoint.get(name))
    rows = [{key: row[key] for key in row if key not in NOT_REPEATABLE} for row in store.events(folder)]
    sha.update(json.dumps([rows, result["scores"]], sort_keys=True).encode())
    return sha.hexdigest()


def _add(sha: Any, item: Any) -> None:
    import torch

    if isinstance(item, dict):
        for key in item:
            sha.update(repr(key).encode())
            _add(sha, item[key])
    elif isinstance(item, list | tuple):
        for inner in item:
            _add(sha, inner)
    elif isinstance(item, torch.Tensor):
        sha.update(item.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    else:
        sha.update(repr(item).encode())


def plant(folder: Path) -> dict[Path, bytes]:
    """Files of a person in a folder of ours, which nothing may touch."""
    folder.mkdir(parents=True, exist_ok=True)
    planted = {folder / name: f"{name} of {folder}".encode() for name in ("notes.txt", ".notes.tmp", "mine.ckpt")}
    for path, content in planted.items():
        path.write_bytes(content)
    return planted


def touched(planted: dict[Path, bytes]) -> list[str]:
    """Those that are not as they were."""
    return [str(path) for path, content in planted.items() if not path.exists() or path.read_bytes() != content]
