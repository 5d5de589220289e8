"""Phase variances against plain loops, Parseval's theorem and white noise."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from segsuite.checkerboard.phases import (
    TILE_CELLS,
    measures_tiles,
    phase_means,
    phase_sums,
    static_noise_floor,
    static_phase_variance,
    tile_phase_variance,
    variation,
)

STRIDES = (2, 3, 4)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(size: int = 64) -> Tensor:
    """Whole periods, so that nothing of it falls on a harmonic."""
    angle = 2 * math.pi * torch.arange(size, dtype=torch.float64) / size
    return (torch.sin(2 * angle[:, None]) * torch.cos(3 * angle))[None, None]


def board(size: int = 64) -> Tensor:
    place = torch.arange(size)
    return 1.0 - 2.0 * ((place[:, None] + place) % 2).double()


def by_loops(maps: Tensor, stride: int) -> tuple[float, float]:
    """Tile by tile: least squares for the plane, phases gathered one by one."""
    side, between, variance = TILE_CELLS * stride, 0.0, 0.0
    rows, columns = np.mgrid[:side, :side]
    design = np.stack([np.ones(side**2), rows.ravel(), columns.ravel()], axis=1)
    for plane in maps.flatten(0, 1).numpy():
        for top in range(0, plane.shape[0] - side + 1, side):
            for left in range(0, plane.shape[1] - side + 1, side):
                values = plane[top : top + side, left : left + side].ravel()
                rest = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
                tile = rest.reshape(side, side)
                groups = [tile[i::stride, j::stride].ravel() for i in range(stride) for j in range(stride)]
                means = np.array([group.mean() for group in groups])
                within = np.mean([group.var(ddof=1) for group in groups])
                between += means.var() - (1 - 1 / stride**2) * within / TILE_CELLS**2
                variance += tile.var()
    return between, variance


def ratio(sums: tuple[float, float]) -> float:
    return sums[0] / sums[1]


@pytest.mark.parametrize("stride", STRIDES)
def test_phase_means_are_those_of_slices(stride: int) -> None:
    maps = noise(2, 3, 4 * stride + 1, 5 * stride)
    whole = maps[..., : 4 * stride, :]
    for i in range(stride):
        for j in range(stride):
            expected = whole[..., i::stride, j::stride].mean(dim=(-2, -1))
            torch.testing.assert_close(phase_means(maps, stride)[..., i, j], expected)


@pytest.mark.parametrize("stride", STRIDES)
def test_static_variance_is_the_power_at_the_harmonics(stride: int) -> None:
    """Parseval: the variance over the phases is the sum of |Y[k H / s]|^2 / (H W)^2 over k != 0."""
    size = 12 * stride
    maps = noise(1, 2, size, size)
    power = np.abs(np.fft.fft2(maps.numpy())) ** 2 / size**4
    at_harmonics = power[..., :: size // stride, :: size // stride].sum() - power[..., 0, 0].sum()
    assert static_phase_variance(maps, stride) == pytest.approx(at_harmonics, rel=1e-12)


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_static_variance_of_white_noise_is_its_floor(stride: int) -> None:
    maps = noise(400, 1, 64, 64)
    floor = static_noise_floor(64, 64, stride)
    # over 400 maps of stride^2 - 1 degrees of freedom each: a standard error of 4 % for stride 2
    assert static_phase_variance(maps, stride) / 400 == pytest.approx(floor, rel=0.12)


@pytest.mark.parametrize("amplitude", [0.01, 0.1, 0.5])
def test_static_share_of_an_added_board_is_its_share_of_the_variance(amplitude: float) -> None:
    maps = smooth() + amplitude * board()
    share = static_phase_variance(maps, 2) / float(maps.var(correction=0))
    assert share == pytest.approx(amplitude**2 / (0.25 + amplitude**2), rel=1e-9)


@pytest.mark.parametrize("stride", STRIDES)
def test_tiles_are_those_of_plain_loops(stride: int) -> None:
    maps = 3 + smooth() + 0.3 * noise(2, 2, 64, 64) + torch.arange(64) / 20
    np.testing.assert_allclose(tile_phase_variance(maps, stride), by_loops(maps, stride), rtol=1e-9)


def test_tiles_in_fp32_are_those_in_fp64() -> None:
    maps = 100 + smooth() + 0.1 * noise(1, 4, 64, 64)
    assert ratio(tile_phase_variance(maps.float(), 2)) == pytest.approx(ratio(tile_phase_variance(maps, 2)), abs=1e-4)


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_tiles_of_white_noise_have_no_variance_between_phases(stride: int) -> None:
    assert ratio(tile_phase_variance(noise(200, 1, 64, 64), stride)) == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize("amplitude", [0.1, 0.5])
def test_tiles_recover_a_board_of_known_amplitude(amplitude: float) -> None:
    maps = noise(8, 4, 64, 64) + amplitude * board()
    expected = amplitude**2 / (1 + amplitude**2)
    # the noise left in tiles of 64 pixels has lost 3 of its degrees of freedom to the plane
    assert ratio(tile_phase_variance(maps, 2)) == pytest.approx(expected, rel=0.1 if amplitude < 0.2 else 0.05)


def test_a_plane_has_nothing_in_tiles() -> None:
    place = torch.arange(64, dtype=torch.float64)
    between, variance = tile_phase_variance((place[:, None] + 0.5 * place)[None, None], 2)
    assert abs(between) < 1e-12
    assert variance < 1e-12


def test_a_pattern_whose_sign_changes_is_seen_by_tiles_and_not_by_the_whole_map() -> None:
    maps = smooth() * (1 + 0.5 * board()) + 0.05 * noise(1, 1, 64, 64)
    static = static_phase_variance(maps, 2) / float(maps.var(correction=0))
    assert static < 2 * static_noise_floor(64, 64, 2)
    assert ratio(tile_phase_variance(maps, 2)) > 0.3


def test_tiles_need_enough_of_them() -> None:
    assert measures_tiles(16, 16, 2)
    assert not measures_tiles(15, 24, 2)
    assert not measures_tiles(16, 16, 4)


def test_phase_sums_and_their_variation() -> None:
    energy = torch.tensor([[1.0, 2.0], [2.0, 4.0]]).repeat(3, 5)[None, None]
    torch.testing.assert_close(phase_sums(energy, 2), 15 * torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=torch.float64))
    assert variation(phase_sums(energy, 2)) == pytest.approx(math.sqrt((1 + 1 / 9) ** 2 - 1))
    assert math.isnan(variation(torch.zeros(2, 2)))
