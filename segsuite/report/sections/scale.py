"""Where values lie on an axis: linear, or logarithmic with a place of its own for zero at the end."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

LOGARITHMIC_FROM = 30.0
"""Ratio of the largest to the smallest value above the floor from which the axis is logarithmic."""
EDGE = 0.06
FEW_TICKS = 2


@dataclass(frozen=True)
class Scale:
    """Positions on an axis that plotly draws as a linear one. `floor`: where a logarithmic axis ends; what is not above
    it has the position `zero`, if there is any such value (`has_zero`), and the logarithmic part begins at `first`.
    `percent`: values are shares, written in per cent."""

    low: float
    high: float
    percent: bool = False
    floor: float | None = None
    zero: float = 0.0
    first: float = 0.0
    has_zero: bool = False
    ticks: tuple[tuple[float, str], ...] = field(default=())

    @property
    def is_logarithmic(self) -> bool:
        """Whether positions are logarithms."""
        return self.floor is not None

    def at(self, value: float) -> float:
        """The position of a value."""
        if self.floor is None:
            return value
        return math.log10(value) if value > self.floor else self.zero

    def axis(self) -> dict[str, Any]:
        """Range and ticks of a plotly axis."""
        return {
            "range": [self.low, self.high],
            "zeroline": not self.is_logarithmic,
            "tickvals": [place for place, _ in self.ticks],
            "ticktext": [minus(text) for _, text in self.ticks],
            "tickangle": 0,
        }

    def text(self, value: float) -> str:
        """The value as a reader sees it."""
        return shown(value, self.percent)


def scale_of(
    values: Iterable[float],
    percent: bool = False,
    floor: float | None = None,
    needs: Iterable[float] = (),
    most_ticks: int = 5,
) -> Scale:
    """The scale for `values`: logarithmic when a `floor` is given and they span more than LOGARITHMIC_FROM above it.
    `needs` are values that a linear axis shows as well.

    >>> scale_of([0.0, 0.001, 0.1], floor=1e-4).ticks
    ((-4.0, '0'), (-3.0, '0.001'), (-2.0, '0.01'), (-1.0, '0.1'))
    """
    known = list(values)
    above = [value for value in known if floor is not None and value > floor]
    if not above or max(above) < LOGARITHMIC_FROM * min(above):
        known = [*known, *needs, *([0.0] if floor is not None else [])] or [0.0]
        edge = EDGE * (max(known) - min(known)) or max(abs(known[0]) * EDGE, 0.01)
        low, high = min(known) - edge, max(known) + edge
        return Scale(low, high, percent, ticks=tuple(_linear_ticks(low, high, percent, most_ticks)))
    assert floor is not None
    least, most = math.log10(min(above)), math.log10(max(above))
    below = [value for value in known if value <= floor]
    first = math.floor(least)
    zero = first - max(1.0, 0.18 * (math.ceil(most) - first))
    edge = EDGE * (most - (zero if below else least))
    low, high = (zero if below else least) - edge, most + edge
    ticks = _logarithmic_ticks(least - edge, high, percent, most_ticks)
    if below:
        ticks.insert(0, (zero, "0" if max(below) <= 0 else f"< {shown(floor, percent)}"))
    return Scale(low, high, percent, floor, zero, least, bool(below), tuple(ticks))


def _logarithmic_ticks(low: float, high: float, percent: bool, most: int) -> list[tuple[float, str]]:
    """Powers of ten, or less than all of them, between two logarithms; with multiples in between where they are few."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    found: list[float] = []
    for factors in ((1,), (1, 3), (1, 2, 5)):
        marks = [factor * 10.0**power for power in powers for factor in factors]
        within = [mark for mark in marks if low <= math.log10(mark) <= high]
        if not found or (len(found) < FEW_TICKS and len(within) <= most):
            found = within
    step = -(-len(found) // most) if found else 1
    return [(math.log10(mark), shown(mark, percent)) for mark in found[::-step][::-1]]


def _linear_ticks(low: float, high: float, percent: bool, most: int) -> list[tuple[float, str]]:
    """Multiples of 1, 2 or 5 times a power of ten, up to `most`."""
    unit = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(step for factor in (1, 2, 5, 10, 20) if (high - low) / (step := factor * unit) < most)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [(place * step, shown(place * step, percent)) for place in range(first, last + 1)]


def minus(text: str) -> str:
    """`text` with a minus sign instead of a hyphen."""
    return text.replace("-", "\N{MINUS SIGN}")


def shown(value: float, percent: bool = False) -> str:
    """
    >>> shown(0.0123, percent=True), shown(1e-6), shown(0.5), shown(1.0)
    ('1.23 %', '1e-6', '0.5', '1')
    """
    text = f"{100 * value if percent else value:.3g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        text = f"{mantissa}e{int(exponent)}"
    return f"{text} %" if percent else text
