"""Scores a network on a split: one pass, counts per image and class, at the labels' own resolution; softmax histograms
of the whole split."""

from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segsuite.metrics.boundary import boundary_counts
from segsuite.metrics.confusion import counts_of, image_matrices, predict
from segsuite.metrics.histograms import Histograms
from segsuite.metrics.objects import object_counts
from segsuite.metrics.probabilities import ProbabilityCounter
from segsuite.metrics.scores import Scores
from segsuite.train.callbacks import Report, StopRequest

Labels = NDArray[np.integer]
Shapes = tuple[NDArray[np.int64], NDArray[np.int64]]
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
    processes: int | None = None,
) -> Evaluated:
    """Runs `network` over all batches of `loader`. Raises NonFiniteError for logits that are not finite.

    processes: that count on the CPU what no GPU does, while it goes on; 0: it waits. By default as many as this process
    has threads, at most 8, where the device is a GPU, and 0 on a CPU.
    """
    if processes is None:
        processes = min(8, torch.get_num_threads()) if device == "cuda" else 0
    network.eval().to(device)
    counts, samples, done = [], [], 0
    probabilities = ProbabilityCounter(num_classes, device)
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    with _Shapes(num_classes, processes) as shapes:
        for batch in loader:
            stop.leave_if_set()
            for group in batch:
                images, labels = (group[name].to(device, non_blocking=True) for name in ("image", "label"))
                with torch.autocast(device, AUTOCAST.get(precision), enabled=precision in AUTOCAST):
                    logits_NCHW = network(images)
                predictions = predict(logits_NCHW)
                matrices = image_matrices(predictions, labels, num_classes).cpu()
                matrix += matrices.sum(0)
                counts.append(counts_of(matrices))
                probabilities.add(logits_NCHW, predictions, labels)
                shapes.add(predictions.to(torch.uint8).cpu().numpy(), group["label"].numpy())
                # A copy: what a worker sent lies in shared memory, which stays open while any of it is kept.
                samples.append(group["index"].clone())
                done += len(labels)
            report({"phase": "evaluate", "images": done})
        boundaries, objects = shapes.counts()
    order = torch.argsort(torch.cat(samples))
    return Evaluated(
        Scores(matrix.numpy()),
        torch.cat(counts)[order].numpy(),
        boundaries[order.numpy()],
        objects[order.numpy()],
        torch.cat(samples)[order].numpy(),
        probabilities.histograms(),
    )


class _Shapes:
    """Counts along borders and of objects, which OpenCV and NumPy make on the CPU: at once, or in `processes` of their
    own while a GPU predicts the next images. Threads would wait for each other: counting holds Python's lock."""

    def __init__(self, num_classes: int, processes: int) -> None:
        self._count = partial(_count_shapes, num_classes=num_classes)
        # Forked, as the workers of a loader are: they compute on the CPU alone.
        fork = get_context("fork") if processes else None
        self._pool = ProcessPoolExecutor(processes, fork, cv2.setNumThreads, (0,)) if processes else None
        self._most = 4 * processes
        self._found: list[Shapes | Future[Shapes]] = []

    def __enter__(self) -> "_Shapes":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def add(self, predictions_NHW: Labels, labels_NHW: Labels) -> None:
        """A batch of images."""
        for pair in zip(predictions_NHW, labels_NHW, strict=True):
            if self._pool is None:
                self._found.append(self._count(*pair))
                continue
            if len(self._found) >= self._most:  # do not keep a whole split of images waiting
                wait([one for one in self._found[-self._most :] if isinstance(one, Future)][:1])
            self._found.append(self._pool.submit(self._count, *pair))

    def counts(self) -> Shapes:
        """(N, C, 10) and (N, C, 3, 4) of all images in their order."""
        found = [one.result() if isinstance(one, Future) else one for one in self._found]
        boundaries, objects = (np.stack(of_images) for of_images in zip(*found, strict=True))
        return boundaries, objects


def _count_shapes(prediction_HW: Labels, label_HW: Labels, num_classes: int) -> Shapes:
    return boundary_counts(prediction_HW, label_HW, num_classes), object_counts(prediction_HW, label_HW, num_classes)
