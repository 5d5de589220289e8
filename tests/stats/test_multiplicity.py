"""Adjusted p values against hand-computed ones, definitions and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from segsuite.stats import benjamini_hochberg, holm

families = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_holm_by_hand() -> None:
    # In order: 5 x .001, 4 x .012, 3 x .02, 2 x .04, 1 x .3.
    assert holm([0.001, 0.04, 0.02, 0.3, 0.012]) == pytest.approx([0.005, 0.08, 0.06, 0.3, 0.048])


def test_holm_never_falls_below_a_smaller_p() -> None:
    assert holm([0.02, 0.021]) == pytest.approx([0.04, 0.04])


@given(families)
def test_holm_rejects_what_the_step_down_procedure_rejects(p: list[float]) -> None:
    rejected: set[int] = set()
    for step, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[index] * (len(p) - step) >= 0.05:
            break
        rejected.add(index)
    assert {index for index, adjusted in enumerate(holm(p)) if adjusted < 0.05} == rejected


@given(families)
def test_benjamini_hochberg_agrees_with_scipy(p: list[float]) -> None:
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p), rtol=1e-12)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_one_p_stays_and_none_gives_none(adjust: object) -> None:
    assert callable(adjust)
    assert adjust([0.03]) == [0.03]
    assert adjust([]) == []


@pytest.mark.parametrize("p", [[-0.1], [1.1], [float("nan")]])
def test_what_is_no_p_value_is_refused(p: list[float]) -> None:
    with pytest.raises(ValueError, match="p values"):
        holm(p)
