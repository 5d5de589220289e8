"""segsuite.datasets.on_device: a batch made on a device is the one that the CPU's augmentation makes."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from segsuite.datasets import build_dataset
from segsuite.datasets.base import Image, Label, SegmentationDataset
from segsuite.datasets.class_crops import ClassAwarePlacement
from segsuite.datasets.loader import Samples, sample_seed
from segsuite.datasets.on_device import DeviceData, DrawnSamples
from segsuite.datasets.transforms import Transform

CPU = torch.device("cpu")


def triton_runs() -> bool:
    """On a GPU, or by its interpreter."""
    if importlib.util.find_spec("triton") is None:
        return False
    return torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"


COLOURS = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3}
SETTINGS: dict[str, dict[str, Any]] = {
    "crop": {"crop": (32, 48)},
    "scale": {"crop": (32, 48), "scale": (0.5, 2.0)},
    "padding": {"crop": (96, 128), "scale": (0.4, 0.9)},
    "flip": {"crop": (32, 48), "horizontal_flip": 0.5},
    "geometry": {"crop": (48, 40), "scale": (0.6, 1.3), "horizontal_flip": 0.5},
    "colours": {"crop": (32, 48), **COLOURS},
    "one colour": {"crop": (32, 48), "contrast": 0.5},
    "everything": {"crop": (48, 40), "scale": (0.6, 1.3), "horizontal_flip": 0.5, **COLOURS},
}


class Photos(SegmentationDataset):
    """Smooth pictures of several sizes with labels of five classes and void."""

    classes, palette, split = ("a", "b", "c", "d", "e"), ((0, 0, 0),) * 5, "train"

    def __len__(self) -> int:
        return 6

    def sample_name(self, index: int) -> str:
        return str(index)

    def fingerprint(self) -> str:
        return "0" * 16

    def read(self, index: int) -> tuple[Image, Label]:
        generator = np.random.default_rng(index)
        height, width = 64 + 7 * index, 90 - 5 * index
        y, x = np.mgrid[:height, :width]
        image = np.stack([127 + 120 * np.sin(y / (3 + c) + x / (9 - c) + index) for c in range(3)], -1)
        image += generator.normal(0, 6, image.shape)
        label = ((y // 9 + x // 11 + index) % 6).astype(np.uint8)
        label[label == 5] = 255
        return image.clip(0, 255).astype(np.uint8), label


def both(dataset: SegmentationDataset, epochs: int, **settings: Any) -> list[tuple[torch.Tensor, ...]]:
    """Images and labels by the CPU's way and by the device's, of all samples in some epochs."""
    transform, other = Transform(**settings), Transform(**settings)
    samples = Samples(dataset, 3, transform)
    data = DeviceData(dataset, CPU)
    drawn = DrawnSamples(Samples(dataset, 3, other), data)
    found = []
    for epoch in range(epochs):
        keys = [(epoch, index) for index in range(len(dataset))]
        expected = default_collate([samples[key] for key in keys])
        ours = data.batch(default_collate([drawn[key] for key in keys]))
        assert torch.equal(ours["index"], expected["index"])
        found.append((expected["image"], ours["image"], expected["label"], ours["label"]))
    return found


@pytest.mark.skipif(not triton_runs(), reason="needs a GPU, or TRITON_INTERPRET=1")
@pytest.mark.parametrize("name", SETTINGS)
def test_the_kernel_makes_the_same_bytes(name: str) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset, settings = Photos(), SETTINGS[name]
    on_cpu, data = DeviceData(dataset, CPU), DeviceData(dataset, device, contrast="contrast" in settings)
    drawn = DrawnSamples(Samples(dataset, 3, Transform(**settings)), on_cpu)
    for epoch in range(2):
        given = default_collate([drawn[epoch, index] for index in range(len(dataset))])
        expected = on_cpu.batch(given)
        image, label = data.by_kernel({name: value.to(device) for name, value in given.items()})
        assert torch.equal(label.cpu(), expected["label"])
        assert torch.equal(image.cpu().permute(0, 3, 1, 2), expected["image"])


@pytest.mark.parametrize("name", SETTINGS)
def test_labels_are_equal_and_pixels_within_a_level_a_step(name: str) -> None:
    settings = SETTINGS[name]
    steps = (settings.get("scale") is not None) + sum(colour in settings for colour in COLOURS)
    for image, ours, label, our_label in both(Photos(), 8, **settings):
        assert torch.equal(label, our_label)
        difference = (image.int() - ours.int()).abs()
        assert difference.max() <= steps
        assert (difference > 0).float().mean() <= 0.01 * steps


def test_crops_placed_by_classes_lie_where_the_cpu_puts_them() -> None:
    placement = ClassAwarePlacement([0.5, 0.3, 0.1, 0.05, 0.05], 0.8, max_share=0.6)
    settings = {"crop": (24, 24), "scale": (0.6, 1.3), "placement": placement}
    for _, _, label, ours in both(Photos(), 6, **settings):
        assert torch.equal(label, ours)


def test_it_is_so_on_photographs(camvid_root: Path) -> None:
    dataset = build_dataset("camvid", "val", root=str(camvid_root))
    few = Few(dataset, 6)
    settings = {"crop": (256, 320), "scale": (0.6, 1.3), "horizontal_flip": 0.5, **COLOURS}
    for image, ours, label, our_label in both(few, 2, **settings):
        assert torch.equal(label, our_label)
        difference = (image.int() - ours.int()).abs()
        assert difference.max() <= 4
        assert (difference > 0).float().mean() <= 0.01


class Few(SegmentationDataset):
    """The first images of a dataset."""

    def __init__(self, dataset: SegmentationDataset, count: int) -> None:
        self.dataset, self.count = dataset, count
        self.classes, self.palette, self.split = dataset.classes, dataset.palette, dataset.split

    def __len__(self) -> int:
        return self.count

    def sample_name(self, index: int) -> str:
        return self.dataset.sample_name(index)

    def fingerprint(self) -> str:
        return self.dataset.fingerprint()

    def read(self, index: int) -> tuple[Image, Label]:
        return self.dataset.read(index)


def test_a_whole_image_without_a_crop_is_itself() -> None:
    class OfOneSize(Photos):
        def read(self, index: int) -> tuple[Image, Label]:
            image, label = super().read(0)
            return np.roll(image, index, 0), label

    dataset = OfOneSize()
    data = DeviceData(dataset, CPU)
    drawn = DrawnSamples(Samples(dataset, 0, Transform()), data)
    found = data.batch(default_collate([drawn[0, index] for index in range(6)]))
    for index in range(6):
        image, label = dataset.read(index)
        assert np.array_equal(found["image"][index].permute(1, 2, 0).numpy(), image)
        assert np.array_equal(found["label"][index].numpy(), label)


def test_the_copies_of_a_repeated_image_are_drawn_anew() -> None:
    dataset = Photos()
    drawn = DrawnSamples(Samples(dataset, 0, Transform(crop=(32, 48))), DeviceData(dataset, CPU))
    assert sample_seed(0, 0, 1) != sample_seed(0, 0, 1, 1)
    first, second = drawn[0, 1], drawn[0, 1, 1]
    assert not (np.array_equal(first["rows"], second["rows"]) and np.array_equal(first["columns"], second["columns"]))
