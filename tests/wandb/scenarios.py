"""Tracked trials without training, each in a process of its own: wandb keeps state in its process."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from segsuite.config import validate
from segsuite.datasets import build_dataset
from segsuite.datasets.image_io import write_label
from segsuite.io import atomic
from segsuite.io.store import RunDirectory
from segsuite.train.tracking import Scored, Shown, Subject

REPOSITORY = Path(__file__).resolve().parents[2]
CLASSES = ("sky", "road")
PALETTE = ((0, 0, 200), (90, 90, 90))
IDENTIFIER = "0123456789ab"
RUN = f"tiny-{IDENTIFIER}"
"""The id of the run of that trial of the experiment `tiny`."""


def environment(home: Path, **values: str) -> dict[str, str]:
    """That of this process without anything of wandb or of a home folder, and `values`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return {**kept, "HOME": str(home), "NETRC": str(home / "netrc"), "WANDB_INIT_TIMEOUT": "8", **values}


def command(code: str) -> list[str]:
    """The command of a process that runs `code` after importing everything of this module."""
    return [sys.executable, "-c", f"from tests.wandb.scenarios import *\n{textwrap.dedent(code)}"]


def python(code: str, home: Path, seconds: float = 60.0, **values: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a process of its own; its output."""
    return subprocess.run(
        command(code), cwd=REPOSITORY, env=environment(home, **values), text=True, capture_output=True, timeout=seconds
    )


def subject(
    folder: Path,
    arm: str = "upsampler=nearest_conv",
    identifier: str = IDENTIFIER,
    experiment: str = "tiny",
    **wandb: Any,
) -> Subject:
    """A trial of an experiment in `folder`."""
    values = {
        "data": {"name": "shapes", "size": [32, 48], "train_images": 8, "val_images": 4},
        "model": {"name": "unet", "upsampler": "nearest_conv"},
        "seed": 3,
        "wandb": wandb,
        "train": {"epochs": 4},
    }
    settings = validate(values, lambda path: "test")
    differences = {"model.upsampler": "nearest_conv", "train.optimizer.learning_rate": 1e-3}
    return Subject(identifier, experiment, arm, 3, differences, settings, folder)


def event(epoch: int) -> dict[str, Any]:
    """The line of an epoch in events.jsonl."""
    return {
        "epoch": epoch, "step": 10 * (epoch + 1), "learning_rate": 0.001, "loss": 1.0 / (epoch + 1), "seconds": 1.5,
        "images_per_second": 20.0, "miou": 0.1 * epoch, "pixel_accuracy": 0.5, "gradient_norm": 2.0,
        "validation_loss": 1.5,
        "iou": {"sky": 0.2 * epoch, "road": float("nan")},
    }  # fmt: skip


def result() -> dict[str, Any]:
    """What result.json holds."""
    return {
        "scores": {"miou": 0.75, "pixel_accuracy": 0.9},
        "class_scores": {"iou": {"sky": 0.8, "road": 0.7}, "precision": {"sky": 0.9, "road": None}},
        "scored": {"split": "val", "images": 2, "checkpoint": "last"},
        "cost": {"parameters": 1000, "train_seconds": 6.0, "image_size": [32, 48], "peak_memory_bytes": None},
        "epochs": 4,
    }


def manifest() -> dict[str, Any]:
    """What manifest.json holds, in part."""
    return {
        "code": {"commit": "c0ffee", "sources_sha256": "50"},
        "dataset_fingerprint": "da7a",
        "dataset": {"name": "shapes", "classes": list(CLASSES), "images": {"train": 8, "val": 4}},
    }


def scored(folder: Path) -> list[Scored]:
    """What a trial with the settings of `subject` writes to samples/, and its tracker logs; the label as
    prediction."""
    dataset = build_dataset("shapes", "val", size=(32, 48), train_images=8, val_images=4)
    found = []
    for index in range(4):
        name, (image, label) = dataset.sample_name(index), dataset.read(index)
        prediction = np.where(label == 255, 0, label).astype(np.uint8)
        write_label(folder / "samples" / f"{name}.png", prediction, dataset.palette)
        found.append(Scored(Shown(name, image, label), prediction, {"miou": 1.0, "pixel_accuracy": 1.0}))
    return found


def samples() -> list[Shown]:
    """Two images of 24 x 32."""
    label = np.zeros((24, 32), dtype=np.uint8)
    label[12:] = 1
    label[0, 0] = 255
    return [Shown(f"image{k}", np.full((24, 32, 3), 40 * k, dtype=np.uint8), label) for k in range(2)]


def epochs(tracker: Any, folder: Path, first: int, last: int, pictures: bool = False) -> None:
    """Epochs `first` to `last` - 1: into the run directory, as a trial does, and to the tracker."""
    follow = tracker.following(lambda told: None, lambda: 1000)
    for epoch in range(first, last):
        if pictures:
            tracker.predictions([s.name for s in samples()], [s.label for s in samples()], PALETTE)
        RunDirectory(folder).add_event(event(epoch))
        follow({"phase": "epoch", **event(epoch)})


def whole_trial(folder: Path, first: int = 0, experiment: str = "tiny", **wandb: Any) -> None:
    """A trial of four epochs with images and a result."""
    from segsuite.train.tracking import tracked

    folder.mkdir(parents=True, exist_ok=True)
    with tracked(
        subject(folder, identifier=folder.name, experiment=experiment, **wandb), lambda told: print(told, flush=True)
    ) as tracker:
        atomic.write_json(folder / "manifest.json", manifest())
        tracker.described(manifest())
        tracker.truth(samples(), CLASSES)
        epochs(tracker, folder, first, 4, pictures=True)
        atomic.write_json(folder / "result.json", result())
        found = scored(folder)
        tracker.scored(lambda count: found[:count], build_dataset("shapes", "val").classes)
        tracker.finish(result())
