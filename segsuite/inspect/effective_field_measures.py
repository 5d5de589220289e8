"""How large an effective field is, by its energy. No torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = (0.3173, 0.0455, 0.0027)
"""Of the peak's amplitude: what a Gaussian leaves outside of 1, 2 and 3 standard deviations. Luo et al. 2016, arXiv
1701.04128, section 3.1, count the pixels above the second."""
PAPER = 0.0455
ENERGY_SHARES = (0.5, 0.9)


@dataclass(frozen=True)
class FieldMeasures:
    """The size of an effective field.

    theoretical: side of the theoretical field in pixels, None when it is not known or larger than was looked at.
    areas: pixels whose amplitude is above each of THRESHOLDS of the peak. radii: of the disc around the centroid that
    holds each of ENERGY_SHARES. spread: standard deviations of the energy in pixels, down and right. cut: share of the
    theoretical field's area that lies beyond the border of the images, where nothing could be measured; None without
    `theoretical`.
    """

    theoretical: int | None
    areas: dict[float, int]
    radii: dict[float, float]
    spread: tuple[float, float]
    cut: float | None

    @property
    def side(self) -> float:
        """Side of a square with the area above the paper's threshold, in pixels: its "ERF size"."""
        return float(self.areas[PAPER] ** 0.5)

    def share(self, threshold: float = PAPER) -> float | None:
        """The area above a threshold by the theoretical field's; None when that is not known."""
        return None if self.theoretical is None else self.areas[threshold] / self.theoretical**2

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "theoretical_side": self.theoretical,
            "effective_side": self.side,
            "areas": {f"{threshold:g}": area for threshold, area in self.areas.items()},
            "shares": {f"{threshold:g}": self.share(threshold) for threshold in self.areas},
            "radii": {f"{share:g}": radius for share, radius in self.radii.items()},
            "spread": list(self.spread),
            "cut": self.cut,
        }


def field_measures(
    energy_HW: NDArray[np.float64], theoretical: int | None = None, centre: tuple[int, int] | None = None
) -> FieldMeasures:
    """Of an energy (H, W) with at least one pixel above 0, whose output lies at `centre` (default: the middle)."""
    amplitude_HW = np.sqrt(energy_HW / energy_HW.max())
    rows, columns = (energy_HW.sum(axis=1 - axis) / energy_HW.sum() for axis in (0, 1))
    centroid, spread = [], []
    for marginal in (rows, columns):
        places = np.arange(len(marginal))
        mean = float((marginal * places).sum())
        centroid.append(mean)
        spread.append(max(float((marginal * (places - mean) ** 2).sum()), 0.0) ** 0.5)
    areas = {threshold: int((amplitude_HW > threshold).sum()) for threshold in THRESHOLDS}
    radii = {share: energy_radius(energy_HW, share, (centroid[0], centroid[1])) for share in ENERGY_SHARES}
    height, width = energy_HW.shape
    return FieldMeasures(
        theoretical,
        areas,
        radii,
        (spread[0], spread[1]),
        None if theoretical is None else _cut(theoretical, (height, width), centre or (height // 2, width // 2)),
    )


def energy_radius(energy_HW: NDArray[np.float64], share: float, centroid: tuple[float, float]) -> float:
    """Radius in pixels of the smallest disc around `centroid` (row, column) that holds `share` of the energy; pixels
    count with their midpoints, and an area of n pixels has the radius sqrt(n / pi)."""
    down, right = (np.arange(size) - middle for size, middle in zip(energy_HW.shape, centroid, strict=True))
    distances = (down[:, None] ** 2 + right[None] ** 2).ravel()
    order = np.argsort(distances, kind="stable")
    held = np.cumsum(energy_HW.ravel()[order])
    pixels = int(np.searchsorted(held, share * held[-1])) + 1
    return float((pixels / np.pi) ** 0.5)


def _cut(side: int, size: tuple[int, int], centre: tuple[int, int]) -> float:
    inside = 1.0
    for length, middle in zip(size, centre, strict=True):
        low, high = middle - side // 2, middle + (side + 1) // 2
        inside *= (min(high, length) - max(low, 0)) / side
    return 1 - inside
