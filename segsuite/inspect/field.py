"""The receptive field of a layer, from the spans of its outputs in the middle of a large image."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from segsuite.inspect.spans import Spans

PERIOD = 128
"""Pixels after which the outputs of every network of strides up to this look alike."""
TURNS = (96, 32, 12, 8, 4, 2, 1)
"""Numbers of outputs to measure a stride over: multiples of the period of usual upsamplers where there are enough."""


@dataclass(frozen=True)
class Axis:
    """Along one axis, in pixels of the image. `size`: of the largest field of any output; `smallest`: of the smallest,
    where it depends on the phase behind an upsampler. `stride`: from one output to the next. `start`: the centre of
    the field of output 0, continued beyond the border of the image, whose first pixel is from 0 to 1.
    `shift`: how far the centres of the fields are, on average, from those of the outputs' own cells."""

    size: int
    smallest: int
    stride: Fraction
    start: float
    shift: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "size": self.size,
            "smallest": self.smallest,
            "stride": float(self.stride),
            "start": self.start,
            "shift": self.shift,
        }


@dataclass(frozen=True)
class Field:
    """What an output sees through windows, down and right (None: nothing, or something else than a feature map), and
    the modules through which it sees the whole image besides."""

    rows: Axis | None
    columns: Axis | None
    whole: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """
        >>> Field(None, None, ("pooling",)).text
        'image'
        """
        if self.rows is None or self.columns is None:
            return "image" if self.whole else "-"
        high, wide = self.rows.size, self.columns.size
        return (str(high) if high == wide else f"{high}x{wide}") + (" + image" if self.whole else "")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        axes = {"rows": self.rows, "columns": self.columns}
        return {name: axis.to_json() if axis else None for name, axis in axes.items()} | {"whole": list(self.whole)}


def is_cut(spans: Spans, shape: Sequence[int], canvas: tuple[int, int]) -> bool:
    """Whether the field of an output in the middle reaches the border of the canvas (H, W)."""
    if len(shape) != 4:
        return False
    for axis in (0, 1):
        window = _window(shape[2 + axis], canvas[axis])
        first, last = (part[window] for part in _sides(spans, axis, shape[2 + axis]))
        if bool(((first <= 0) | (last >= canvas[axis] - 1)).any()) and bool((last >= 0).any()):
            return True
    return False


def field_of(spans: Spans, shape: Sequence[int], canvas: tuple[int, int]) -> Field:
    """The field of a layer of `shape` (N, C, H, W) on an image of `canvas` (H, W)."""
    whole = tuple(sorted(spans.whole))
    if len(shape) != 4:
        return Field(None, None, whole)
    rows, columns = (_axis(*_sides(spans, axis, shape[2 + axis]), canvas[axis]) for axis in (0, 1))
    return Field(rows, columns, whole)


def _sides(spans: Spans, axis: int, size: int) -> tuple[Tensor, Tensor]:
    """First and last row (or column) that any channel of each output of that axis depends on."""
    others = [0, 1, 3 - axis]
    before, after = (part.amax(others).expand(size) for part in spans.reach[2 * axis : 2 * axis + 2])
    return -before, after


def _window(size: int, canvas: int) -> slice:
    """The outputs of one period in the middle."""
    count = max(1, min(size, round(PERIOD * size / canvas)))
    start = (size - count) // 2
    return slice(start, start + count)


def _axis(first: Tensor, last: Tensor, canvas: int) -> Axis | None:
    size = len(first)
    window = _window(size, canvas)
    if not bool(torch.isfinite(first[window]).all()):
        return None
    stride = _stride(first, last, canvas)
    sizes = (last - first + 1)[window]
    places = torch.arange(size, dtype=torch.float64)[window]
    centre = ((first + last).double()[window] / 2 - places * float(stride)).mean().item() + 0.5
    start = round(centre, 4)
    return Axis(int(sizes.max()), int(sizes.min()), stride, start, round(start - float(stride) / 2, 4))


def _stride(first: Tensor, last: Tensor, canvas: int) -> Fraction:
    whole = Fraction(canvas, len(first))
    inside = torch.nonzero((first > 0) & (last < canvas - 1) & torch.isfinite(first)).flatten()
    if len(inside) < 2:
        return whole
    low, count = int(inside[0]), int(inside[-1] - inside[0])
    turn = next(turn for turn in TURNS if count >= turn)
    count = count // turn * turn
    measured = Fraction(int(first[low + count] - first[low]), count)
    # a padded network divides the canvas, and its field wobbles with the phase: no slope is needed, or exact
    divides = whole.numerator == 1 or whole.denominator == 1
    return whole if divides and abs(measured / whole - 1) < 0.6 else measured.limit_denominator(64)
