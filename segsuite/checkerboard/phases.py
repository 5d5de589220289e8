"""Differences between the s x s phases of a lattice, in maps of features, logits or gradients.

A map of an operator of stride s is made of cells of s x s pixels; pixel (i, j) has phase (i mod s, j mod s). Without a
checkerboard all phases are alike on average. Every measure is a ratio of sums, so that images are added up one by one.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

TILE_CELLS = 4
"""Cells along a side of a tile."""
LEAST_TILES = 4


@dataclass
class Ratio:
    """A ratio of two sums; NaN while the denominator is 0."""

    numerator: float = 0.0
    denominator: float = 0.0

    def add(self, numerator: float, denominator: float) -> None:
        """Adds to both."""
        self.numerator += numerator
        self.denominator += denominator

    @property
    def value(self) -> float:
        """The ratio."""
        return self.numerator / self.denominator if self.denominator > 0 else math.nan


def phase_means(maps_NCHW: Tensor, stride: int) -> Tensor:
    """(N, C, s, s): mean of each phase. H and W are cut to whole cells, at the bottom and right."""
    *NC, height, width = maps_NCHW.shape
    rows, columns = height // stride, width // stride
    cells = maps_NCHW[..., : rows * stride, : columns * stride].reshape(*NC, rows, stride, columns, stride)
    return cells.mean(dim=(-4, -2))


def static_phase_variance(maps_NCHW: Tensor, stride: int) -> float:
    """Variance between the phase means of a map, sum over maps: of a pattern that is the same in all cells.

    A pattern whose sign changes from place to place cancels out. By Parseval it is the power in the bins at the
    harmonics alone, without a window.
    """
    return float(phase_means(maps_NCHW, stride).var(dim=(-2, -1), correction=0).sum())


def static_noise_floor(height: int, width: int, stride: int) -> float:
    """Static phase variance of white noise of variance 1: (1 - 1/s^2) s^2 / (H W)."""
    return (stride**2 - 1) / (height * width)


def measures_tiles(height: int, width: int, stride: int) -> bool:
    """Whether a map holds enough tiles of 4 x 4 cells."""
    side = TILE_CELLS * stride
    return (height // side) * (width // side) >= LEAST_TILES


def tile_phase_variance(maps_NCHW: Tensor, stride: int) -> tuple[float, float]:
    """Variance between the phase means within tiles of 4 x 4 cells, and the tiles' variance; sums over tiles.

    From each tile its least-squares plane is removed. The first is debiased: phase means of pixels that differ
    independently also vary, by (1 - 1/s^2) times the variance within a phase over the 16 cells. It catches patterns
    whose strength or sign changes over the image, and is about 0 (also below) without one.
    """
    side = TILE_CELLS * stride
    height, width = maps_NCHW.shape[-2] // side * side, maps_NCHW.shape[-1] // side * side
    maps = maps_NCHW[..., :height, :width].flatten(0, 1)
    maps = maps - maps.mean(dim=(-2, -1), keepdim=True)  # sums of squares are subtracted below
    project = _projection(stride).to(maps)
    squares = maps.square().reshape(len(maps), height // side, side, width // side, side).sum(dim=(2, 4))
    down = project @ maps.reshape(len(maps), height // side, side, width)
    both = down.reshape(len(maps), height // side, stride + 1, width // side, side) @ project.T
    # per tile: phase means, and the coefficients of the plane's slopes in an orthonormal basis
    tiles = both.permute(0, 1, 3, 2, 4).double()
    means, cells = tiles[..., :stride, :stride], TILE_CELLS
    slope_down = tiles[..., stride, :stride].sum(-1) * cells / math.sqrt(side)
    slope_right = tiles[..., :stride, stride].sum(-1) * cells / math.sqrt(side)
    mean = means.mean(dim=(-2, -1))
    ramp = (project[:stride] @ project[stride]).double() / math.sqrt(side)
    means = means - mean[..., None, None] - slope_down[..., None, None] * ramp[:, None]
    means = means - slope_right[..., None, None] * ramp
    total = (squares.double() - side**2 * mean.square() - slope_down.square() - slope_right.square()).clamp(min=0)
    between = means.square().sum(dim=(-2, -1))
    within = (total - cells**2 * between).clamp(min=0) / (stride**2 * (cells**2 - 1))
    debiased = between / stride**2 - (1 - 1 / stride**2) * within / cells**2
    return float(debiased.sum()), float(total.sum() / side**2)


@cache
def _projection(stride: int) -> Tensor:
    """(s + 1, 4 s), float64: means of the phases of a tile's row, and its normalised slope."""
    side = TILE_CELLS * stride
    place = torch.arange(side)
    phases = (place % stride == torch.arange(stride)[:, None]).double() / TILE_CELLS
    slope = place.double() - (side - 1) / 2
    return torch.cat([phases, slope[None] / slope.norm()])


def phase_sums(maps_NCHW: Tensor, stride: int) -> Tensor:
    """(s, s), float64, on the CPU: sum of all maps over the cells, for each phase."""
    cells = (maps_NCHW.shape[-2] // stride) * (maps_NCHW.shape[-1] // stride)
    return (phase_means(maps_NCHW, stride) * cells).sum(dim=(0, 1)).double().cpu()


def variation(sums_ss: Tensor) -> float:
    """Standard deviation of the phases over their mean; NaN when all are 0."""
    return float(sums_ss.std(correction=0) / sums_ss.mean()) if sums_ss.any() else math.nan
