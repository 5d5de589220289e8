"""What a pattern adds to a map is found with its share, on smooth maps and rough ones; what is not there is not."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segsuite.checkerboard.maps import MapMeasures, explained_part, with_lines
from segsuite.checkerboard.phases import TILE_CELLS

SIDE, STRIDES = 192, (2, 4, 8)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def content(kind: str) -> Tensor:
    """(6, 2, SIDE, SIDE): white noise, noise that bilinear interpolation has enlarged by 8, or 1/f noise."""
    noise = torch.randn(6, 2, SIDE, SIDE, generator=generator(3))
    if kind == "enlarged":
        return F.interpolate(noise[..., : SIDE // 8, : SIDE // 8], scale_factor=8.0, mode="bilinear")
    if kind == "pink":
        frequency = torch.fft.fftfreq(SIDE)
        falling = (frequency[:, None].square() + frequency.square()).sqrt().clamp(min=1 / SIDE)
        noise = torch.fft.ifft2(torch.fft.fft2(noise) / falling).real
    return noise / noise.std()


def pattern(stride: int) -> Tensor:
    """(SIDE, SIDE): mean 0, mean square 1, and of no shorter period."""
    cell = torch.randn(stride, stride, generator=generator(stride))
    cell -= cell.mean()
    return (cell / cell.square().mean().sqrt()).repeat(SIDE // stride, SIDE // stride)


def tile_variance(maps: Tensor, stride: int) -> float:
    """Mean variance in tiles of 4 x 4 cells without their planes, tile by tile."""
    side = TILE_CELLS * stride
    rows, columns = np.mgrid[:side, :side]
    design = np.stack([np.ones(side**2), rows.ravel(), columns.ravel()], axis=1)
    flat = maps.flatten(0, 1).double().numpy()
    tiles = flat.reshape(len(flat), SIDE // side, side, SIDE // side, side).swapaxes(2, 3).reshape(-1, side**2)
    fitted = design @ np.linalg.lstsq(design, tiles.T, rcond=None)[0]
    return float((tiles.T - fitted).var(axis=0).mean())


def finding(maps: Tensor, stride: int, measure: str) -> float:
    sums = MapMeasures((stride,))
    sums.add(maps)
    (row,) = (row for row in sums.rows("logits", 1, {}) if row["measure"] == measure)
    return float(row["value"] - row["control"])


@pytest.mark.parametrize("share", [0.02, 0.054, 0.2])
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("kind", ["white", "enlarged", "pink"])
def test_the_finding_in_tiles_is_the_share_of_the_pattern(kind: str, stride: int, share: float) -> None:
    clean = content(kind)
    amplitude = math.sqrt(share / (1 - share) * tile_variance(clean, stride))
    found = finding(clean + amplitude * pattern(stride), stride, "tile_phase_variance")
    assert found == pytest.approx(share, rel=0.15, abs=0.008)


def test_a_faint_board_on_a_smooth_map_is_found() -> None:
    """Its value is below 0: debiasing by the variance within phases takes off more than smooth content has."""
    place = torch.arange(SIDE)
    board = 1 - 2 * ((place[:, None] + place) % 2)
    assert finding(content("enlarged") + 0.03 * board, 2, "tile_phase_variance") > 0.01


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("kind", ["white", "enlarged", "pink"])
def test_without_a_pattern_nothing_is_found(kind: str, stride: int) -> None:
    assert abs(finding(content(kind), stride, "tile_phase_variance")) < 0.01
    assert finding(content(kind), stride, "static_phase_variance") < 1e-3


@pytest.mark.parametrize("stride", STRIDES)
def test_the_finding_of_the_whole_map_is_the_share_of_the_pattern(stride: int) -> None:
    """On white noise the bins beside the harmonics hold much: at stride 8 as much as the pattern."""
    found = finding(content("white") + 0.25 * pattern(stride), stride, "static_phase_variance")
    assert found == pytest.approx(0.0625 / 1.0625, rel=0.15)


def test_what_lines_of_the_scene_explain_is_a_part_of_what_lies_over_the_background() -> None:
    assert explained_part(share=0.3, background=0.1, control=0.2) == pytest.approx(0.5)
    assert explained_part(share=0.3, background=0.1, control=0.1) == 0
    assert explained_part(share=0.3, background=0.1, control=0.4) == 1
    assert explained_part(share=0.1, background=0.1, control=0.1) == 1
    assert explained_part(share=math.nan, background=math.nan, control=math.nan) == 1


def test_a_control_lies_between_the_other_lattice_and_the_value() -> None:
    assert with_lines(-0.02, -0.05, explained=0.0) == -0.05
    assert with_lines(-0.02, -0.05, explained=0.5) == pytest.approx(-0.035)
    assert with_lines(-0.02, -0.05, explained=1.0) == pytest.approx(-0.02)
    assert with_lines(-0.06, -0.05, explained=0.0) == -0.05


def test_tiles_are_measured_where_those_of_their_control_are() -> None:
    """Of 32 x 32 pixels there are four tiles of stride 4, and one of stride 5."""
    sums = MapMeasures((2, 4))
    sums.add(torch.randn(1, 1, 32, 32, generator=generator(0)))
    found = {(row["stride"], row["measure"]) for row in sums.rows("logits", 1, {})}
    assert (2, "tile_phase_variance") in found
    assert (4, "static_phase_variance") in found
    assert (4, "tile_phase_variance") not in found
