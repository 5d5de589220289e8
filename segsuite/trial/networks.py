"""The network of a trial before and after training; to look at it, no data is read but the scored split."""

from pathlib import Path

import torch

from segsuite.config import TrialSettings
from segsuite.datasets import build_dataset
from segsuite.datasets.base import SegmentationDataset
from segsuite.errors import ConfigError
from segsuite.io.store import RunDirectory, state
from segsuite.models import build_model
from segsuite.models.network import SegmentationNetwork
from segsuite.models.output_stride import at_output_stride
from segsuite.train import checkpoint_io
from segsuite.train.samples import chosen


def scored_dataset(settings: TrialSettings) -> SegmentationDataset:
    """The split that the trial is scored on. Raises ConfigError or DataError when it is not there."""
    options = settings.data.model_dump(exclude={"name"})
    return build_dataset(settings.data.name, settings.evaluation.split, **options)


def shown_indices(dataset: SegmentationDataset, count: int) -> list[int]:
    """Up to `count` images, by the rule of a trial's samples."""
    return chosen(range(len(dataset)), count)


def build_network(
    settings: TrialSettings, num_classes: int, output_stride: int | None = None, pretrained: bool = True
) -> SegmentationNetwork:
    """As a trial with these settings starts, its random weights a function of the seed alone; at another output
    stride if one is given, without pretrained weights where other ones are loaded afterwards."""
    torch.manual_seed(settings.seed)
    options = settings.model.model_dump()
    if output_stride is not None:
        options = at_output_stride(options, output_stride)
    if not pretrained and "weights" in options:
        options["weights"] = "none"
    network = build_model(options.pop("name"), num_classes, **options)
    return network.to(memory_format=torch.channels_last)


def scored_checkpoint(settings: TrialSettings, run: RunDirectory) -> Path:
    """The file of the weights that are scored."""
    return run.best_checkpoint if settings.evaluation.checkpoint == "best" else run.last_checkpoint


def trained_network(folder: Path, settings: TrialSettings, num_classes: int) -> SegmentationNetwork:
    """With the weights that the finished trial in `folder` was scored with; its pretrained weights are not needed.

    Raises ConfigError when it has not finished or its checkpoint is not there, SegsuiteError when that is damaged.
    """
    if state(folder) != "finished":
        raise ConfigError("the trial has not finished", str(folder), "run the experiment first")
    network = build_network(settings, num_classes, settings.evaluation.output_stride, pretrained=False)
    path = scored_checkpoint(settings, RunDirectory(folder))
    try:
        weights = checkpoint_io.network_weights(checkpoint_io.load(path))
    except FileNotFoundError as error:
        raise ConfigError("the trial has no checkpoint any more", str(path), "run the trial again") from error
    network.load_state_dict(weights)
    return network.eval()
