"""Predictions of a few images, the same for every trial."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.image_io import write_label
from segsuite.io.names import file_stem
from segsuite.metrics.confusion import predict
from segsuite.train.evaluation import AUTOCAST

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
        name = file_stem(dataset.sample_name(index))
        write_label(folder / f"{name}.png", prediction_NHW[0].to(torch.uint8).cpu().numpy(), dataset.palette)
