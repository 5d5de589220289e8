"""segsuite.datasets.fractions: no split is empty, and an image's own name decides wherever it can."""

import pytest

from segsuite.datasets.fractions import parts, split_of
from segsuite.errors import DataError

USUAL = {"train": 0.8, "val": 0.2}
THREE = {"train": 0.98, "val": 0.01, "test": 0.01}


@pytest.mark.parametrize("fractions", [USUAL, THREE, {"train": 0.01, "val": 0.01}])
@pytest.mark.parametrize("count", [3, 4, 7])
def test_no_split_is_empty(fractions: dict[str, float], count: int) -> None:
    keys = [f"images/{number}" for number in range(count)]
    for seed in range(50):
        assert set(fractions) <= set(parts(keys, fractions, seed))


def test_where_no_split_is_empty_each_name_decides_alone() -> None:
    keys = [f"images/{number}" for number in range(200)]
    assert parts(keys, USUAL, 3) == [split_of(key, USUAL, 3) for key in keys]


def test_the_order_of_the_images_does_not_matter() -> None:
    keys = [f"{number}" for number in range(4)]
    for seed in range(20):
        forward, backward = parts(keys, THREE, seed), parts(keys[::-1], THREE, seed)
        assert forward == backward[::-1]


def test_only_as_many_images_move_as_splits_would_be_empty() -> None:
    keys = [f"{number}" for number in range(10)]
    for seed in range(50):
        alone = [split_of(key, USUAL, seed) for key in keys]
        moved = sum(one != other for one, other in zip(alone, parts(keys, USUAL, seed), strict=True))
        assert moved == len(set(USUAL) - set(alone))


def test_fewer_images_than_splits_are_refused() -> None:
    with pytest.raises(DataError, match="1 image cannot fill the 2 splits"):
        parts(["a"], USUAL, 0)
