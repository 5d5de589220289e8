"""Short trials of one experiment by `segsuite run`, several at a time on the device: trials an hour."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from segsuite import yaml_io

if TYPE_CHECKING:
    from gpu_sections import Context
    from gpu_sections.records import Records

REPOSITORY = Path(__file__).resolve().parents[2]


def experiment(context: "Context", name: str, seeds: int) -> Path:
    """Short trainings of a small U-Net, a seed each."""
    size, epochs = ([32, 48], 1) if context.small else ([96, 128], 6)
    values = {
        "name": name,
        "runs_root": str(context.folder / "runs"),
        "data": {"name": "shapes", "size": size, "train_images": 16 if context.small else 240, "val_images": 8},
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
    for at_a_time in (1,) if context.small else (4, 1, 8, 2):
        trials = 2 if context.small else 8
        path = experiment(context, f"sweep-{at_a_time}", trials)
        command = [sys.executable, "-m", "segsuite", "run", str(path), "--workers", str(at_a_time)]
        command += ["--per-device", str(at_a_time)]
        start = time.perf_counter()
        ended = subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "WANDB_MODE": "disabled"}, check=False)
        seconds = time.perf_counter() - start
        row = f"{at_a_time} at a time"
        records.add("Sweep", row, exit=ended.returncode, seconds=seconds, **{"trials/h": 3600 * trials / seconds})
