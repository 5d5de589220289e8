"""A network of a few hundred weights, its data, and a training of it within the test's process."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segsuite.config import Train
from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.loader import Samples, evaluation_loader, training_loader
from segsuite.io.store import RunDirectory
from segsuite.losses import build_loss
from segsuite.models.network import SegmentationNetwork
from segsuite.train.callbacks import StopRequest
from segsuite.train.fit import fit_or_resume, total_steps
from segsuite.train.module import SegmentationModule

CLASSES = ("dark", "light")


class Core(nn.Module):
    """An encoder with (or without) batch normalisation, and a head."""

    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self, normalised: bool = True, num_classes: int = len(CLASSES)) -> None:
        super().__init__()
        normalisation = nn.BatchNorm2d(4) if normalised else nn.Identity()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), normalisation, nn.ReLU())
        self.head = nn.Conv2d(4, num_classes, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        logits_NCHW: Tensor = self.head(self.encoder(x_NCHW))
        return logits_NCHW


class Noise(SegmentationDataset):
    """Noise whose label is whether red is bright; the labels of the images in `void` are void."""

    classes, palette, split = CLASSES, ((0, 0, 0), (255, 255, 255)), "train"

    def __init__(self, count: int = 8, void: tuple[int, ...] = ()) -> None:
        self.count, self.void = count, void

    def __len__(self) -> int:
        return self.count

    def sample_name(self, index: int) -> str:
        return str(index)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image = np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        label = (image[..., 0] > 127).astype(np.uint8)
        return image, np.full_like(label, 255) if index in self.void else label

    def fingerprint(self) -> str:
        return "0" * 16


def network(normalised: bool = True, num_classes: int = len(CLASSES)) -> SegmentationNetwork:
    torch.manual_seed(0)
    core = Core(normalised, num_classes)
    return SegmentationNetwork(core, num_classes, core, 8, 8)


def train_settings(**changes: Any) -> Train:
    return Train.model_validate({"epochs": 2, "batch_size": 2, "precision": "fp32", **changes})


def module(
    settings: Train,
    net: SegmentationNetwork | None = None,
    loss: nn.Module | None = None,
    kind: type[SegmentationModule] = SegmentationModule,
    images: int = 8,
) -> SegmentationModule:
    steps = total_steps(settings, images // settings.batch_size)
    return kind(net or network(), loss or build_loss("cross_entropy"), CLASSES, settings, steps)


def fit(
    trained: SegmentationModule,
    folder: Path,
    data: SegmentationDataset | None = None,
    stop: StopRequest | None = None,
    minutes: float = 100.0,
) -> RunDirectory:
    """Trains on the CPU as a trial does, from folder's last.ckpt if there is one."""
    data, run = data or Noise(), RunDirectory(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = trained.settings
    training = training_loader(Samples(data), range(len(data)), settings.batch_size, 0, accumulate=settings.accumulate)
    validation = evaluation_loader(Samples(data), range(len(data)), 4, 0)
    fit_or_resume(trained, training, validation, run, "cpu", "fp32", minutes, stop or StopRequest(), lambda event: None)
    return run


def snapshot(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def differing(left: dict[str, Tensor], right: dict[str, Tensor]) -> set[str]:
    """Names whose tensors are not equal, bit for bit."""
    assert left.keys() == right.keys()
    return {name for name in left if not torch.equal(left[name], right[name])}
