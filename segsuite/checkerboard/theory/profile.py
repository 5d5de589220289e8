"""What the theory says of one upsampler, as plain numbers. No torch: the report reads this."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

FRACTIONS = (0.25, 0.5)
"""Of the low-resolution Nyquist frequency, for the image rejection."""
NOTHING = 1e-20
"""Shares of energy below this are rounding (1e-10 of the amplitude)."""
MAX_ORDER = 3


@dataclass(frozen=True)
class Estimate:
    """Mean over draws of the weights, and its standard error: None of a single draw, 0 when all draws are equal."""

    mean: float
    standard_error: float | None
    draws: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Estimate":
        """Of one value a draw."""
        finite = all(math.isfinite(value) for value in values)
        mean = statistics.fmean(values) if finite else max(values)
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 and finite else None
        return cls(mean, error, len(values))

    @classmethod
    def geometric(cls, values: Sequence[float]) -> "Estimate":
        """The geometric mean, for positive values of which the mean itself is infinite or ruled by a few."""
        if not all(math.isfinite(value) for value in values):
            return cls(math.inf, None, len(values))
        logarithms = cls.of([math.log(value) for value in values])
        mean, error = math.exp(logarithms.mean), logarithms.standard_error
        return cls(mean, None if error is None else mean * error, len(values))


@dataclass(frozen=True)
class Pictures:
    """Of the first draw; rows of numbers, the first row is the top one."""

    impulse: list[list[float]]
    """Response to one pixel of the pair of channels in which it is strongest, by its largest value."""
    constant: list[list[float]]
    """Response to a constant in the first output channel: what differs from its mean, by the root mean square over all
    channels."""
    spectrum: list[list[float]]
    """Mean power of the response to white noise, in dB of that at frequency 0; bin (0, 0) is frequency 0, a row and
    column a step of 1 / size cycles per output pixel."""


@dataclass(frozen=True)
class Profile:
    """All figures of one target. Energies are fractions, frequencies cycles per output pixel."""

    target: str
    factor: int
    channels: int
    parameters: int
    multiply_adds: float
    data_dependent: bool
    """True: imbalance, harmonics, rejection and constant_gain are Monte-Carlo, overlap, condition, shift and noise_gain
    those of its linearisation at constant scenes. False: all are exact for the weights drawn."""
    overlap: list[list[int]]
    """(S, S) products of a channel pair that are summed into the pixels of each phase."""
    overlap_cv: float
    imbalance: Estimate
    harmonics: list[list[float]]
    """(S, S) mean share of energy at (row / S, column / S) for a constant; all but [0][0] sum to the imbalance."""
    rejection: dict[float, Estimate]
    """dB, by fraction of the low-resolution Nyquist frequency."""
    order: int
    """0 to 3; 3 means 3 or more."""
    ramp_residual: Estimate
    condition: Estimate
    shift_down: Estimate
    shift_right: Estimate
    noise_gain: Estimate
    constant_gain: Estimate
    pictures: Pictures

    @property
    def draws(self) -> int:
        """How often weights were drawn; 1 when there is nothing to draw."""
        return self.imbalance.draws

    @property
    def carries(self) -> list[tuple[int, int, float]]:
        """(k down, k right, share) of each harmonic k/S that a constant excites, strongest first."""
        found = [
            (down, right, share)
            for down, row in enumerate(self.harmonics)
            for right, share in enumerate(row)
            if (down or right) and share > NOTHING
        ]
        return sorted(found, key=lambda one: -one[2])

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists, without the pictures; an infinite condition number is the text "infinite"."""
        values = asdict(self)
        del values["pictures"]
        values["rejection"] = {f"{fraction:g}": value for fraction, value in values["rejection"].items()}
        values["harmonics_carried"] = [
            {"cycles_per_pixel": [down / self.factor, right / self.factor], "share": share}
            for down, right, share in self.carries
        ]
        if math.isinf(self.condition.mean):
            values["condition"]["mean"] = "infinite"
        return values
