"""Power at the harmonics k/s of a stride, in maps of features, logits or gradients.

An operator of stride s leaves its trace at the frequencies (a/s, b/s), (a, b) != (0, 0), cycles per pixel; slowly
modulated, in the bins around them. A Hann window keeps the rest out: without it a ramp alone has 4e-3 of its power in
those bins, with it 1e-9.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

FLOOR = 1e-8
"""Share of the power below which decibels tell nothing: a map without noise would have any number of them."""
LEAST_SPACING = 6
"""Bins between harmonics that are needed to see the background between them."""
LEAST_LINE = 4.0
TINY = 1e-300


def decibels(share: float, reference: float) -> float:
    """10 log10 of the ratio, both taken as at least 1e-8; NaN when either is."""
    if math.isnan(share) or math.isnan(reference):
        return math.nan
    return 10 * math.log10(max(share, FLOOR) / max(reference, FLOOR))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """`power` (H, W): |DFT of the windowed maps|^2, mean over maps, frequency (0, 0) at index (0, 0)."""

    power_HW: Tensor

    @property
    def total(self) -> float:
        """Power of everything but the mean."""
        return float(self.power_HW.sum())

    def measures(self, stride: int) -> bool:
        """Whether the harmonics of `stride` fall on bins and lie far enough apart."""
        height, width = self.power_HW.shape
        return height % stride == width % stride == 0 and min(height, width) // stride >= LEAST_SPACING

    def harmonic_share(self, stride: int) -> float:
        """Share of the power in the boxes around the harmonics of `stride`, 0..1; NaN for a map that is constant.

        A box is 5 x 5 bins, 3 x 3 where harmonics are less than 11 bins apart.
        """
        return self._share(self._boxes(stride))

    def background_share(self, stride: int) -> float:
        """What `harmonic_share` would be if the boxes held no more than the bins beside them."""
        return self._share(self._beside(stride))

    def explained_share(self, stride: int, lines_ss: Tensor | None = None) -> float:
        """What `harmonic_share` would be without an artefact, in maps made of a scene (image, labels) with `lines`.

        A scene with a texture of period s has a line at a harmonic: many times the power of the bins beside it. Any
        filter with a smooth frequency response, however strong, hands on line and neighbours alike. So each box may
        hold what the bins beside it hold, times the line that the scene has there, and never more than it does hold:
        what one line could explain must not stand for a pattern at another harmonic.
        """
        beside = self._beside(stride)
        if lines_ss is None:
            return self._share(beside)
        return self._share(torch.minimum(beside * lines_ss, torch.maximum(self._boxes(stride), beside)))

    def lines(self, stride: int) -> Tensor:
        """(s, s): power at each harmonic over that of the bins beside it, where it is at least 4 times as much, else 1:
        below that, boxes of a few images differ by chance."""
        least = FLOOR * self.total / stride**2
        ratios = self._boxes(stride).clamp(min=least) / self._beside(stride).clamp(min=max(least, TINY))
        return torch.where(ratios >= LEAST_LINE, ratios, 1.0)

    def _beside(self, stride: int) -> Tensor:
        """(s, s): power of a box beside each harmonic.

        The mean of equal boxes at its sides, for a harmonic on an axis along that axis alone, where the power of
        straight edges lies; opposite sides are averaged geometrically, since spectra of images fall as a power.
        """
        vertical, horizontal = (
            (self._boxes(stride, dy, dx) * self._boxes(stride, -dy, -dx)).sqrt() for dy, dx in ((1, 0), (0, 1))
        )
        beside = (vertical + horizontal) / 2
        beside[0], beside[:, 0] = horizontal[0], vertical[:, 0]
        return beside

    def _share(self, power_ss: Tensor) -> float:
        """Share of the power of all entries but that of frequency (0, 0)."""
        return float(power_ss.sum() - power_ss[0, 0]) / self.total if self.total > 0 else math.nan

    def _boxes(self, stride: int, down: int = 0, right: int = 0) -> Tensor:
        """(s, s): power in the boxes around the frequencies (a/s, b/s), or around bins `down` and `right` of them."""
        height, width = self.power_HW.shape
        sums_HW, distance = (self._wide, 6) if min(height, width) // stride >= 11 else (self._narrow, 3)
        moved_HW = sums_HW.roll((-down * distance, -right * distance), dims=(0, 1))
        return moved_HW[:: height // stride, :: width // stride]

    @cached_property
    def _wide(self) -> Tensor:
        return box_sums(self.power_HW, 2)

    @cached_property
    def _narrow(self) -> Tensor:
        return box_sums(self.power_HW, 1)


def box_sums(map_HW: Tensor, half: int) -> Tensor:
    """(H, W): sum over the box of 2 half + 1 bins a side around each bin, the map continued periodically."""
    side = 2 * half + 1
    padded = F.pad(map_HW[None, None], (half,) * 4, mode="circular")
    sums: Tensor = F.avg_pool2d(padded, side, stride=1, divisor_override=1)[0, 0]
    return sums


def power_spectrum(maps_NCHW: Tensor, window: bool = True) -> Tensor:
    """(H, W), float64, on the CPU: |DFT|^2, mean over images and channels, of maps whose mean is removed.

    The window is Hann's, periodic; the mean is weighted by it, so that frequency (0, 0) holds nothing.
    """
    height, width = maps_NCHW.shape[-2:]
    make = torch.hann_window if window else torch.ones
    rows, columns = (make(n, dtype=maps_NCHW.dtype, device=maps_NCHW.device) for n in (height, width))
    weights_HW = rows[:, None] * columns
    mean_NC11 = (maps_NCHW * weights_HW).sum(dim=(-2, -1), keepdim=True) / weights_HW.sum()
    transform = torch.fft.rfft2((maps_NCHW - mean_NC11) * weights_HW)
    half_power = (transform.real.square() + transform.imag.square()).mean(dim=(0, 1)).double().cpu()
    # The other half is the mirror image: power at (-u, -v) is that at (u, v).
    mirrored = half_power[:, 1 : (width + 1) // 2].flip(1)[-torch.arange(height)]
    return torch.cat([half_power, mirrored], dim=1)
