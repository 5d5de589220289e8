"""Short trials of one experiment by `segsuite run`, several at a time on the device: trials an hour."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segsuite import yaml_io

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

REPOSITORY = Path(__file__).resolve().parents[2]


def experiment(context: "Context", name: str, seeds: int, images: int = 240, epochs: int = 6) -> Path:
    """Short trainings of a small U-Net, a seed each."""
    size, images, epochs = ([32, 48], 16, 1) if context.small else ([96, 128], images, epochs)
    values = {
        "name": name,
        "runs_root": str(context.folder / "runs"),
        "data": {"name": "shapes", "size": size, "train_images": images, "val_images": 8},
        "model": {"name": "unet", "encoder": "resnet18"},
        "augment": {"crop": size},
        "train": {"epochs": epochs, "batch_size": 8, "validate_every": epochs},
        "tracker": "none",
        "execution": {"device": context.device},
        "seeds": list(range(seeds)),
    }
    path = context.folder / f"{name}.yaml"
    path.write_text(yaml_io.to_text(values), encoding="utf-8")
    return path


def main(context: "Context", records: "Records") -> None:
    of_demo(context, records)
    for at_a_time in (1,) if context.small else (8, 1, 4):
        trials = 2 if context.small else 8
        path = experiment(context, f"sweep-{at_a_time}", trials)
        measured(path, context.folder / "runs" / path.stem, at_a_time, trials, f"{at_a_time} at a time", records)


def of_demo(context: "Context", records: "Records") -> None:
    """The demo's experiment, whose scores on a CPU are in docs/results/speed.md."""
    if context.small:
        return
    root = context.folder / "demo"
    more = ["--set", f"runs_root={root}", "--set", "tracker=none"]
    path = REPOSITORY / "experiments" / "quickstart.yaml"
    measured(path, root / "quickstart", 6, 6, "quickstart, 6 at a time", records, more)
    for result in sorted((root / "quickstart").glob("*/result.json")):
        found = json.loads(result.read_text(encoding="utf-8"))
        arm = f"{found.get('arm')}, seed {found.get('seed')}"
        records.add("mIoU of the demo", arm, mIoU=found["scores"]["miou"])


def started(path: Path, *options: str, **environment: str) -> "subprocess.Popen[bytes]":
    """`segsuite run` of an experiment, just begun."""
    command = [sys.executable, "-m", "segsuite", "run", str(path), *options]
    return subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, "WANDB_MODE": "disabled", **environment})


def measured(
    path: Path, runs: Path, at_a_time: int, trials: int, row: str, records: "Records", more: Sequence[str] = ()
) -> None:
    """A row: an experiment from its start to its end."""
    start = time.perf_counter()
    ended = started(path, "--workers", str(at_a_time), "--per-device", str(at_a_time), *more).wait()
    seconds = time.perf_counter() - start
    records.add("Sweep", row, exit=ended, seconds=seconds, **{"trials/h": 3600 * trials / seconds})
    results = sorted(runs.glob("*/result.json"))
    attempts = [json.loads(result.read_text())["cost"]["attempt_seconds"] for result in results]
    epochs = [json.loads(line) for one in results for line in (one.parent / "events.jsonl").read_text().splitlines()]
    if attempts:
        steps = sum(epoch["seconds"] for epoch in epochs) / len(attempts)
        records.add("Sweep", row, **{"s of a trial": statistics.mean(attempts), "of them in steps": steps})
