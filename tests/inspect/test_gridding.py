"""Gridding in theory, against brute force over all taps, real convolutions and the values of the papers."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from segsuite.errors import ConfigError
from segsuite.inspect.gridding import (
    Window,
    dilated,
    field_paths,
    gridding,
    hybrid_rule,
    largest_hole,
    paths,
    smooth_unevenness,
    unevenness,
)

windows = st.builds(Window, st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
ASPP = [[Window(1)], *([Window(3, rate)] for rate in (6, 12, 18))]


@given(st.lists(windows, min_size=1, max_size=4))
def test_paths_are_those_of_walking_every_tap(stack: list[Window]) -> None:
    found: dict[int, int] = {}
    for taps in itertools.product(*(range(window.kernel) for window in stack)):
        place, jump = 0, 1
        for tap, window in zip(taps, stack, strict=True):
            place, jump = place + tap * window.dilation * jump, jump * window.stride
        found[place] = found.get(place, 0) + 1
    assert [found.get(place, 0) for place in range(max(found) + 1)] == paths(stack).tolist()


@pytest.mark.parametrize("rates", [[1, 2, 3], [2, 2, 2], [1, 2, 9]])
def test_paths_are_the_gradient_of_real_convolutions_of_ones(rates: list[int]) -> None:
    layers = [nn.Conv2d(1, 1, 3, dilation=rate, bias=False, dtype=torch.float64) for rate in rates]
    for one in layers:
        nn.init.ones_(one.weight)
    size = 1 + 2 * sum(rates)
    image = torch.zeros(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(nn.Sequential(*layers)(image).sum(), image)
    np.testing.assert_array_equal(field_paths([dilated(rates)]), gradient[0, 0].numpy())


GOLDEN = {
    (1, 1, 1): 1.0,
    (1, 2, 3): 1.0,
    (1, 2, 5): 1.0,
    (1, 2, 4): 1.0,
    (1, 2, 4, 2, 1): 1.0,
    (2, 2, 2): (7 / 13) ** 2,
    (2, 4, 8): (15 / 29) ** 2,
    (1, 2, 9): (21 / 25) ** 2,
    (6,): (3 / 13) ** 2,
    (12,): (3 / 25) ** 2,
}


@pytest.mark.parametrize("rates", GOLDEN)
def test_coverage_of_known_stacks(rates: tuple[int, ...]) -> None:
    assert gridding([dilated(rates)]).coverage == pytest.approx(GOLDEN[rates], abs=1e-12)


def test_multi_grid_of_deeplab_covers_its_field_and_is_uneven() -> None:
    found = gridding([dilated([2, 4, 8])]), gridding([dilated([1, 2, 4])])
    assert (found[0].hole, found[1].hole) == (1, 0)
    assert found[1].unevenness > 0.5


def test_a_stride_multiplies_what_comes_after_it() -> None:
    assert gridding([[Window(3), Window(3, 1, 2), Window(3, 2)]]).field == 1 + 2 + 2 + 8
    assert paths([Window(1, 1, 2), Window(3)]).tolist() == [1, 0, 1, 0, 1]


def test_the_pyramid_of_deeplab_reaches_25_of_its_1369_inputs() -> None:
    found = gridding(ASPP, period=6)
    assert (found.field, found.hole) == (37, 11)
    assert found.coverage == 25 / 1369
    assert found.unevenness == pytest.approx(math.sqrt(35))


def test_branches_without_a_common_middle_are_refused() -> None:
    with pytest.raises(ConfigError, match="no middle"):
        field_paths([[Window(2)], [Window(3)]])


@given(st.integers(2, 9), st.integers(2, 9), st.randoms(use_true_random=False))
def test_the_largest_hole_is_that_of_trying_all_squares(height: int, width: int, random: object) -> None:
    reached = np.random.default_rng(random.getrandbits(32)).random((height, width)) < 0.3  # type: ignore[attr-defined]
    best = 0
    for side in range(1, min(height, width) + 1):
        for top, left in itertools.product(range(height - side + 1), range(width - side + 1)):
            if not reached[top : top + side, left : left + side].any():
                best = side
    assert largest_hole(reached) == best


HYBRID = {(1, 2, 5): (1, 2, 5), (1, 2, 9): (3, 5, 9), (2, 2, 2): (2, 2, 2), (1, 2, 3): (1, 2, 3), (3, 4, 5): (3, 4, 5)}


@pytest.mark.parametrize("rates", HYBRID)
def test_distances_follow_the_paper_as_it_writes_them(rates: tuple[int, ...]) -> None:
    distances = [rates[-1]]
    for rate in rates[-2::-1]:
        after = distances[0]
        distances.insert(0, max(after - 2 * rate, after - 2 * (after - rate), rate))
    assert hybrid_rule(rates).distances == tuple(distances) == HYBRID[rates]


def test_the_rule_wants_no_common_factor_either() -> None:
    assert hybrid_rule([1, 2, 5]).fulfilled
    assert not hybrid_rule([1, 2, 9]).fulfilled
    assert hybrid_rule([2, 2, 2]).within_kernel
    assert not hybrid_rule([2, 2, 2]).fulfilled


@given(st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_what_begins_with_1_and_fulfils_the_rule_has_no_holes(rates: list[int]) -> None:
    if hybrid_rule([1, *rates]).fulfilled:
        assert gridding([dilated([1, *rates])]).coverage == 1.0


def test_the_rule_alone_does_not_exclude_holes() -> None:
    assert hybrid_rule([2, 3, 5]).fulfilled
    assert gridding([dilated([2, 3, 5])]).coverage < 1


@pytest.mark.parametrize("period", [2, 3, 5])
def test_one_class_with_everything_is_the_most_uneven(period: int) -> None:
    comb = np.zeros((30, 30))
    comb[1::period, ::period] = 1.0
    assert unevenness(comb, period) == pytest.approx(math.sqrt(period**2 - 1))


def test_a_planted_pattern_has_the_unevenness_of_its_values() -> None:
    pattern = np.array([[1.0, 2.0], [3.0, 6.0]])
    tiled = np.tile(pattern, (9, 9))
    assert unevenness(tiled, 2) == pytest.approx(pattern.std() / pattern.mean())
    assert unevenness(tiled, 3) == pytest.approx(0.0, abs=1e-12)


@given(st.integers(2, 6), st.integers(0, 1000))
def test_unevenness_is_the_power_at_the_harmonics(period: int, seed: int) -> None:
    energy = np.random.default_rng(seed).random((3 * period, 2 * period))
    spectrum = np.abs(np.fft.fft2(energy))[::3, ::2] ** 2
    assert unevenness(energy, period) == pytest.approx(math.sqrt(spectrum.sum() / spectrum[0, 0] - 1))


def gaussian(deviation: float, size: int = 41) -> np.ndarray:
    places = np.arange(size) - size // 2
    marginal = np.exp(-0.5 * (places / deviation) ** 2)
    return np.outer(marginal, marginal)


@pytest.mark.parametrize(("deviation", "period"), [(1.5, 4), (2.0, 6), (3.0, 6), (1.0, 2)])
def test_the_control_is_what_a_gaussian_has(deviation: float, period: int) -> None:
    energy = gaussian(deviation)
    assert unevenness(energy, period) == pytest.approx(smooth_unevenness(energy, period), rel=0.02, abs=2e-3)


def test_a_grid_in_a_wide_field_stands_far_above_the_control() -> None:
    grid = gaussian(6.0) * (1 + 0.5 * (np.indices((41, 41)).sum(axis=0) % 2))
    assert unevenness(grid, 2) > 100 * smooth_unevenness(grid, 2)
