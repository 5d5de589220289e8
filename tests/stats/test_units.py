"""What is resampled, and that joining images to units keeps means."""

import numpy as np
import pytest

from segsuite.errors import DataError
from segsuite.stats import linearise, resampling_units

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
def test_joining_keeps_the_sums(sequences: list[str]) -> None:
    counts = np.random.default_rng(0).integers(0, 99, (40, 2, 3))
    units = resampling_units(40, sequences)
    joined = units.sums(counts)
    assert joined.shape == (units.count, 2, 3)
    for unit in range(units.count):
        np.testing.assert_array_equal(joined[unit], counts[units.index == unit].sum(axis=0))


def test_standard_error_of_unequal_sequences_is_that_of_leaving_each_out() -> None:
    random = np.random.default_rng(0)
    sizes = random.integers(1, 9, 12)
    names = np.repeat([f"s{i:02}" for i in range(12)], sizes)
    right = random.integers(1, 1000, len(names))
    counts = np.stack([right, 0 * right, 1000 - right], axis=-1)[:, None]
    without = np.array([right[names != name].mean() / 1000 for name in dict.fromkeys(names)])
    jackknife = np.sqrt(11 / 12 * np.square(without - without.mean()).sum())
    _, influence = linearise(resampling_units(len(names), list(names)).sums(counts), "pixel_accuracy")
    assert influence.std(ddof=1) / np.sqrt(12) == pytest.approx(jackknife)


def test_sequences_of_another_number_of_images_are_refused() -> None:
    with pytest.raises(DataError, match="3 images have 2"):
        resampling_units(3, ["a", "b"])
