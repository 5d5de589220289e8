"""A network of a few thousand weights with two seams, and a scene for it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from segsuite.checkerboard.scene import Sample, Scene, scene_of
from segsuite.models.network import Seam, SegmentationNetwork
from segsuite.upsamplers import build_upsampler

CLASSES = 4


class Encoder(nn.Module):
    """Features of strides 2 and 4."""

    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(3, 6, 4, 2, 1), nn.BatchNorm2d(6), nn.ReLU())
        self.coarse = nn.Sequential(nn.Conv2d(6, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2))

    def forward(self, x_NCHW: Tensor) -> list[Tensor]:
        fine = self.fine(x_NCHW)
        return [fine, self.coarse(fine)]


class Core(nn.Module):
    """Enlarges twice by 2, with a skip, batch normalisation in the decoder and dropout."""

    def __init__(self, upsampler: str) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.first, self.second = build_upsampler(upsampler, 8, 6), build_upsampler(upsampler, 12, 6)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Conv2d(6, CLASSES, 1))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.decode(self.encoder(x_NCHW), x_NCHW)

    def decode(self, features: Sequence[Tensor], image_NCHW: Tensor) -> Tensor:
        middle = torch.cat([self.norm(self.first(features[1])).relu(), features[0]], dim=1)
        logits: Tensor = self.head(self.second(middle).relu())
        return logits


def network(upsampler: str = "transposed_k3", seed: int = 0) -> SegmentationNetwork:
    torch.manual_seed(seed)
    core = Core(upsampler)
    seams = [Seam("core.first", 4, 2, 8, 6), Seam("core.second", 2, 1, 12, 6)]
    return SegmentationNetwork(core, CLASSES, core.encoder, 4, 4, seams)


def samples(count: int = 3, size: tuple[int, int] = (80, 96)) -> list[Sample]:
    """Rectangles of four classes with noise, some of it void."""
    found = []
    for index in range(count):
        random = np.random.default_rng(index)
        label = np.zeros(size, np.uint8)
        for _ in range(10):
            top, left = random.integers(0, min(size), 2)
            height, width = random.integers(6, 40, 2)
            label[top : top + height, left : left + width] = random.choice([0, 1, 2, 3, 255])
        colours = np.array([[60, 60, 60], [200, 60, 60], [60, 200, 60], [60, 60, 200]])[label % 4]
        image = (colours + random.normal(0, 12, (*size, 3))).clip(0, 255).astype(np.uint8)
        found.append((f"image {index}", image, label))
    return found


def scene(count: int = 3, size: tuple[int, int] = (80, 96)) -> Scene:
    return scene_of(samples(count, size), 4)
