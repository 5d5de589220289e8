"""The measures of maps (logits, probabilities, features, gradients): harmonics and phases, with their controls."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from segsuite.checkerboard import phases
from segsuite.checkerboard.phases import Ratio
from segsuite.checkerboard.spectrum import LEAST_SPACING, Spectrum, decibels, power_spectrum
from segsuite.checkerboard.textures import Lines

MARGIN_PIXELS = 16
"""Pixels of the image that are left out at each side, where zero padding is seen most."""

Row = dict[str, Any]


def row(place: str, stride: int | None, measure: str, value: float | None, control: float | None) -> Row:
    """One figure: `control` is what `value` would be without an artefact."""
    return {"place": place, "stride": stride, "measure": measure, "value": value, "control": control}


def cut(maps_NCHW: Tensor, stride: int, periods: Sequence[int]) -> Tensor:
    """Maps of `stride` without the margin (of a small map, an eighth of it), H and W multiples of the largest of
    `periods`, in pixels of the map, that fits often enough to be measured."""
    height, width = maps_NCHW.shape[-2:]
    margin = min(-(-MARGIN_PIXELS // stride), height // 8, width // 8)
    rows, columns = height - 2 * margin, width - 2 * margin
    whole = max((period for period in periods if min(rows, columns) // period >= LEAST_SPACING), default=1)
    rows, columns = rows // whole * whole, columns // whole * whole
    return maps_NCHW[..., margin : margin + rows, margin : margin + columns]


class MapMeasures:
    """Sums over maps of one size, for several periods in pixels of the map.

    A period s has a control of its own, the lattice of period s + 1, on which no operator leaves a trace: what the
    phases' differences are from the content of the maps alone.
    """

    def __init__(self, periods: Sequence[int]) -> None:
        self.periods = tuple(periods)
        self._power: Tensor | None = None
        self._static: dict[int, Ratio] = defaultdict(Ratio)
        self._tiles: dict[int, Ratio] = defaultdict(Ratio)
        self._energy: dict[int, Tensor | float] = defaultdict(float)
        self.size = (0, 0)

    def add(self, maps_NCHW: Tensor, energy: bool = False) -> None:
        """Adds maps that `cut` has cut. `energy`: they are energies, whose means over phases are compared as well."""
        self.size = height, width = maps_NCHW.shape[-2], maps_NCHW.shape[-1]
        power = power_spectrum(maps_NCHW) * len(maps_NCHW)
        self._power = power if self._power is None else self._power + power
        variance = float(maps_NCHW.var(dim=(-2, -1), correction=0).sum())
        for period in self.periods:
            if min(height, width) // period < LEAST_SPACING:
                continue
            has_tiles = phases.measures_tiles(height, width, period + 1)  # no figure without its control
            for lattice in (period, period + 1):
                self._static[lattice].add(phases.static_phase_variance(maps_NCHW, lattice), variance)
                if has_tiles:
                    self._tiles[lattice].add(*phases.tile_phase_variance(maps_NCHW, lattice))
                if energy:
                    self._energy[lattice] = self._energy[lattice] + phases.phase_sums(maps_NCHW, lattice)

    @property
    def spectrum(self) -> Spectrum:
        """Of all maps added."""
        assert self._power is not None
        return Spectrum(self._power)

    def rows(self, place: str, stride: int, lines: Lines) -> Iterator[Row]:
        """All measures of maps of `stride`; `lines`: of what they were made of, cut alike (Scene)."""
        spectrum = self.spectrum
        for period in self.periods:
            if not spectrum.measures(period):
                continue
            at = period * stride
            share, background = spectrum.harmonic_share(period), spectrum.background_share(period)
            control = spectrum.explained_share(period, lines.get(period))
            yield row(place, at, "harmonic_share", share, control)
            excess = max(0.0, decibels(control, background))
            yield row(place, at, "harmonic_decibels", decibels(share, background), excess)
            explained = explained_part(share, background, control)
            static, other = self._static[period].value, self._static[period + 1].value
            floor = phases.static_noise_floor(*self.size, period)
            yield row(place, at, "static_phase_variance", static, with_lines(static, largest(floor, other), explained))
            if period in self._tiles:
                tiles, other = self._tiles[period].value, self._tiles[period + 1].value
                yield row(place, at, "tile_phase_variance", tiles, with_lines(tiles, other, explained))
            if isinstance(energy := self._energy[period], Tensor):
                other_energy = self._energy[period + 1]
                assert isinstance(other_energy, Tensor)
                values = phases.variation(energy), phases.variation(other_energy)
                yield row(place, at, "phase_energy_variation", *values)


def explained_part(share: float, background: float, control: float) -> float:
    """The part that lines of the scene explain, 0..1, of what harmonics have over the bins beside them; 1 where they
    have no more."""
    return min(1.0, (control - background) / (share - background)) if share > background else 1.0


def with_lines(value: float, other: float, explained: float) -> float:
    """What `value` would be without an artefact: that of the lattice of period s + 1, and the explained part of what it
    has above. (Of the value itself no part can be taken: debiased, it is below 0 for smooth maps, pattern or not.)"""
    return other + max(0.0, value - other) * explained


def largest(*values: float) -> float:
    """The largest that is a number; NaN when none is."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def centred(logits_NCHW: Tensor) -> Tensor:
    """Without the mean over classes, which no prediction depends on."""
    return logits_NCHW - logits_NCHW.mean(dim=1, keepdim=True)


def channels_evenly(maps_NCHW: Tensor, most: int) -> Tensor:
    """Up to `most` channels, evenly spaced."""
    count = maps_NCHW.shape[1]
    if count <= most:
        return maps_NCHW
    return maps_NCHW[:, torch.linspace(0, count - 1, most).round().long()]
