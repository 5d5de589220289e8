"""Predictions of a few images, the same for every trial."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.image_io import read_mask, write_label
from segsuite.io.names import file_stem
from segsuite.metrics.confusion import confusion_matrix, predict
from segsuite.metrics.scores import Scores
from segsuite.train.evaluation import AUTOCAST
from segsuite.train.tracking import Scored, Shown

SAMPLES = 8


def chosen(indices: Sequence[int], count: int = SAMPLES) -> list[int]:
    """Up to `count` of `indices`, evenly spaced from the first to the last.

    >>> chosen(range(101), 5)
    [0, 25, 50, 75, 100]
    """
    places = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int)
    return [indices[int(place)] for place in places]


@torch.inference_mode()
def write_predictions(
    network: nn.Module, dataset: SegmentationDataset, indices: Sequence[int], device: str, precision: str, folder: Path
) -> None:
    """One palette PNG a chosen image in `folder`: class ids, lossless, coloured by the dataset's palette."""
    network.eval()
    for index in chosen(indices):
        image, _ = dataset.read(index)
        image_NCHW = torch.from_numpy(image).permute(2, 0, 1)[None].to(device)
        with torch.autocast(device, AUTOCAST.get(precision), enabled=precision in AUTOCAST):
            prediction_NHW = predict(network(image_NCHW))
        label = prediction_NHW[0].to(torch.uint8).cpu().numpy()
        write_label(_file(folder, dataset, index), label, dataset.palette)


def read_predictions(dataset: SegmentationDataset, indices: Sequence[int], folder: Path, count: int) -> list[Scored]:
    """Up to `count` of the images that `write_predictions` has predicted, with their scores. Raises DataError."""
    return [_scored(dataset, index, folder) for index in chosen(chosen(indices), count)]


def _scored(dataset: SegmentationDataset, index: int, folder: Path) -> Scored:
    image, label = dataset.read(index)
    prediction = read_mask(_file(folder, dataset, index))
    of_one = (torch.from_numpy(prediction)[None].long(), torch.from_numpy(label)[None])
    scores = Scores(confusion_matrix(*of_one, dataset.num_classes).numpy())
    named = {"miou": scores.miou, "pixel_accuracy": scores.pixel_accuracy}
    return Scored(Shown(dataset.sample_name(index), image, label), prediction, named)


def _file(folder: Path, dataset: SegmentationDataset, index: int) -> Path:
    return folder / f"{file_stem(dataset.sample_name(index))}.png"
