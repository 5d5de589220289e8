"""Scores a network on a split: one pass, counts per image and class, at the labels' own resolution; softmax histograms
of the whole split."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from segsuite.metrics.boundary import boundary_counts
from segsuite.metrics.confusion import counts_of, image_matrices, predict
from segsuite.metrics.histograms import Histograms
from segsuite.metrics.objects import object_counts
from segsuite.metrics.probabilities import ProbabilityCounter
from segsuite.metrics.scores import Scores
from segsuite.train.callbacks import Report, StopRequest

AUTOCAST = {"bf16-mixed": torch.bfloat16, "fp16-mixed": torch.float16}


@dataclass(frozen=True)
class Evaluated:
    """`counts` int64 (N, C, 3): TP, FP, FN of each image and class; `boundary_counts` int64 (N, C, 10): the
    BOUNDARY_COLUMNS of metrics; `object_counts` int64 (N, C, 3, 4): SIZE_COLUMNS of SIZE_GROUPS; `samples` (N,): their
    indices in the split."""

    scores: Scores
    counts: np.ndarray
    boundary_counts: np.ndarray
    object_counts: np.ndarray
    samples: np.ndarray
    histograms: Histograms


@torch.inference_mode()
def evaluate(
    network: nn.Module,
    loader: Iterable[list[dict[str, Any]]],
    num_classes: int,
    device: str,
    precision: str,
    stop: StopRequest,
    report: Report,
) -> Evaluated:
    """Runs `network` over all batches of `loader`. Raises NonFiniteError for logits that are not finite."""
    network.eval().to(device)
    counts, boundaries, objects, samples, done = [], [], [], [], 0
    probabilities = ProbabilityCounter(num_classes, device)
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    for batch in loader:
        stop.leave_if_set()
        for group in batch:
            images, labels = group["image"].to(device, non_blocking=True), group["label"].to(device, non_blocking=True)
            with torch.autocast(device, AUTOCAST.get(precision), enabled=precision in AUTOCAST):
                logits_NCHW = network(images)
            predictions = predict(logits_NCHW)
            matrices = image_matrices(predictions, labels, num_classes).cpu()
            matrix += matrices.sum(0)
            counts.append(counts_of(matrices))
            probabilities.add(logits_NCHW, predictions, labels)
            pairs = list(zip(predictions.cpu().numpy(), group["label"].numpy(), strict=True))
            objects += [object_counts(prediction, label, num_classes) for prediction, label in pairs]
            boundaries += [boundary_counts(prediction, label, num_classes) for prediction, label in pairs]
            samples.append(group["index"])
            done += len(labels)
        report({"phase": "evaluate", "images": done})
    order = torch.argsort(torch.cat(samples))
    return Evaluated(
        Scores(matrix.numpy()),
        torch.cat(counts)[order].numpy(),
        np.stack(boundaries)[order.numpy()],
        np.stack(objects)[order.numpy()],
        torch.cat(samples)[order].numpy(),
        probabilities.histograms(),
    )
