"""Stripes of the image, and what a nonlinearity makes of them, are no pattern of an upsampler."""

import math

import pytest
import torch
from torch import Tensor, nn

from segsuite.checkerboard.measure import measure
from segsuite.checkerboard.scene import Scene
from segsuite.checkerboard.spectrum import decibels, power_spectrum
from segsuite.checkerboard.textures import image_lines, spectrum_lines, strongest
from segsuite.models.network import Seam, SegmentationNetwork
from segsuite.upsamplers import build_upsampler

SIDE, CLASSES, PERIODS = 160, 4, (2, 4, 8)


class Rectified(nn.Module):
    """A 7 x 7 convolution and a ReLU, further ones of 3 x 3, and scores: every output pixel is made alike, there is no
    upsampling. A seam that is never passed says at which strides it is measured."""

    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self, seed: int, depth: int = 1, board: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.encoder, self.board = nn.Identity(), board
        self.unused = build_upsampler("bilinear", 3, 3, 8)
        further = [layer for _ in range(depth - 1) for layer in (nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())]
        self.layers = nn.Sequential(nn.Conv2d(3, 16, 7, padding=3), nn.ReLU(), *further, nn.Conv2d(16, CLASSES, 1))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        logits: Tensor = self.layers(x_NCHW)
        place = torch.arange(SIDE)
        board = 1 - 2 * ((place[:, None] + place) % 2).float()
        return logits + self.board * torch.tensor([1.0, -1, 0, 0])[:, None, None] * board


def network(seed: int, depth: int = 1, board: float = 0.0) -> SegmentationNetwork:
    core = Rectified(seed, depth, board)
    return SegmentationNetwork(core, CLASSES, core, 8, 8, [Seam("core.unused", 8, 1, 3, 3)])


def striped(period: float, wave: str, amplitude: float = 0.2) -> Scene:
    """Four images of noise with upright stripes, and labels that have none."""
    place = torch.arange(SIDE)
    waves = {
        "sine": torch.sin(2 * math.pi * place / period + 0.3),
        "square": torch.where(place % period < period / 2, 1.0, -1.0),
    }
    noise = 0.5 + 0.04 * torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    images = (noise + amplitude * waves[wave] * torch.tensor([1.0, -1, 0.5])[:, None, None]).clamp(0, 1)
    labels = torch.zeros(4, SIDE, SIDE, dtype=torch.uint8)
    labels[:, 20:70, 33:90], labels[:, 90:140, 60:121] = 1, 2
    return Scene(images, labels, ("a", "b", "c", "d"))


def decibels_of(net: SegmentationNetwork, scene: Scene, place: str) -> dict[int, tuple[float, float]]:
    """Stride -> value and control."""
    return {
        row["stride"]: (row["value"], row["control"])
        for row in measure(net, scene).rows
        if (row["place"], row["measure"]) == (place, "harmonic_decibels")
    }


STRIPES = [("sine", 8, 1), ("sine", 8, 3), ("sine", 6, 3), ("square", 8, 1), ("square", 4, 1), ("square", 12, 3)]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("wave", "period", "depth"), STRIPES)
def test_stripes_behind_convolutions_and_relus_raise_no_alarm(wave: str, period: int, depth: int, seed: int) -> None:
    found = decibels_of(network(seed, depth), striped(period, wave), "logits")
    assert set(found) == set(PERIODS)
    assert max(value for value, _ in found.values()) > 6  # the lines are there
    assert max(value - control for value, control in found.values()) < 0.5


def test_nor_do_they_in_probabilities() -> None:
    found = decibels_of(network(0), striped(8, "square"), "probabilities")
    assert max(value for value, _ in found.values()) > 6
    assert max(value - control for value, control in found.values()) < 0.5


@pytest.mark.parametrize(("wave", "period"), [("sine", 8), ("square", 8), ("square", 4)])
def test_a_board_planted_behind_stripes_is_found(wave: str, period: int) -> None:
    """It lies at (1/2, 1/2), where stripes have nothing, however strong their line at (0, 1/2) is."""
    scene = striped(period, wave)
    value, control = decibels_of(network(0, board=0.1), scene, "logits")[2]
    without, _ = decibels_of(network(0), scene, "logits")[2]
    assert value - control > 0.3 * (value - without) + 1


def test_noise_has_no_lines() -> None:
    noise = torch.randn(8, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    lines = image_lines(noise, PERIODS, lambda maps: maps)
    assert set(lines) == set(PERIODS)
    assert all((of_period == 1).all() for of_period in lines.values())


def test_a_period_that_an_image_is_too_small_for_has_no_lines() -> None:
    assert set(image_lines(torch.rand(1, 3, 24, 24), PERIODS, lambda maps: maps)) == {2, 4}


def test_the_strongest_line_of_any_scene_counts() -> None:
    first, second = torch.tensor([[1.0, 8.0]]), torch.tensor([[5.0, 1.0]])
    found = strongest([{2: first, 4: first}, {2: second}])
    assert found[2].tolist() == [[5.0, 8.0]]
    assert found[4].tolist() == [[1.0, 8.0]]


def test_lines_are_those_of_the_spectrum_at_the_harmonics() -> None:
    place = torch.arange(96)
    wave = torch.cos(math.pi / 2 * place).expand(1, 1, 96, 96)
    noise = 0.05 * torch.randn(1, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    lines = spectrum_lines([power_spectrum(wave + noise)], (4,))[4]
    assert [(place[0], place[1]) for place in (lines > 1).nonzero().tolist()] == [(0, 1), (0, 3)]
    assert decibels(1, 1 / float(lines[0, 1])) > 20
