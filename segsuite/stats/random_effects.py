"""t intervals for means with one or two random factors; all functions work on batches.

Model of the paired differences of S seeds (runs) and G units (images): D[s, g] = delta + a_s + b_g + e_sg, all random
with mean zero: another seed and another image would give another difference, and the question is about delta. With the
mean squares of seeds, units and residual,
    Var(mean) = (MS_seed + MS_unit - MS_residual) / (S G),
    df = num^2 / (MS_seed^2 / (S-1) + MS_unit^2 / (G-1) + MS_residual^2 / ((S-1)(G-1))), num = the bracket above,
(Satterthwaite, Biometrics Bulletin 2, 1946, 110-114; crossed random factors: Searle, Casella and McCulloch, Variance
Components, 1992, chapter 4). When MS_seed or MS_unit is not above MS_residual, the estimate of that variance is not
positive; it is then taken as zero: num = the larger of the two mean squares, with that one's degrees of freedom. So the
standard error is never below what seeds alone or units alone give.

Two degrees of freedom above are not what a textbook has, since with them a t test at 5 % rejects in up to 20 %
(benchmarks/false_positives.py, docs/decisions/0016-verdicts-at-their-level.md):
- G - 1 of the units: only where all units vary alike. A few images that hold a rare class, or that an effect is in,
  carry the whole sum of squares, which then varies as one of a few. `carriers` counts them, and `unit_degrees` takes
  that.
- Satterthwaite's df puts the mean square of the seeds in place of its expectation. With three seeds it is often far too
  small by chance, and so are then both the standard error and its share of the df. In the df it counts S / (S - 1)
  times.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # type: ignore[import-untyped]

from segsuite.stats.units import MIN_UNITS

Floats = npt.NDArray[np.float64]

POWER = 0.8
# Scores are of the order of 1: a spread below this is rounding.
ROUNDING = 1e-12


class Estimates(NamedTuple):
    """Float64 arrays of the batch's shape. `p`: two-sided, of the hypothesis that the mean is zero. `carriers`: how
    many units carry the variance, see `carriers`; with one random factor its number of values."""

    mean: Floats
    standard_error: Floats
    degrees_of_freedom: Floats
    low: Floats
    high: Floats
    p: Floats
    carriers: Floats


class MeanSquares(NamedTuple):
    """Float64 arrays of the batch's shape, of the two-way layout without replication."""

    seed: Floats
    unit: Floats
    residual: Floats


def mean_squares(D_SG: Floats) -> MeanSquares:
    """Mean squares of D, (..., S, G) with S, G >= 2."""
    seeds, units = D_SG.shape[-2:]
    if seeds < 2 or units < 2:
        raise ValueError(f"two-way mean squares need two seeds and two units, got {seeds} and {units}")
    mean = D_SG.mean(axis=(-2, -1), keepdims=True)
    of_seed = D_SG.mean(axis=-1, keepdims=True)
    of_unit = D_SG.mean(axis=-2, keepdims=True)
    residual = D_SG - of_seed - of_unit + mean
    return MeanSquares(
        units * ((of_seed - mean) ** 2).sum(axis=(-2, -1)) / (seeds - 1),
        seeds * ((of_unit - mean) ** 2).sum(axis=(-2, -1)) / (units - 1),
        (residual**2).sum(axis=(-2, -1)) / ((seeds - 1) * (units - 1)),
    )


def carriers(values_G: Floats) -> Floats:
    """How many units carry the variance of values (..., G): (sum m^2)^2 / sum m^4, with m the centred values.

    It is G where all |m| are equal, about G / 3 for normal values of one variance, and 1 where one unit deviates alone.
    Values without any deviation count all.

    >>> carriers(np.array([1.0, -1.0, 1.0, -1.0] + [0.0] * 96)).item()
    4.0
    """
    m_G = values_G - values_G.mean(axis=-1, keepdims=True)
    largest = np.abs(m_G).max(axis=-1, keepdims=True)
    # In units of the largest: fourth powers of small differences would be zero.
    m_G = np.divide(m_G, largest, out=np.ones_like(m_G), where=largest > ROUNDING)
    found: Floats = (m_G**2).sum(axis=-1) ** 2 / (m_G**4).sum(axis=-1)
    return found


def unit_degrees(carrying: Floats, units: int) -> Floats:
    """Degrees of freedom of the mean square of G units: (carriers - 1) (1 + 8 / G), between 1 and G - 1.

    Carriers less one is G / 3 for many normal units, which costs their t nothing to speak of, and 1 to 2 where four
    units carry all. More of it would be right on average, but p has to hold far in the tail too, where Holm looks in a
    family, and there only the unlucky draws count. With few units in all, as blocks of frames, it would be much too
    careful.
    """
    degrees: Floats = np.clip((carrying - 1) * (1 + MIN_UNITS / units), 1, units - 1)
    return degrees


def two_way(D_SG: Floats, level: float = 0.95) -> Estimates:
    """Mean of D, (..., S, G) with S, G >= 2, and its t interval with both seeds and units random."""
    seeds, units = D_SG.shape[-2:]
    a, b, e = mean_squares(D_SG)
    both = (a > e) & (b > e)
    bracket = np.where(both, a + b - e, np.maximum(a, b))
    carrying = carriers(D_SG.mean(axis=-2))
    of_units = unit_degrees(carrying, units)
    weighted = a * seeds / (seeds - 1)
    squares = weighted**2 / (seeds - 1) + b**2 / of_units + e**2 / ((seeds - 1) * of_units)
    satterthwaite = np.divide((weighted + b - e) ** 2, squares, out=np.ones_like(bracket), where=squares > 0)
    df = np.where(both, np.maximum(satterthwaite, 1), np.where(a >= b, seeds - 1, of_units))
    return _interval(D_SG.mean(axis=(-2, -1)), np.sqrt(bracket / (seeds * units)), df, level, carrying)


def one_way(values_N: Floats, level: float = 0.95) -> Estimates:
    """Mean of (..., N) independent values of one variance, N >= 2, and Student's t interval, df = N - 1."""
    n = values_N.shape[-1]
    if n < 2:
        raise ValueError(f"a t interval needs two values, got {n}")
    every = np.full(values_N.shape[:-1], float(n))
    return _one_way(values_N, every - 1, every, level)


def over_units(values_G: Floats, level: float = 0.95) -> Estimates:
    """As `one_way`, of units that need not vary alike: with `unit_degrees`."""
    carrying = carriers(values_G)
    return _one_way(values_G, unit_degrees(carrying, values_G.shape[-1]), carrying, level)


def _one_way(values_N: Floats, df: Floats, carrying: Floats, level: float) -> Estimates:
    standard_error = values_N.std(axis=-1, ddof=1) / np.sqrt(values_N.shape[-1])
    return _interval(values_N.mean(axis=-1), standard_error, df, level, carrying)


def detectable(standard_error: float, degrees_of_freedom: float, alpha: float = 0.05) -> float:
    """The smallest true difference that a two-sided test at `alpha` finds with 80 % power, for this standard error: SE
    times the noncentrality of Student's t at which the chance to pass t_{1 - alpha/2} is 0.8."""
    passed = special.stdtrit(degrees_of_freedom, 1 - alpha / 2)
    return float(special.nctdtrinc(degrees_of_freedom, 1 - POWER, passed) * standard_error)


def _interval(mean: Floats, standard_error: Floats, df: Floats, level: float, carrying: Floats) -> Estimates:
    """A spread of nothing but rounding counts as zero: the interval is then the mean itself, and p is 1 for a mean of
    zero and 0 for any other."""
    se = np.where(standard_error < ROUNDING, 0.0, standard_error)
    t = np.divide(np.abs(mean), se, out=np.zeros_like(se), where=se > 0)
    p = np.where(se > 0, 2 * special.stdtr(df, -t), np.where(np.abs(mean) < ROUNDING, 1.0, 0.0))
    half_width = special.stdtrit(df, 0.5 + level / 2) * se
    return Estimates(mean, se, df, mean - half_width, mean + half_width, p, carrying)
