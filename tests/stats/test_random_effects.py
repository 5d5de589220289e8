"""The two-way interval against plain loops, and the detectable difference against scipy's noncentral t."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from segsuite.stats.random_effects import carriers, detectable, mean_squares, one_way, over_units, two_way, unit_degrees

Floats = NDArray[np.float64]


def looped(d: list[list[float]]) -> tuple[float, float, float]:
    """Mean squares of seeds, units and residual, by the textbook sums."""
    seeds, units = len(d), len(d[0])
    grand = sum(map(sum, d)) / (seeds * units)
    row = [sum(line) / units for line in d]
    column = [sum(line[g] for line in d) / seeds for g in range(units)]
    seed = sum(units * (mean - grand) ** 2 for mean in row) / (seeds - 1)
    unit = sum(seeds * (mean - grand) ** 2 for mean in column) / (units - 1)
    rest = 0.0
    for s in range(seeds):
        for g in range(units):
            rest += (d[s][g] - row[s] - column[g] + grand) ** 2
    return seed, unit, rest / ((seeds - 1) * (units - 1))


def counted_degrees(values: list[float]) -> float:
    """Degrees of freedom of units by the formula of decision 0016, in plain sums."""
    m = [value - sum(values) / len(values) for value in values]
    carrying = sum(x**2 for x in m) ** 2 / sum(x**4 for x in m)
    return min(max((carrying - 1) * (1 + 8 / len(values)), 1), len(values) - 1)


def differences(seed_sd: float, unit_sd: float, seeds: int = 4, units: int = 30) -> Floats:
    random = np.random.default_rng(3)
    both = random.normal(0, seed_sd, (seeds, 1)) + random.normal(0, unit_sd, (1, units))
    return both + random.normal(0.02, 0.05, (seeds, units))


@pytest.mark.parametrize(("seed_sd", "unit_sd"), [(0.1, 0.1), (0.0, 0.1), (0.1, 0.0), (0.0, 0.0)])
def test_interval_agrees_with_plain_loops(seed_sd: float, unit_sd: float) -> None:
    d = differences(seed_sd, unit_sd)
    a, b, e = looped(d.tolist())
    units = counted_degrees(d.mean(axis=0).tolist())
    if a > e and b > e:
        num, seed = a + b - e, a * 4 / 3
        df = (seed + b - e) ** 2 / (seed**2 / 3 + b**2 / units + e**2 / (3 * units))
    else:
        num, df = max((a, 3), (b, units))
    reference = stats.t(df, loc=d.mean(), scale=math.sqrt(num / 120))
    found = two_way(d)
    assert (found.low, found.high) == pytest.approx(reference.interval(0.95))
    assert found.p == pytest.approx(2 * min(reference.cdf(0), reference.sf(0)))


def test_both_variances_are_in_the_checks() -> None:
    a, b, e = looped(differences(0.1, 0.1).tolist())
    assert min(a, b) > e


def test_a_batch_is_every_layout_by_itself() -> None:
    batch = np.stack([differences(0.1, 0.1), differences(0.0, 0.02)])
    for index in range(2):
        assert [values[index] for values in two_way(batch)] == pytest.approx([float(x) for x in two_way(batch[index])])


def test_standard_error_is_never_below_that_of_seeds_alone_or_units_alone() -> None:
    batch = np.random.default_rng(0).normal(size=(500, 3, 20))
    a, b, _ = mean_squares(batch)
    assert (two_way(batch).standard_error ** 2 * 60 >= np.maximum(a, b) * (1 - 1e-12)).all()


def test_one_way_is_the_t_test_of_scipy() -> None:
    values = np.random.default_rng(0).normal(0.1, 1, 20)
    reference = stats.ttest_1samp(values, 0)
    assert one_way(values).p == pytest.approx(reference.pvalue)
    assert (one_way(values).low, one_way(values).high) == pytest.approx(reference.confidence_interval())


@pytest.mark.parametrize(("constant", "p"), [(0.0, 1.0), (0.1, 0.0)])
def test_constant_differences_give_a_point_and_no_nan(constant: float, p: float) -> None:
    found = two_way(np.full((3, 10), constant))
    assert found.p == p
    assert (found.low, found.high) == pytest.approx((constant, constant))
    assert all(np.isfinite(value) for value in found)


def test_differences_by_seed_only_have_the_degrees_of_freedom_of_the_seeds() -> None:
    found = two_way(np.repeat([[0.1], [0.2], [0.4]], 10, axis=1))
    assert found.degrees_of_freedom == 2
    assert found.p == pytest.approx(stats.ttest_1samp([0.1, 0.2, 0.4], 0).pvalue)


@pytest.mark.parametrize("df", [1.0, 2.0, 2.7, 7.0, 232.0])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 11])
def test_detectable_difference_is_found_with_80_percent_power(df: float, alpha: float) -> None:
    shift = detectable(0.01, df, alpha) / 0.01
    assert stats.nct.sf(stats.t.ppf(1 - alpha / 2, df), df, shift) == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 10), (3, 1)])
def test_two_way_needs_two_of_both(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="two seeds and two units"):
        two_way(np.zeros(shape))


def test_one_way_needs_two_values() -> None:
    with pytest.raises(ValueError, match="two values"):
        one_way(np.zeros(1))


@pytest.mark.parametrize(("n", "least"), [(8, 3.5), (100, 25.0), (1000, 300.0)])
def test_equally_variable_units_keep_degrees_of_freedom(n: int, least: float) -> None:
    values = np.random.default_rng(0).normal(size=(4000, n))
    assert least < np.median(unit_degrees(carriers(values), n)) <= n - 1


def test_a_third_of_many_normal_units_carries_the_variance() -> None:
    """1 / kurtosis of them, and the kurtosis of a normal distribution is 3."""
    values = np.random.default_rng(0).normal(size=300_000)
    assert carriers(values) / 300_000 == pytest.approx(1 / stats.kurtosis(values, fisher=False))
    assert carriers(values) / 300_000 == pytest.approx(1 / 3, rel=0.02)


@pytest.mark.parametrize("few", [2, 5, 12])
def test_units_without_a_deviation_carry_nothing(few: int) -> None:
    some = np.random.default_rng(1).normal(size=(400, few))
    some -= some.mean(axis=-1, keepdims=True)
    padded = np.concatenate([some, np.zeros((400, 200))], axis=-1)
    np.testing.assert_allclose(carriers(padded), carriers(some), rtol=1e-9)
    assert carriers(padded).max() <= few * (1 + 1e-9)


def test_one_unit_alone_is_one_carrier_and_no_deviation_has_them_all() -> None:
    assert carriers(np.array([1.0] + [0.0] * 999)) == pytest.approx(1, abs=0.01)
    assert carriers(np.zeros(7)) == 7
    assert carriers(1e-9 * np.array([1.0, -1.0, 0.0])) == pytest.approx(2)


def test_checkpoints_are_compared_with_the_units_that_carry_the_variance() -> None:
    values = np.array([0.3, -0.2, -0.1, *[0.0] * 60])
    assert over_units(values).degrees_of_freedom == pytest.approx(counted_degrees(values.tolist()))
    assert over_units(values).degrees_of_freedom < 2
    assert over_units(values).standard_error == one_way(values).standard_error
    assert over_units(values).p > one_way(values).p
