"""Run directories as trials leave them, made with numpy alone: real files, invented predictions."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite import yaml_io
from segsuite.datasets import build_dataset
from segsuite.datasets.base import VOID, SegmentationDataset
from segsuite.datasets.image_io import write_label
from segsuite.experiment import Experiment, Trial, load
from segsuite.io import atomic
from segsuite.launch.freeze import freeze
from segsuite.metrics.scores import Scores

ARMS = ("nearest_conv", "bilinear_conv", "transposed_k4")
GRID = {"model.upsampler": list(ARMS), "loss.label_smoothing": [0.0, 0.1]}
GRID_BASELINE = {"model.upsampler": "bilinear_conv", "loss.label_smoothing": 0.0}
Quality = Callable[[Trial], float]


def experiment_in(
    folder: Path,
    compare: Mapping[str, Any] | Sequence[Any] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    baseline: Mapping[str, Any] | None = None,
    images: int = 12,
    size: tuple[int, int] = (48, 64),
    **more: Any,
) -> Experiment:
    """An experiment on the embedded shapes whose runs lie in `folder`."""
    compare = {"model.upsampler": list(ARMS)} if compare is None else compare
    if baseline is None and isinstance(compare, dict) and "model.upsampler" in compare:
        baseline = {"model.upsampler": "bilinear_conv"}
    values: dict[str, Any] = {
        "name": "made",
        "question": "Which upsampler is best on invented runs?",
        "runs_root": str(folder / "runs"),
        "data": {"name": "shapes", "size": list(size), "val_images": images},
        "model": {"name": "unet", "encoder": "resnet18"},
        "train": {"epochs": 6, "validate_every": 2},
        "seeds": list(seeds),
    }
    values |= {"compare": compare} if compare else {}
    values |= {"baseline": baseline} if baseline else {}
    path = folder / "made.yaml"
    path.write_text(yaml_io.to_text(values | more), encoding="utf-8")
    return load(path)


def finish(experiment: Experiment, quality: Quality | None = None, only: Callable[[Trial], bool] | None = None) -> None:
    """Gives every trial (or those that `only` takes) the run directory of a finished one; `quality` is the share of
    pixels that stay right, about."""
    dataset = dataset_of(experiment)
    pairs = [dataset.read(index) for index in range(len(dataset))]
    labels = [label for _, label in pairs]
    for trial in experiment.trials:
        if only is None or only(trial):
            _finish(trial, dataset, labels, 0.8 if quality is None else quality(trial))


def fail(trial: Trial, reason: str = "the loss became NaN in step 17") -> None:
    """Gives a trial the run directory of a failed one, two epochs in."""
    freeze(trial)
    _write_events(trial, 2, 0.3)
    atomic.write_json(trial.folder / "failure.json", {"kind": "NonFiniteError", "reason": reason})


def stop(trial: Trial, epochs: int = 3) -> None:
    """Gives a trial the run directory of one that was stopped."""
    freeze(trial)
    _write_events(trial, epochs, 0.4)


def dataset_of(experiment: Experiment) -> SegmentationDataset:
    """The split that the invented trials were scored on."""
    data = experiment.trials[0].settings.data
    return build_dataset(data.name, "val", **data.model_dump(exclude={"name"}))


def invented(label: NDArray[np.uint8], classes: int, quality: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A prediction like the label but for rectangles of a wrong class, until about 1 - quality of it is wrong."""
    height, width = label.shape
    prediction = np.where(label == VOID, 0, label).astype(np.uint8)
    wrong = np.zeros(label.shape, dtype=bool)
    while wrong.mean() < 1 - quality:
        h, w = (max(1, int(side * rng.uniform(0.05, 0.25))) for side in (height, width))
        top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        prediction[top : top + h, left : left + w] = rng.integers(classes)
        wrong[top : top + h, left : left + w] = True
    return prediction


def counts_of(label: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """(C, C) confusion matrix of one image, void left out."""
    known = label != VOID
    index = label[known].astype(np.int64) * classes + prediction[known]
    return np.bincount(index, minlength=classes * classes).reshape(classes, classes)


def _finish(trial: Trial, dataset: SegmentationDataset, labels: list[NDArray[np.uint8]], quality: float) -> None:
    freeze(trial)
    classes = dataset.num_classes
    # The same stream for the same seed and arm, whatever else the experiment holds.
    rng = np.random.default_rng([trial.seed, *trial.arm.encode()])
    level = float(np.clip(quality + 0.01 * rng.standard_normal(), 0.05, 0.999))
    shown = set(np.linspace(0, len(labels) - 1, min(8, len(labels))).round().astype(int).tolist())
    matrices = []
    for index, label in enumerate(labels):
        prediction = invented(label, classes, level, rng)
        matrices.append(counts_of(label, prediction, classes))
        if index in shown:
            path = trial.folder / "samples" / f"{dataset.sample_name(index)}.png"
            write_label(path, prediction, dataset.palette)
    stacked = np.stack(matrices)
    true = np.einsum("nkk->nk", stacked)
    arrays = {
        "counts": np.stack([true, stacked.sum(axis=1) - true, stacked.sum(axis=2) - true], axis=2),
        "confusion": stacked.sum(axis=0),
        "names": np.array([dataset.sample_name(index) for index in range(len(labels))]),
        "sequences": np.array([dataset.sequence(index) for index in range(len(labels))]),
        "classes": np.array(dataset.classes),
    }
    atomic.write_with(trial.folder / "counts.npz", lambda file: np.savez_compressed(file, **arrays))
    scores = Scores(stacked.sum(axis=0)).to_json()
    _write_events(trial, trial.settings.train.epochs, level)
    atomic.write_json(trial.folder / "manifest.json", MANIFEST)
    atomic.write_json(trial.folder / "result.json", _result(trial, dataset, scores, len(labels)))


def _result(trial: Trial, dataset: SegmentationDataset, scores: dict[str, Any], images: int) -> dict[str, Any]:
    scalars = ("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "mean_dice")
    lists = ("iou", "dice", "precision", "recall")
    return {
        "id": trial.id,
        "experiment": trial.experiment,
        "arm": trial.arm,
        "seed": trial.seed,
        "scores": {name: scores[name] for name in scalars},
        "class_scores": {name: dict(zip(dataset.classes, scores[name], strict=True)) for name in lists},
        "scored": {
            "split": "val",
            "images": images,
            "checkpoint": "last",
            "dataset_fingerprint": f"0123456789abcdef-{dataset.fingerprint()}",
        },
        "cost": {
            "parameters": 11_000_000 + 37_000 * len(trial.arm),
            "train_seconds": 900.0 + 7 * len(trial.arm) + trial.seed,
            "peak_memory_bytes": 2**30,
        },
        "epochs": trial.settings.train.epochs,
        "precision": "fp32",
        "device": "cpu",
        "finished": 1_790_000_000.0 + trial.seed,
    }


def _write_events(trial: Trial, epochs: int, level: float) -> None:
    rng = np.random.default_rng(trial.seed)
    lines = []
    for epoch in range(epochs):
        event = {
            "epoch": epoch,
            "step": 10 * (epoch + 1),
            "learning_rate": 1e-3,
            "seconds": 2.0,
            "images_per_second": 9.0,
        }
        event["loss"] = float(1.6 * np.exp(-epoch / 3) + 0.4 - 0.3 * level + 0.02 * rng.standard_normal())
        if (epoch + 1) % 2 == 0:
            event["miou"] = float(level * (1 - np.exp(-(epoch + 1) / 3)) + 0.01 * rng.standard_normal())
        lines.append(json.dumps(event))
    atomic.write_text(trial.folder / "events.jsonl", "\n".join(lines) + "\n")


MANIFEST = {
    "started": "2026-09-21T10:00:00+0000",
    "code": {"commit": "0123456789abcdef0123456789abcdef01234567", "sources_sha256": "feedfacefeedface"},
    "python": "3.11.7",
    "packages": {"segsuite": "0.1.0", "torch": "2.15.0", "numpy": "2.4.6"},
    "hardware": {"device": "cpu", "threads": 2},
    "dataset_fingerprint": "0123456789abcdef-fedcba9876543210",
    "weights": {},
}
