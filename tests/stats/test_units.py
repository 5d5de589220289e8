"""What is resampled, and that joining images to units keeps means."""

import numpy as np
import pytest

from segsuite.errors import DataError
from segsuite.stats import resampling_units

CAMVID_VAL = ["0016E5"] * 101


@pytest.mark.parametrize("sequences", [None, [f"frame{i}" for i in range(30)]])
def test_unrelated_images_are_their_own_units(sequences: list[str] | None) -> None:
    units = resampling_units(30, sequences)
    assert (units.unit, units.count) == ("image", 30)


def test_many_sequences_are_the_units() -> None:
    units = resampling_units(30, [f"drive{i % 10}" for i in range(30)])
    assert (units.unit, units.count) == ("sequence", 10)
    assert (units.index[:10] == units.index[10:20]).all()


def test_one_sequence_is_cut_into_eight_blocks_in_the_order_of_time() -> None:
    units = resampling_units(101, CAMVID_VAL)
    assert (units.unit, units.count) == ("block of 12-13 frames", 8)
    assert (np.diff(units.index) >= 0).all()


def test_blocks_never_cross_from_one_sequence_into_another() -> None:
    sequences = ["a"] * 62 + ["b"] * 171
    units = resampling_units(233, sequences)
    assert units.count == 8
    assert set(units.index[:62]).isdisjoint(units.index[62:])
    assert np.bincount(units.index).min() >= 28


def test_interleaved_sequences_are_told_apart() -> None:
    units = resampling_units(80, ["a", "b"] * 40)
    assert set(units.index[::2]).isdisjoint(units.index[1::2])


def test_few_images_stay_images() -> None:
    assert resampling_units(5, ["a"] * 5).unit == "image"


@pytest.mark.parametrize("sequences", [["a"] * 40, [f"{i % 9}" for i in range(40)], ["a"] * 33 + ["b"] * 7])
def test_aggregation_keeps_the_mean(sequences: list[str]) -> None:
    influence = np.random.default_rng(0).normal(size=40)
    units = resampling_units(40, sequences)
    assert units.aggregate(influence).shape == (units.count,)
    assert units.aggregate(influence).mean() == pytest.approx(influence.mean(), abs=1e-12)


def test_standard_error_of_unequal_sequences_is_the_cluster_robust_one() -> None:
    random = np.random.default_rng(0)
    sizes = random.integers(1, 9, 12)
    names = np.repeat([f"s{i:02}" for i in range(12)], sizes)
    influence = random.normal(size=len(names))
    totals = [(influence[names == name] - influence.mean()).sum() for name in dict.fromkeys(names)]
    robust = np.sqrt(12 / 11 * np.square(totals).sum()) / len(names)
    joined = resampling_units(len(names), list(names)).aggregate(influence)
    assert joined.std(ddof=1) / np.sqrt(12) == pytest.approx(robust)


def test_sequences_of_another_number_of_images_are_refused() -> None:
    with pytest.raises(DataError, match="3 images have 2"):
        resampling_units(3, ["a", "b"])
