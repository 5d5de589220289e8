"""How a scene of the dataset `shapes` is made: objects in continuous coordinates, painted at any resolution.

Coordinates: x to the right, y down, image height = 1. Rendering evaluates the signed distance of each object
at the pixel centres, so a scene is exact at any resolution and no label is ever resized.
"""

import colorsys
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.base import VOID, Label
from segsuite.datasets.rare_objects import Place, mean_square, objects_in, scattered

RENDERER_VERSION = 1
"""Part of the dataset's fingerprint: raise it with every change of a pixel."""

PX = 1 / 96
"""One pixel at the default height, in units of the image height."""
VOID_BAND = PX

MARKER_INRADIUS, SPOT_RADIUS = (2.2, 3.4), (2.2, 3.2)
"""Ranges in pixels at the default height."""

BACKGROUND, GROUND, BLOB, BUILDING, RING, WIRE, MARKER, SPOT = range(8)

Array = NDArray[np.float64]
Field = Callable[[Array, Array], Array]
"""Of x (1, W) and y (H, 1): distances (H, W), or colours (3, H, W) where size 1 stands for any size."""
Box = tuple[float, float, float, float]


def render_scene(
    scene_seed: int, split: int, index: int, size: tuple[int, int], rare_share: float | None = None
) -> tuple[NDArray[np.uint8], Label]:
    """Image (H, W, 3) uint8 and label (H, W) uint8 of one scene at `size` (H, W).

    With a `rare_share`, markers and spots have half of that share of the split's pixels each, and scenes that differ in
    it differ in these objects alone.
    """
    # Geometry and sensor noise have a stream each: the number of pixels must not move an object.
    geometry, noise, rare = (
        np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence([scene_seed, split, index]).spawn(3)
    )
    canvas = _Canvas(size)
    _paint_background(canvas, geometry)
    if geometry.random() < 0.85:
        _paint_ground(canvas, geometry)
    painters = ((_paint_building, 1.3), (_paint_blob, 1.7), (_paint_ring, 1.2), (_paint_wire, 1.1))
    rare_painters = ((_paint_marker, 1.9), (_paint_spot, 2.1)) if rare_share is None else ()
    for paint, mean in (*painters, *rare_painters):
        for _ in range(int(mean + geometry.uniform(-0.8, 0.8) + 0.5)):
            paint(canvas, geometry)
    if rare_share is not None:
        offsets = np.random.default_rng((scene_seed, split)).random(2)
        _paint_rare(canvas, rare, rare_share, offsets, index)
    return canvas.exposed(geometry, noise), canvas.label


@lru_cache(maxsize=8)
def _pixel_centres(size: tuple[int, int]) -> tuple[Array, Array]:
    """x (1, W) and y (H, 1) of the pixel centres; the image height is 1."""
    height, width = size
    return ((np.arange(width) + 0.5) / height)[None], ((np.arange(height) + 0.5) / height)[:, None]


class _Canvas:
    """A picture (3, H, W) in 0..1 and its label, onto which objects are painted one over the other."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.height, self.width = size
        self.aspect = self.width / self.height
        self.x, self.y = _pixel_centres(size)
        self.image = np.zeros((3, *size), dtype=np.float32)
        self.label = np.zeros(size, dtype=np.uint8)

    def paint(self, class_id: int, box: Box, distance: Field, colour: Field) -> None:
        """Paints the object whose `distance` is negative inside; `box` (x0, y0, x1, y1) holds it."""
        margin = VOID_BAND + 1 / self.height
        x0, y0, x1, y1 = (round(edge * self.height) for edge in np.add(box, (-margin, -margin, margin, margin)))
        rows, cols = slice(max(0, y0 - 1), max(0, y1 + 1)), slice(max(0, x0 - 1), max(0, x1 + 1))
        x, y = self.x[:, cols], self.y[rows]
        if not x.size or not y.size:
            return
        d = distance(x, y)
        label, image = self.label[rows, cols], self.image[:, rows, cols]
        label[d < VOID_BAND] = VOID
        label[d <= 0] = class_id
        # The camera mixes colours over one pixel; such pixels lie in or beside the void band.
        coverage = np.clip(0.5 - d * self.height, 0.0, 1.0).astype(np.float32)
        image += coverage * (colour(x, y) - image)

    def exposed(self, rng: np.random.Generator, noise: np.random.Generator) -> NDArray[np.uint8]:
        """The picture under this scene's light, with the noise of a sensor, as uint8."""
        angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.25)
        light = 1 + slope * (np.cos(angle) * (self.x - self.aspect / 2) + np.sin(angle) * (self.y - 0.5))
        tint = rng.uniform(0.75, 1.15) * rng.uniform(0.92, 1.08, (3, 1, 1))
        seen = noise.standard_normal(self.image.shape, dtype=np.float32)
        seen *= 255 * rng.uniform(0.02, 0.05)
        seen += self.image * light.astype(np.float32) * (255 * tint).astype(np.float32) + np.float32(0.5)
        return np.ascontiguousarray(seen.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def _colour(
    rng: np.random.Generator,
    hue: tuple[float, float],
    saturation: tuple[float, float],
    value: tuple[float, float],
) -> Array:
    """A random RGB colour (3, 1, 1) in 0..1 from ranges of hue, saturation and value."""
    rgb = colorsys.hsv_to_rgb(rng.uniform(*hue) % 1.0, rng.uniform(*saturation), rng.uniform(*value))
    return np.array(rgb).reshape(3, 1, 1)


def _waves(
    rng: np.random.Generator, first: Array, second: Array, period: tuple[float, float], square: bool = False
) -> Field:
    """Stripes between two colours at a random angle and period (image heights)."""
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    frequency = 2 * np.pi / rng.uniform(*period)
    a, b, span = frequency * np.cos(angle), frequency * np.sin(angle), second - first

    def field(x: Array, y: Array) -> Array:
        t = np.sin(a * x + b * y + phase)
        t = (t > 0) if square else 0.5 + 0.5 * t
        stripes: Array = first + t.astype(np.float32) * span
        return stripes

    return field


def _turned(x: Array, y: Array, cx: float, cy: float, angle: float) -> tuple[Array, Array]:
    """Coordinates in the frame of an object at (cx, cy) that is turned by `angle`."""
    c, s = np.cos(angle), np.sin(angle)
    return c * (x - cx) + s * (y - cy), c * (y - cy) - s * (x - cx)


def _place(canvas: _Canvas, rng: np.random.Generator, top: float = 0.05, bottom: float = 0.95) -> tuple[float, float]:
    return rng.uniform(0.05, canvas.aspect - 0.05), rng.uniform(top, bottom)


def _paint_background(canvas: _Canvas, rng: np.random.Generator) -> None:
    """A haze of two colours, soft waves, and glows in any hue: colours of objects without their shape."""
    upper, lower = (_colour(rng, (0.45, 0.75), (0.1, 0.5), (0.4, 0.85)) for _ in range(2))
    x, y = canvas.x, canvas.y
    canvas.image += upper + y * (lower - upper)
    canvas.image += _waves(rng, np.array(-0.06), np.array(0.06), (0.15, 0.5))(x, y)
    for _ in range(3):
        cx, cy = _place(canvas, rng)
        radius, colour = rng.uniform(0.08, 0.25), _colour(rng, (0.0, 1.0), (0.4, 0.9), (0.4, 0.9))
        glow = rng.uniform(0.3, 0.7) * np.exp(-(((x - cx) / radius) ** 2)) * np.exp(-(((y - cy) / radius) ** 2))
        canvas.image += glow.astype(np.float32) * (colour.astype(np.float32) - canvas.image)


def _paint_ground(canvas: _Canvas, rng: np.random.Generator) -> None:
    """All below a wavy horizon, rippled."""
    level, tilt, height = rng.uniform(0.62, 0.9), rng.uniform(-0.1, 0.1), rng.uniform(0.0, 0.04)
    frequency, phase = rng.uniform(3, 9), rng.uniform(0, 2 * np.pi)
    dark = _colour(rng, (0.06, 0.4), (0.25, 0.6), (0.25, 0.5))
    colour = _waves(rng, dark, dark + rng.uniform(0.1, 0.25), (0.03, 0.08))

    def distance(x: Array, y: Array) -> Array:
        horizon = level + tilt * x + height * np.sin(frequency * x + phase)
        slope = tilt + height * frequency * np.cos(frequency * x + phase)
        return (horizon - y) / np.sqrt(1 + slope**2)

    canvas.paint(GROUND, (0, level - 0.2, canvas.aspect, 1.0), distance, colour)


def _paint_building(canvas: _Canvas, rng: np.random.Generator) -> None:
    """A slightly turned box with a chequer of windows."""
    cx, cy = _place(canvas, rng, 0.3, 0.85)
    a, b, angle = rng.uniform(0.07, 0.16), rng.uniform(0.1, 0.24), rng.normal(0, 0.12)
    wall = _colour(rng, (0.0, 1.0), (0.05, 0.4), (0.4, 0.8))
    window, cell = wall * rng.uniform(0.3, 0.65), rng.uniform(0.035, 0.06)

    def distance(x: Array, y: Array) -> Array:
        u, v = _turned(x, y, cx, cy, angle)
        u, v = np.abs(u) - a, np.abs(v) - b
        return np.hypot(np.maximum(u, 0), np.maximum(v, 0)) + np.minimum(np.maximum(u, v), 0)

    def colour(x: Array, y: Array) -> Array:
        u, v = _turned(x, y, cx, cy, angle)
        dark = (np.floor(u / cell) + np.floor(v / cell)) % 2 > 0
        return np.where(dark, window, wall)

    reach = float(np.hypot(a, b))
    canvas.paint(BUILDING, (cx - reach, cy - reach, cx + reach, cy + reach), distance, colour)


def _paint_blob(canvas: _Canvas, rng: np.random.Generator) -> None:
    """A round body with a wavy outline and stripes."""
    cx, cy = _place(canvas, rng)
    radius, lobes, phase = rng.uniform(0.09, 0.19), int(rng.integers(2, 6)), rng.uniform(0, 2 * np.pi)
    wave = rng.uniform(0.05, 0.35) / lobes
    body = _colour(rng, (0.5, 1.3), (0.45, 0.95), (0.45, 0.95))
    colour = _waves(rng, body, body * rng.uniform(0.4, 0.7), (0.05, 0.1), square=True)

    def distance(x: Array, y: Array) -> Array:
        theta = lobes * np.arctan2(y - cy, x - cx) + phase
        outline = radius * (1 + wave * np.cos(theta))
        # First order: dividing by the gradient's length makes the band equally wide all round.
        return (np.hypot(x - cx, y - cy) - outline) / np.sqrt(1 + (wave * lobes * np.sin(theta)) ** 2)

    reach = radius * (1 + wave) + PX
    canvas.paint(BLOB, (cx - reach, cy - reach, cx + reach, cy + reach), distance, colour)


def _paint_ring(canvas: _Canvas, rng: np.random.Generator) -> None:
    """An annulus, smoothly shaded; its colours overlap with those of blobs, glows and the background."""
    cx, cy = _place(canvas, rng)
    radius, half, turn = rng.uniform(0.08, 0.14), rng.uniform(0.022, 0.04), rng.uniform(0, 2 * np.pi)
    body = _colour(rng, (0.1, 0.75), (0.5, 0.95), (0.55, 0.95))

    def colour(x: Array, y: Array) -> Array:
        shade = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        shaded: Array = body * (0.8 + 2.0 * shade)
        return shaded

    reach = radius + half
    canvas.paint(
        RING,
        (cx - reach, cy - reach, cx + reach, cy + reach),
        lambda x, y: np.abs(np.hypot(x - cx, y - cy) - radius) - half,
        colour,
    )


def _paint_wire(canvas: _Canvas, rng: np.random.Generator) -> None:
    """A dark sagging line across the picture, 1 to 3 pixels wide at the default size."""
    start, rise, sag = rng.uniform(0.05, 0.7), rng.uniform(-0.35, 0.35), rng.uniform(0.0, 0.4)
    half = rng.uniform(0.5, 1.5) * PX
    tone = _colour(rng, (0.0, 1.0), (0.0, 0.3), (0.02, 0.2))
    width = canvas.aspect

    def distance(x: Array, y: Array) -> Array:
        line = start + x * (rise + sag * (width - x)) / width
        return np.abs(y - line) / np.sqrt(1 + ((rise + sag * (width - 2 * x)) / width) ** 2) - half

    low, high = min(start, start + rise) - 2 * half, max(start, start + rise) + sag * width / 4 + 2 * half
    canvas.paint(WIRE, (0, low, width, high), distance, lambda x, y: tone)


def _paint_rare(canvas: _Canvas, rng: np.random.Generator, share: float, offsets: Array, index: int) -> None:
    """As many markers and spots as have half of `share` of the pixels each; no other object hides a part of them."""
    areas = (3 * np.sqrt(3) * mean_square(*MARKER_INRADIUS), np.pi * mean_square(*SPOT_RADIUS))
    means = [share / 2 * canvas.aspect / (area * PX**2) for area in areas]
    counts = [objects_in(mean, offset, index) for mean, offset in zip(means, offsets, strict=True)]
    reaches = (2 * MARKER_INRADIUS[1] * PX, SPOT_RADIUS[1] * PX)
    markers, spots = scattered(rng, canvas.aspect, counts, reaches, VOID_BAND)
    for centre in markers:
        _paint_marker(canvas, rng, centre)
    for centre in spots:
        _paint_spot(canvas, rng, centre)


def _paint_marker(canvas: _Canvas, rng: np.random.Generator, centre: Place | None = None) -> None:
    """A small bright triangle."""
    cx, cy = centre or _place(canvas, rng)
    inner, angle = rng.uniform(*MARKER_INRADIUS) * PX, rng.uniform(0, 2 * np.pi)
    sides = [(np.cos(angle + k), np.sin(angle + k)) for k in (0.0, 2 * np.pi / 3, 4 * np.pi / 3)]
    body = _colour(rng, (0.1, 0.19), (0.7, 1.0), (0.85, 1.0))

    def distance(x: Array, y: Array) -> Array:
        first, second, third = ((x - cx) * c + (y - cy) * s - inner for c, s in sides)
        farthest: Array = np.maximum(np.maximum(first, second), third)
        return farthest

    reach = 2 * inner + PX
    canvas.paint(MARKER, (cx - reach, cy - reach, cx + reach, cy + reach), distance, lambda x, y: body)


def _paint_spot(canvas: _Canvas, rng: np.random.Generator, centre: Place | None = None) -> None:
    """A tiny disc, the rarest class: bright pink with a lighter core."""
    cx, cy = centre or _place(canvas, rng)
    radius = rng.uniform(*SPOT_RADIUS) * PX
    rim = _colour(rng, (0.85, 1.0), (0.55, 0.9), (0.85, 1.0))

    def colour(x: Array, y: Array) -> Array:
        core = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (0.5 * radius) ** 2)
        shaded: Array = rim + 0.6 * core * (1 - rim)
        return shaded

    box = (cx - radius, cy - radius, cx + radius, cy + radius)
    canvas.paint(SPOT, box, lambda x, y: np.hypot(x - cx, y - cy) - radius, colour)
