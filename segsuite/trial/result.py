"""What a finished trial leaves behind: counts.npz, histograms.npz and result.json."""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from segsuite.config import TrialSettings
from segsuite.datasets.loader import Samples
from segsuite.datasets.on_device import DrawnSamples
from segsuite.datasets.statistics import label_counts
from segsuite.io import atomic
from segsuite.io.machine import packed
from segsuite.io.store import events
from segsuite.metrics import BOUNDARY_COLUMNS, CLASS_SCORES, SCALAR_SCORES
from segsuite.metrics.boundary import boundary_scores
from segsuite.metrics.calibration import calibration_summary
from segsuite.metrics.curves import ranking_summary
from segsuite.metrics.groups import SIZE_COLUMNS, SIZE_GROUPS, group_summary
from segsuite.train.cost import prediction_cost
from segsuite.train.evaluation import Evaluated
from segsuite.train.precision import peak_memory_bytes
from segsuite.trial.data import TrialData
from segsuite.trial.frozen import Frozen


def write_counts(data: TrialData, evaluated: Evaluated, folder: Path) -> None:
    """counts.npz: `counts` (N, C, 3) TP, FP, FN of each image and class, `confusion` (C, C), `boundary_counts`
    (N, C, 10) and `object_counts` (N, C, 3, 4) with the names of their columns, and what N and C are. histograms.npz:
    see `metrics.histograms`."""
    samples = [int(index) for index in evaluated.samples]
    arrays: dict[str, Any] = {
        "counts": evaluated.counts,
        "confusion": evaluated.scores.confusion,
        "boundary_counts": evaluated.boundary_counts.astype(np.int32),
        "boundary_columns": np.array(BOUNDARY_COLUMNS),
        "object_counts": evaluated.object_counts.astype(np.int32),
        "object_sizes": np.array(SIZE_GROUPS),
        "object_columns": np.array(SIZE_COLUMNS),
        "names": np.array([data.scored_dataset.sample_name(index) for index in samples]),
        "sequences": np.array([data.scored_dataset.sequence(index) for index in samples]),
        "classes": np.array(data.classes),
    }
    atomic.write_with(folder / "counts.npz", lambda file: np.savez_compressed(file, **arrays))
    histograms: dict[str, Any] = {**evaluated.histograms.arrays(), "classes": np.array(data.classes)}
    atomic.write_with(folder / "histograms.npz", lambda file: np.savez_compressed(file, **histograms))


def summarise(
    trial: Frozen, data: TrialData, network: nn.Module, device: str, precision: str, evaluated: Evaluated, folder: Path
) -> dict[str, Any]:
    """What result.json holds: scores, what was scored, cost."""
    scores = evaluated.scores.to_json()
    epochs = events(folder)
    speeds = [event["images_per_second"] for event in epochs if event.get("images_per_second") is not None]
    return {
        "id": trial.id,
        "experiment": trial.experiment,
        "arm": trial.arm,
        "seed": trial.seed,
        "scores": {name: scores[name] for name in SCALAR_SCORES},
        "class_scores": {name: dict(zip(data.classes, scores[name], strict=True)) for name in CLASS_SCORES},
        "boundary_scores": boundary_scores(evaluated.boundary_counts, evaluated.scores.present),
        "ranking": ranking_summary(evaluated.histograms, data.classes),
        "calibration": calibration_summary(evaluated.histograms, data.classes),
        "groups": group_summary(evaluated.counts, evaluated.object_counts, training_pixels(data), data.classes),
        "absent_predicted": [data.classes[index] for index in scores["absent_predicted"]],
        "scored": {
            "split": data.scored_dataset.split,
            "images": len(evaluated.samples),
            "checkpoint": trial.settings.evaluation.checkpoint,
            "dataset_fingerprint": data.fingerprint,
        },
        "cost": {
            **prediction_cost(network, *image_size(data), device, precision),
            "train_seconds": sum(event.get("seconds") or 0.0 for event in epochs),
            "images_per_second": statistics.median(speeds) if speeds else None,
            "peak_memory_bytes": peak_memory_bytes(device),
            "matched": getattr(network, "matched", None),
        },
        "epochs": len(epochs),
        "precision": precision,
        "device": device,
        "batch": batch_of(trial.settings),
        **marks(trial),
        "finished": time.time(),
    }


def batch_of(settings: TrialSettings) -> dict[str, Any]:
    """Of how many images an optimizer step is made, by how many processes, and what follows for the learning rates."""
    train, ranks = settings.train, settings.execution.ranks
    return {
        "ranks": ranks,
        "images_per_rank": train.batch_size // ranks,
        "images": train.batch_size,
        "accumulate": train.accumulate,
        "effective": train.effective_batch,
        "learning_rate_factor": train.learning_rate_factor,
    }


def marks(trial: Frozen) -> dict[str, Any]:
    """What a reader must know to compare it with others: `smaller_batch`, what was trained with and what it `was` to
    be; `packed`, how many trials shared its job, so that its speed is not comparable. Nothing of a usual trial."""
    found = {"smaller_batch": trial.smaller_batch, "packed": packed()}
    return {name: value for name, value in found.items() if value is not None}


def training_pixels(data: TrialData) -> list[int]:
    """Labelled pixels of each class in the images that were trained on."""
    samples = data.training.dataset
    assert isinstance(samples, Samples | DrawnSamples)
    return label_counts(samples.dataset).of(data.training.sampler.indices).pixels_C


def image_size(data: TrialData) -> tuple[int, int]:
    """Height and width of the first image that is scored."""
    height, width = data.scored_dataset.read(data.scored_indices[0])[1].shape
    return height, width
