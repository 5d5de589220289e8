"""Arrays as pictures for a page: fields, evidence over a photo, projections. No torch."""

import base64

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.image_io import jpeg, label_png
from segsuite.report.style import PICTURE_SCALES

FLOOR_DB = -50.0
Floats = NDArray[np.floating]
# Dark to light, as in the report's spectra in a dark theme: a field's picture is the same in both.
STOPS = [tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5)) for colour in PICTURE_SCALES["power"]["dark"]]
HOT = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], dtype=float)
"""Viridis (Smith and van der Walt 2015) at five places."""


def field_picture(amplitude_HW: Floats) -> str:
    """The amplitude in decibels of its peak, FLOOR_DB the darkest, as a data URI."""
    decibels = 20 * np.log10(np.maximum(amplitude_HW / amplitude_HW.max(), 10 ** (FLOOR_DB / 20)))
    shades = np.round(255 * (1 - decibels / FLOOR_DB)).astype(np.uint8)
    colours = _ramp(np.array(STOPS, dtype=float), np.arange(256) / 255)
    palette = [(int(red), int(green), int(blue)) for red, green, blue in colours]
    return data_uri("png", label_png(shades, palette))


def evidence_picture(photo_HW3: NDArray[np.generic], evidence_HW: Floats) -> str:
    """Evidence by its largest value, coloured, over the grey photo."""
    share = evidence_HW / max(float(evidence_HW.max()), 1e-30)
    grey = _unit(photo_HW3).mean(axis=2, keepdims=True)
    mixed = 0.45 * grey + 0.55 * _ramp(HOT, share) / 255
    return data_uri("jpeg", jpeg(mixed.clip(0, 1).astype(np.float32)))


def projection_picture(pixels_HW3: Floats) -> str:
    """A gradient (H, W, 3) as colours: grey is 0, the 99.5th percentile of its size full contrast."""
    largest = max(float(np.quantile(np.abs(pixels_HW3), 0.995)), 1e-30)
    return data_uri("jpeg", jpeg((0.5 + 0.5 * pixels_HW3 / largest).clip(0, 1).astype(np.float32)))


def photo_picture(photo_HW3: NDArray[np.generic]) -> str:
    """The photo, uint8 or float in 0..1."""
    return data_uri("jpeg", jpeg(_unit(photo_HW3).astype(np.float32)))


def data_uri(kind: str, content: bytes) -> str:
    """An image of `kind` (png, jpeg) that a page holds itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _unit(photo_HW3: NDArray[np.generic]) -> Floats:
    values = photo_HW3.astype(np.float64)
    return values / 255 if photo_HW3.dtype == np.uint8 else values


def _ramp(colours_K3: Floats, places: Floats) -> Floats:
    """Colours in between, for places in 0..1."""
    stops = np.linspace(0, 1, len(colours_K3))
    return np.stack([np.interp(places, stops, colours_K3[:, channel]) for channel in range(3)], axis=-1)
