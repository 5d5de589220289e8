"""Windows cover every pixel, on the network's grid, and their mean is what was averaged."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsuite.errors import ConfigError
from segsuite.prediction.predictor import PLAIN, Predictor, View, views_of
from segsuite.prediction.windows import Windows


class Pointwise(nn.Module):
    """Logits that depend on their own pixel alone: windows and flips can change nothing."""

    stride = 32

    def forward(self, images_NCHW: Tensor) -> Tensor:
        x = images_NCHW.float() / (255 if images_NCHW.dtype == torch.uint8 else 1)
        return torch.cat([x, 3 * x[:, :1] - x[:, 1:2]], dim=1)


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (150, 203, 3), dtype=np.uint8)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 96, 100, 1000])
@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.75, 0.99])
def test_windows_cover_all_and_lie_on_the_grid(length: int, overlap: float) -> None:
    windows = Windows(64, overlap, 32)
    starts = windows.starts(length)
    assert all(start % 32 == 0 for start in starts)
    assert starts == sorted(set(starts))
    covered = {pixel for start in starts for pixel in range(start, min(length, start + 64))}
    assert covered == set(range(length))
    assert starts[-1] < length


def test_a_side_is_rounded_up_to_the_grid() -> None:
    assert Windows(65, 0.5, 32).side == 96
    assert Windows(65, 0.5, 32).weights().shape == (96, 96)


@pytest.mark.parametrize(("size", "overlap"), [(0, 0.5), (64, 1.0), (64, -0.1)])
def test_windows_that_cannot_be_are_refused(size: int, overlap: float) -> None:
    with pytest.raises(ConfigError):
        Windows(size, overlap)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_windows_of_a_pointwise_network_change_nothing(image: NDArray[np.uint8], overlap: float) -> None:
    predictor = Predictor((Pointwise(),), 4)
    whole, by_windows = predictor.probabilities(image), predictor.probabilities(image, Windows(64, overlap))
    np.testing.assert_allclose(by_windows, whole, atol=1e-6)
    np.testing.assert_array_equal(predictor.labels(image, Windows(64, overlap)), by_windows.argmax(0))
    clear = np.diff(np.sort(whole, axis=0)[-2:], axis=0)[0] > 1e-5  # of two classes that are equal either may win
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(predictor.labels(image, Windows(64, overlap))[clear], predictor.labels(image)[clear])


def test_a_flip_of_a_pointwise_network_changes_nothing_and_the_mean_is_over_all(image: NDArray[np.uint8]) -> None:
    class Left(Pointwise):
        """Adds 1 to the first class in the left half of what it sees."""

        def forward(self, images_NCHW: Tensor) -> Tensor:
            logits = super().forward(images_NCHW)
            logits[:, 0, :, : logits.shape[-1] // 2] += 1
            return logits

    flipped = Predictor((Pointwise(),), 4, views=views_of(True, [1.0])).probabilities(image)
    np.testing.assert_allclose(flipped, Predictor((Pointwise(),), 4).probabilities(image), atol=1e-6)
    plain = Predictor((Left(),), 4).probabilities(image)
    mirrored = Predictor((Left(),), 4).probabilities(image[:, ::-1].copy())[..., ::-1]
    both = Predictor((Left(),), 4, views=views_of(True, [1.0])).probabilities(image)
    np.testing.assert_allclose(both, (plain + mirrored) / 2, atol=1e-6)


def test_several_networks_are_averaged_by_probability(image: NDArray[np.uint8]) -> None:
    class Sharper(Pointwise):
        def forward(self, images_NCHW: Tensor) -> Tensor:
            return 5 * super().forward(images_NCHW)

    one, other = (Predictor((network,), 4).probabilities(image) for network in (Pointwise(), Sharper()))
    both = Predictor((Pointwise(), Sharper()), 4)
    np.testing.assert_allclose(both.probabilities(image), (one + other) / 2, atol=1e-6)
    np.testing.assert_array_equal(both.labels(image), ((one + other) / 2).argmax(0))


def test_scaled_views_come_back_in_the_image_s_size(image: NDArray[np.uint8]) -> None:
    constant = np.full_like(image, 77)
    scaled = Predictor((Pointwise(),), 4, views=(View(0.5), View(1.5, True)))
    plain = Predictor((Pointwise(),), 4, views=PLAIN)
    np.testing.assert_allclose(scaled.probabilities(constant), plain.probabilities(constant), atol=1e-6)
    assert scaled.probabilities(image).shape == (4, 150, 203)


def test_images_of_more_than_8_bits_and_of_one_pixel(image: NDArray[np.uint8]) -> None:
    predictor = Predictor((Pointwise(),), 4)
    as_float = (image / np.float32(255)).astype(np.float32)
    np.testing.assert_allclose(predictor.probabilities(as_float), predictor.probabilities(image), atol=1e-6)
    assert predictor.labels(image[:1, :1]).shape == (1, 1)


def test_windows_equal_the_whole_image_away_from_the_field_of_their_borders() -> None:
    """Of a network that sees 8 pixels far, in windows of 256."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 5, padding=2), nn.Tanh(), nn.Conv2d(8, 8, 7, padding=3), nn.Tanh()]
    network = nn.Sequential(*layers, nn.Conv2d(8, 4, 7, padding=3))

    class Convolutions(Pointwise):
        def forward(self, images_NCHW: Tensor) -> Tensor:
            logits: Tensor = network(images_NCHW.float() / 255)
            return 8 * logits

    large = np.random.default_rng(1).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    windows, field = Windows(256, 0.5), 8
    predictor = Predictor((Convolutions(),), 4)
    difference = np.abs(predictor.probabilities(large, windows) - predictor.probabilities(large)).max(axis=0)
    spoiled = np.zeros(large.shape[:2], bool)
    for axis, length in enumerate(spoiled.shape):
        for start in windows.starts(length):
            for border in {start, min(length, start + 256)} - {0, length}:
                np.moveaxis(spoiled, axis, 0)[max(0, border - field) : border + field] = True
    assert 0.1 < spoiled.mean() < 0.5
    assert difference[~spoiled].max() < 1e-5
    assert difference.max() < 2e-3  # a spoiled pixel of a window has at most exp(-3.75**2 / 2) of its middle's weight
    apart = np.abs(predictor.probabilities(large, Windows(256, 0.0)) - predictor.probabilities(large))
    assert apart.max() > 0.05  # without overlap nothing mends it
