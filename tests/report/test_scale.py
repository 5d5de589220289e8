"""Axes on which zero has a place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsuite.report.sections.scale import scale_of

SHARES = st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1.0)), min_size=1, max_size=20)


@given(SHARES)
def test_larger_values_never_lie_further_left(values: list[float]) -> None:
    scale = scale_of(values, floor=1e-6)
    places = [scale.at(value) for value in sorted(values)]
    assert places == sorted(places)


@given(SHARES)
def test_every_value_lies_on_the_axis(values: list[float]) -> None:
    scale = scale_of(values, floor=1e-6)
    assert all(scale.low < scale.at(value) < scale.high for value in values)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20))
def test_a_linear_axis_has_a_few_ticks_at_their_values(values: list[float]) -> None:
    scale = scale_of(values)
    assert not scale.is_logarithmic
    assert len(scale.ticks) <= 5
    assert all(float(text) == pytest.approx(place, rel=0.01, abs=1e-9) for place, text in scale.ticks)


def test_zero_lies_below_the_smallest_value_and_is_named() -> None:
    scale = scale_of([0.0, 0.002, 0.5], percent=True, floor=1e-6)
    assert scale.at(0.0) < scale.at(0.002) - 0.3
    assert scale.ticks[0] == (scale.at(0.0), "0")
    assert [text for _, text in scale.ticks[1:]] == ["1 %", "10 %"]


def test_what_is_not_zero_is_not_called_zero() -> None:
    assert scale_of([1e-13, 0.002, 0.5], floor=1e-6).ticks[0][1] == "< 1e-6"


def test_values_of_one_decade_are_linear_from_zero() -> None:
    scale = scale_of([0.2, 0.5], floor=1e-6)
    assert not scale.is_logarithmic
    assert scale.low < 0


def test_a_logarithmic_axis_without_zeros_has_no_place_for_them() -> None:
    scale = scale_of([0.001, 0.5], floor=1e-6)
    assert not scale.has_zero
    assert scale.low > scale.at(0.0)
