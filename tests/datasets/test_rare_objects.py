"""The setting rare_share of `shapes`: the share that is asked for comes out, and nothing else changes."""

import hashlib
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segsuite.datasets.rare_objects import mean_square, objects_in, scattered
from segsuite.datasets.scenes import MARKER, SPOT
from segsuite.datasets.shapes import Shapes
from segsuite.errors import ConfigError

SHARES = (0.1, 0.01, 0.001)


BEFORE = [
    [6157, 3044, 1005, 152, 768, 144, 95, 42, 881],
    [5139, 3213, 1700, 542, 0, 581, 98, 41, 974],
    [7834, 1769, 787, 915, 376, 0, 61, 24, 522],
]


def labels(
    share: float | None, images: int, split: str = "train", size: tuple[int, int] = (48, 64)
) -> NDArray[np.uint8]:
    lengths = {"train_images": images, "val_images": images}
    dataset = Shapes(split, size=size, rare_share=share, **lengths)
    return np.stack([dataset.read(index)[1] for index in range(images)])


# The number of objects is exact to one; what remains is the spread of their sizes, whose standard deviation is 25 % of
# an area: 5 % for the 25 objects of a kind that 0.1 % are in 80 such images, with 2 for the coarse pixels.
@pytest.mark.parametrize(("share", "images", "bound"), [(0.1, 40, 0.03), (0.01, 80, 0.06), (0.001, 160, 0.15)])
@pytest.mark.parametrize("split", ["train", "val"])
def test_each_rare_class_has_half_of_the_share(share: float, images: int, bound: float, split: str) -> None:
    found = labels(share, images, split)
    for class_id in (MARKER, SPOT):
        assert (found == class_id).mean() == pytest.approx(share / 2, rel=bound)


@pytest.mark.parametrize("size", [(48, 48), (64, 32), (32, 64)])
def test_the_share_does_not_depend_on_the_shape_of_the_image(size: tuple[int, int]) -> None:
    found = labels(0.05, 40, size=size)
    assert np.isin(found, (MARKER, SPOT)).mean() == pytest.approx(0.05, rel=0.06)


def test_objects_keep_their_size() -> None:
    """Spots are 2.2 to 3.2 pixels in radius at the default height, whatever their number; an edge is 5 pixels off."""
    for share in SHARES:
        spots = labels(share, 24, size=(96, 128)) == SPOT
        areas = [cv2.connectedComponentsWithStats(spot.astype(np.uint8))[2][1:, cv2.CC_STAT_AREA] for spot in spots]
        every = np.concatenate(areas)
        assert len(every) > 0
        assert math.pi * 2.2**2 - 5 < every.min() <= every.max() < math.pi * 3.2**2 + 5


def test_scenes_of_two_shares_differ_in_rare_objects_alone() -> None:
    """Elsewhere even the noise is the same; the void band at a marker's corners reaches 3 pixels."""
    few, many = (Shapes("train", rare_share=share) for share in (0.001, 0.05))
    for index in range(6):
        (one, label), (other, other_label) = few.read(index), many.read(index)
        rare = np.isin(label, (MARKER, SPOT)) | np.isin(other_label, (MARKER, SPOT))
        near = rare.copy()
        for _ in range(3):
            padded = np.pad(near, 1)
            near = np.max([padded[1 + i : 97 + i, 1 + j : 129 + j] for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
        assert near.mean() < 0.5
        np.testing.assert_array_equal(label[~near], other_label[~near])
        np.testing.assert_array_equal(one[~near], other[~near])


def test_a_scene_is_the_same_at_three_times_the_resolution() -> None:
    small, large = (Shapes("train", size=size, rare_share=0.05) for size in ((33, 44), (99, 132)))
    for index in range(10):
        np.testing.assert_array_equal(small.read(index)[1], large.read(index)[1][1::3, 1::3])


def test_without_the_setting_the_fingerprint_is_the_one_that_it_was() -> None:
    names = ("background", "ground", "blob", "building", "ring", "wire", "marker", "spot")
    before = hashlib.sha256(repr((1, names, "train", (96, 128), 240, 0)).encode()).hexdigest()[:16]
    assert Shapes("train").fingerprint() == Shapes("train", rare_share=None).fingerprint() == before
    assert len({Shapes("train", rare_share=share).fingerprint() for share in (None, *SHARES)}) == 4


def test_without_the_setting_scenes_are_those_that_they_were() -> None:
    """Pixels of each class and void, counted before the setting was there; another libm may move one or two."""
    counts = np.stack([np.bincount(Shapes("train").read(i)[1].ravel(), minlength=256) for i in range(3)])
    np.testing.assert_allclose(counts[:, [*range(8), 255]], BEFORE, atol=2)


@pytest.mark.parametrize("share", [0.0, -0.1, 0.11, 1.0])
def test_a_share_that_is_not_possible_is_a_config_error(share: float) -> None:
    with pytest.raises(ConfigError, match="rare_share"):
        Shapes("train", rare_share=share)


@given(st.floats(0, 20), st.floats(0, 0.999), st.integers(0, 500), st.integers(1, 60))
def test_any_run_of_scenes_has_its_number_of_objects(mean: float, offset: float, first: int, count: int) -> None:
    total = sum(objects_in(mean, offset, index) for index in range(first, first + count))
    assert abs(total - mean * count) <= 1 + 1e-6


def test_objects_keep_their_distance_and_lie_inside() -> None:
    kinds = scattered(np.random.default_rng(0), 1.5, (6, 20), (0.07, 0.03), 0.01)
    assert [len(kind) for kind in kinds] == [6, 20]
    discs = [(x, y, reach) for kind, reach in zip(kinds, (0.07, 0.03), strict=True) for x, y in kind]
    for i, (x, y, reach) in enumerate(discs):
        assert reach <= x <= 1.5 - reach
        assert reach <= y <= 1 - reach
        for a, b, other in discs[:i]:
            assert math.dist((x, y), (a, b)) >= reach + other + 0.01


def test_more_objects_than_there_is_room_for_are_all_placed() -> None:
    (places,) = scattered(np.random.default_rng(0), 1.0, (60,), (0.2,), 0.0)
    assert len(places) == 60


def test_mean_square_is_that_of_many_numbers() -> None:
    grid = np.linspace(2.2, 3.4, 10_001)
    assert mean_square(2.2, 3.4) == pytest.approx((grid**2).mean(), rel=1e-4)
