"""Harmonics of known patterns, noise and ramps; what an image has of its own is no finding."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segsuite.checkerboard.spectrum import Spectrum, decibels, power_spectrum

STRIDES = (2, 4, 8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(size: int = 96, maps: int = 4) -> Tensor:
    """(1, maps, size, size): random content with no power above 0.06 cycles per pixel, variance 1."""
    noise = torch.fft.fft2(torch.randn(1, maps, size, size, generator=generator(), dtype=torch.float64))
    frequency = torch.fft.fftfreq(size, dtype=torch.float64)
    noise[..., (frequency[:, None].square() + frequency.square()).sqrt() > 0.06] = 0
    field = torch.fft.ifft2(noise).real
    return (field - field.mean()) / field.std(correction=0)


def pattern(stride: int, size: int = 96) -> Tensor:
    """(size, size): a random pattern of period `stride` with mean 0 and root mean square 1."""
    cell = torch.randn(stride, stride, generator=generator(stride), dtype=torch.float64)
    cell -= cell.mean()
    return (cell / cell.square().mean().sqrt()).repeat(size // stride, size // stride)


def spectrum(maps: Tensor) -> Spectrum:
    return Spectrum(power_spectrum(maps))


def excess(found: Spectrum, stride: int) -> float:
    """dB of the harmonics over the bins beside them."""
    return decibels(found.harmonic_share(stride), found.background_share(stride))


@pytest.mark.parametrize("size", [(16, 16), (15, 21), (24, 18)])
def test_power_is_that_of_the_windowed_discrete_fourier_transform(size: tuple[int, int]) -> None:
    maps = torch.randn(2, 3, *size, generator=generator(), dtype=torch.float64)
    height, width = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n) for n in size)
    window = height[:, None] * width
    expected = np.zeros(size)
    for plane in maps.flatten(0, 1).numpy():
        expected += np.abs(np.fft.fft2((plane - (plane * window).sum() / window.sum()) * window)) ** 2 / 6
    np.testing.assert_allclose(power_spectrum(maps).numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("stride", [2, 4, 16])
def test_share_is_that_of_the_boxes_counted_one_by_one(stride: int) -> None:
    size, half = 96, 1 if stride == 16 else 2
    found = spectrum(torch.randn(1, 1, size, size, generator=generator(), dtype=torch.float64))
    power, inside = found.power_HW.numpy(), 0.0
    for a, b in itertools.product(range(stride), repeat=2):
        if (a, b) == (0, 0):
            continue
        for dy in range(-half, half + 1):
            for dx in range(-half, half + 1):
                inside += power[(a * size // stride + dy) % size, (b * size // stride + dx) % size]
    assert found.harmonic_share(stride) == pytest.approx(inside / power.sum())


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("amplitude", [0.01, 0.1, 0.5])
def test_a_planted_pattern_is_recovered_within_five_per_cent(stride: int, amplitude: float) -> None:
    found = spectrum(smooth() + amplitude * pattern(stride))
    # the variance that the window sees: by Parseval, total power over (pixels times the window's square sum)
    window = torch.hann_window(96, dtype=torch.float64)
    variance = found.total / (96 * 96 * float(window.square().sum()) ** 2)
    share = found.harmonic_share(stride) - found.explained_share(stride)
    assert math.sqrt(share * variance) == pytest.approx(amplitude, rel=0.05)


@pytest.mark.parametrize("stride", STRIDES)
def test_white_noise_has_the_share_of_the_bins_and_no_decibels(stride: int) -> None:
    found = spectrum(torch.randn(40, 4, 96, 96, generator=generator()))
    bins = 25 * (stride**2 - 1) / 96**2
    assert found.harmonic_share(stride) == pytest.approx(bins, rel=0.05)
    assert found.background_share(stride) == pytest.approx(bins, rel=0.05)
    assert abs(excess(found, stride)) < 0.2


def ramp(size: int = 96) -> Tensor:
    place = torch.arange(size, dtype=torch.float64)
    return (place[:, None] + 0.5 * place)[None, None]


def test_a_ramp_has_no_harmonics_under_the_window() -> None:
    assert spectrum(ramp()).harmonic_share(2) < 1e-8
    assert Spectrum(power_spectrum(ramp(), window=False)).harmonic_share(2) > 1e-3


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_what_a_ramp_leaks_to_low_harmonics_it_leaks_beside_them_too(stride: int) -> None:
    assert spectrum(ramp()).harmonic_share(stride) < spectrum(ramp()).explained_share(stride)


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_straight_edges_are_no_pattern(stride: int) -> None:
    """Their power lies on the axes, where harmonics lie as well."""
    random, size = np.random.default_rng(0), 192
    maps = torch.zeros(12, 1, size, size)
    for plane in maps[:, 0]:
        for _ in range(12):
            top, left = random.integers(0, size - 40, 2)
            plane[top : top + int(random.integers(10, 90)), left : left + int(random.integers(10, 90))] += 1
    assert excess(spectrum(maps), stride) < 1


def test_a_map_that_is_constant_has_no_share() -> None:
    found = spectrum(torch.full((1, 1, 24, 24), 3.0))
    assert math.isnan(found.harmonic_share(2))
    assert math.isnan(excess(found, 2))


def test_decibels_end_where_a_map_without_noise_would_have_any_number() -> None:
    assert excess(spectrum(pattern(2)[None, None]), 2) == pytest.approx(80)


def test_strides_whose_harmonics_fall_between_bins_or_too_close_are_not_measured() -> None:
    found = spectrum(torch.zeros(1, 1, 24, 48))
    assert [stride for stride in range(2, 25) if found.measures(stride)] == [2, 3, 4]


@pytest.mark.parametrize("stride", STRIDES)
def test_an_image_with_a_texture_raises_no_false_alarm(stride: int) -> None:
    """A filter that makes the texture more prominent is no checkerboard."""
    noise = torch.randn(4, 1, 96, 96, generator=generator(), dtype=torch.float64)
    image = smooth() + 0.1 * noise + 0.2 * pattern(stride)
    sharpen = torch.tensor([[0.0, -1, 0], [-1, 4.2, -1], [0, -1, 0]], dtype=torch.float64)
    filtered = F.conv2d(image.transpose(0, 1).reshape(-1, 1, 96, 96), sharpen[None, None], padding=1)[..., 4:-4, 4:-4]
    filtered, scene = filtered[..., :64, :64], spectrum(image[..., 4:68, 4:68])
    found = spectrum(filtered)
    assert found.harmonic_share(stride) > 0.1
    assert excess(found, stride) > 6
    finding = found.harmonic_share(stride) - found.explained_share(stride, scene.lines(stride))
    assert finding < 0.2 * found.harmonic_share(stride)


@pytest.mark.parametrize("stride", [2, 4])
def test_a_pattern_beside_the_texture_of_another_period_is_still_found(stride: int) -> None:
    noise = 0.1 * torch.randn(1, 4, 96, 96, generator=generator(), dtype=torch.float64)
    image = smooth() + noise + 0.5 * pattern(3)
    found = spectrum(image + 0.2 * pattern(stride))
    expected = spectrum(image + noise).explained_share(stride)
    assert found.explained_share(stride, spectrum(image).lines(stride)) < 3 * expected
    assert found.harmonic_share(stride) > 5 * found.explained_share(stride, spectrum(image).lines(stride))
