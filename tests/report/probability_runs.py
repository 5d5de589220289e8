"""Run directories of trials that also left probabilities: histograms, calibration, ranking and groups."""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segsuite.datasets.base import VOID
from segsuite.experiment import Experiment, Trial
from segsuite.io import atomic
from segsuite.metrics.calibration import calibration_summary
from segsuite.metrics.confusion import image_counts, image_matrices, predict
from segsuite.metrics.curves import ranking_summary
from segsuite.metrics.groups import group_summary
from segsuite.metrics.objects import object_counts
from segsuite.metrics.probabilities import ProbabilityCounter
from segsuite.metrics.scores import Scores
from tests.report.runs import dataset_of, finish


def finish_with_probabilities(
    experiment: Experiment,
    skill: Callable[[Trial], float] = lambda trial: 4.0,
    temperature: Callable[[Trial], float] = lambda trial: 1.0,
    blind: Callable[[Trial], Collection[str]] = lambda trial: (),
) -> None:
    """As `finish`, with counts, scores and probabilities that belong together.

    `skill` is how far the logit of the right class stands above the noise, `temperature` what all logits are divided
    by, `blind` the classes that a trial never predicts.
    """
    finish(experiment)
    dataset = dataset_of(experiment)
    labels = torch.from_numpy(np.stack([dataset.read(index)[1] for index in range(len(dataset))]))
    pixels = np.bincount(labels[labels != VOID].numpy(), minlength=dataset.num_classes).tolist()
    for trial in experiment.trials:
        unseen = [dataset.classes.index(name) for name in blind(trial)]
        logits = made_logits(labels, np.array(pixels), skill(trial), trial) / temperature(trial)
        logits[:, unseen] -= 12
        prediction = predict(logits)
        counter = ProbabilityCounter(dataset.num_classes)
        counter.add(logits, prediction, labels)
        pairs = zip(prediction.numpy(), labels.numpy(), strict=True)
        objects = np.stack([object_counts(one, label, dataset.num_classes) for one, label in pairs])
        counts = image_counts(prediction, labels, dataset.num_classes).numpy()
        confusion = image_matrices(prediction, labels, dataset.num_classes).sum(0).numpy()
        histograms = counter.histograms()
        rewrite_arrays(trial.folder / "counts.npz", counts=counts, confusion=confusion)
        arrays: dict[str, Any] = histograms.arrays()
        atomic.write_with(
            trial.folder / "histograms.npz", lambda file, arrays=arrays: np.savez_compressed(file, **arrays)
        )
        scores = Scores(confusion).to_json()
        result = json.loads((trial.folder / "result.json").read_text())
        result["scores"] = {name: scores[name] for name in result["scores"]}
        result["class_scores"] = {
            name: dict(zip(dataset.classes, scores[name], strict=True)) for name in result["class_scores"]
        }
        result["ranking"] = ranking_summary(histograms, dataset.classes)
        result["calibration"] = calibration_summary(histograms, dataset.classes)
        result["groups"] = group_summary(counts, objects, pixels, dataset.classes)
        atomic.write_json(trial.folder / "result.json", result)


def made_logits(labels_NHW: torch.Tensor, pixels: np.ndarray, skill: float, trial: Trial) -> torch.Tensor:
    """The log of the classes' shares, evidence for the right class, and noise that is smooth in space."""
    # The same stream for the same seed and arm, whatever else the experiment holds.
    seed = int(np.random.SeedSequence([trial.seed, *trial.arm.encode()]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(seed)
    images, height, width = labels_NHW.shape
    classes = len(pixels)
    noise = 1.6 * torch.randn(images, classes, height // 4, width // 4, generator=generator)
    noise = torch.nn.functional.interpolate(noise, (height, width), mode="bilinear")
    right = torch.nn.functional.one_hot(labels_NHW.long().clamp(max=classes - 1), classes).permute(0, 3, 1, 2)
    evidence = torch.nn.functional.avg_pool2d(right.float(), 5, 1, 2)
    prior = torch.from_numpy(np.log(pixels / pixels.sum())).float()
    return skill * evidence + noise + 0.6 * prior[:, None, None]


def rewrite_arrays(path: Path, **arrays: np.ndarray) -> None:
    with np.load(path) as old:
        kept = {name: old[name] for name in old.files} | arrays
    atomic.write_with(path, lambda file: np.savez_compressed(file, **kept))
