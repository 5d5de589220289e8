"""Upsamplers that start from the labels of the training split (DUpsampling)."""

from collections.abc import Iterator

import numpy as np

from segsuite.datasets.base import Label
from segsuite.io.store import RunDirectory
from segsuite.models.network import SegmentationNetwork
from segsuite.trial.data import TrialData

LABELS = 200


def fit_to_labels(network: SegmentationNetwork, data: TrialData, run: RunDirectory) -> None:
    """Calls `fit_labels` of every upsampler of `network` that has it and gives one channel a class, with up to LABELS
    evenly spaced training labels. Does nothing when there is a checkpoint, which holds what was fitted."""
    if run.last_checkpoint.exists():
        return
    for module in network.modules():
        if getattr(module, "fits_labels", False) and module.out_channels == data.num_classes:
            module.fit_labels(spaced_labels(data), data.num_classes)  # type: ignore[operator]  # fits_labels says so


def spaced_labels(data: TrialData) -> Iterator[Label]:
    """Up to LABELS labels (H, W) of the training split, evenly spaced, as they are read: not augmented."""
    samples, indices = data.training.dataset, data.training.sampler.indices
    count = min(LABELS, len(indices))
    for place in np.linspace(0, len(indices) - 1, count).round().astype(int):
        yield samples.dataset.read(indices[place])[1]  # type: ignore[attr-defined]  # Samples, made by training_loader
