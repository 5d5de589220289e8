"""segsuite.datasets.class_crops: which classes crops hold, and how often, against formulas and enumeration."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segsuite.datasets import build_dataset
from segsuite.datasets.class_crops import ClassAwarePlacement
from segsuite.datasets.statistics import read_label
from segsuite.datasets.transforms import Transform

VOID = 255
Mask = NDArray[np.uint8]
Place = tuple[int, int]


def places(placement: ClassAwarePlacement, mask: Mask, crop: Place, count: int, plain: Place = (0, 0)) -> list[Place]:
    generator = np.random.default_rng(0)
    return [placement.place(mask, crop, plain, generator) for _ in range(count)]


def frequencies(found: list[Any]) -> dict[Any, float]:
    return {key: found.count(key) / len(found) for key in set(found)}


def assert_drawn_with(found: list[Any], chances: dict[Any, float]) -> None:
    """Each frequency lies within 4.5 standard deviations of its chance, and nothing else was drawn."""
    drawn = frequencies(found)
    assert set(drawn) <= set(chances)
    for key, chance in chances.items():
        assert abs(drawn.get(key, 0.0) - chance) <= 4.5 * math.sqrt(chance * (1 - chance) / len(found)) + 1e-12


def largest_share(mask: Mask, place: Place, crop: Place) -> float:
    """Plain loops over the pixels of the crop at `place`."""
    counts: dict[int, int] = {}
    for row in range(place[0], place[0] + crop[0]):
        for column in range(place[1], place[1] + crop[1]):
            if mask[row, column] != VOID:
                counts[int(mask[row, column])] = counts.get(int(mask[row, column]), 0) + 1
    return max(counts.values()) / sum(counts.values()) if counts else 1.0


def every_place(mask: Mask, crop: Place) -> list[Place]:
    return [(top, left) for top in range(len(mask) - crop[0] + 1) for left in range(len(mask[0]) - crop[1] + 1)]


@given(st.integers(0, 6), st.integers(0, 8), st.integers(1, 7), st.integers(1, 9), st.integers(0, 99))
def test_a_crop_holds_the_pixel_of_a_class_with_one_pixel(
    row: int, column: int, height: int, width: int, seed: int
) -> None:
    mask = np.full((7, 9), VOID, np.uint8)
    mask[row, column] = 1
    top, left = ClassAwarePlacement([0.9, 0.1], 1.0).place(mask, (height, width), (0, 0), np.random.default_rng(seed))
    assert 0 <= top <= row < top + height <= 7
    assert 0 <= left <= column < left + width <= 9


@pytest.mark.parametrize("pixel", [(0, 0), (3, 5), (6, 2)])
def test_all_places_that_hold_the_pixel_are_alike(pixel: Place) -> None:
    mask, crop = np.zeros((7, 9), np.uint8), (3, 4)
    mask[pixel] = 1
    holding = [
        (top, left)
        for top, left in every_place(mask, crop)
        if any((top + i, left + j) == pixel for i in range(3) for j in range(4))
    ]
    found = places(ClassAwarePlacement([0.99, 0.01], 1.0, temperature=0.001), mask, crop, 4000)
    assert_drawn_with(found, dict.fromkeys(holding, 1 / len(holding)))


def test_all_pixels_of_the_class_are_alike() -> None:
    mask = np.zeros((4, 5), np.uint8)
    rare = [(0, 0), (0, 4), (2, 2), (3, 1)]
    for pixel in rare:
        mask[pixel] = 1
    found = places(ClassAwarePlacement([0.99, 0.01], 1.0, temperature=0.001), mask, (1, 1), 4000)
    assert_drawn_with(found, dict.fromkeys(rare, 0.25))


SHARES = [0.6, 0.3, 0.06, 0.03, 0.01]


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
def test_a_class_is_drawn_by_the_rule_of_rare_class_sampling_among_those_of_the_image(temperature: float) -> None:
    mask = np.array([[0, 0, 0, 1, 3, 4, VOID]], np.uint8)  # class 2 is not there
    weights = {c: math.exp((1 - SHARES[c]) / temperature) for c in (0, 1, 3, 4)}
    chances = {c: weight / sum(weights.values()) for c, weight in weights.items()}
    placement = ClassAwarePlacement(SHARES, 1.0, temperature)
    assert_drawn_with([int(mask[place]) for place in places(placement, mask, (1, 1), 4000)], chances)


def test_without_a_temperature_all_classes_of_the_image_are_alike() -> None:
    mask = np.array([[0, 0, 0, 1, 3, 4, VOID]], np.uint8)
    found = places(ClassAwarePlacement(SHARES, 1.0, temperature=None), mask, (1, 1), 4000)
    assert_drawn_with([int(mask[place]) for place in found], dict.fromkeys((0, 1, 3, 4), 0.25))


def test_a_tiny_temperature_always_draws_the_rarest_class_and_overflows_nowhere() -> None:
    mask = np.array([[0, 0, 0, 1, 2]], np.uint8)
    found = places(ClassAwarePlacement(SHARES, 1.0, temperature=1e-9), mask, (1, 1), 50)
    assert {int(mask[place]) for place in found} == {2}


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_crops_are_placed_by_class_as_often_as_asked(probability: float) -> None:
    mask = np.zeros((5, 5), np.uint8)
    mask[4, 4] = 1
    found = places(ClassAwarePlacement([0.96, 0.04], probability, 0.001), mask, (1, 1), 2000, plain=(2, 1))
    assert_drawn_with(found, {(4, 4): probability, (2, 1): 1 - probability})


@pytest.mark.parametrize("max_share", [1.0, 0.5])
def test_an_image_that_is_all_void_keeps_the_plain_place(max_share: float) -> None:
    mask = np.full((5, 5), VOID, np.uint8)
    assert places(ClassAwarePlacement([0.5, 0.5], 1.0, max_share=max_share), mask, (2, 2), 9, (1, 3)) == [(1, 3)] * 9


def half_and_half() -> Mask:
    """Left: one class; right: a chequer of two; and some void."""
    mask = np.zeros((8, 16), np.uint8)
    mask[:, 8:] = np.add.outer(np.arange(8), np.arange(8)) % 2
    mask[2:4, 3:12] = VOID
    return mask


@pytest.mark.parametrize("probability", [0.0, 1.0])
@pytest.mark.parametrize("max_share", [0.55, 0.7, 0.9])
def test_no_class_has_more_than_the_maximum_where_enough_places_are_tried(probability: float, max_share: float) -> None:
    mask, crop = half_and_half(), (4, 4)
    placement = ClassAwarePlacement([0.7, 0.3], probability, max_share=max_share, tries=300)
    assert max(largest_share(mask, place, crop) for place in places(placement, mask, crop, 60)) <= max_share


def test_a_plain_place_below_the_maximum_stays() -> None:
    mask = half_and_half()
    placement = ClassAwarePlacement([0.7, 0.3], 0.0, max_share=0.6)
    assert places(placement, mask, (4, 4), 20, plain=(4, 10)) == [(4, 10)] * 20


def test_when_no_place_is_good_the_one_with_the_smallest_share_is_taken() -> None:
    mask, crop = half_and_half(), (4, 4)
    smallest = min(largest_share(mask, place, crop) for place in every_place(mask, crop))
    placement = ClassAwarePlacement([0.7, 0.3], 0.0, max_share=smallest - 0.01, tries=3000)
    (place,) = places(placement, mask, crop, 1)
    assert largest_share(mask, place, crop) == pytest.approx(smallest)


def test_as_many_places_are_tried_as_asked() -> None:
    """Of 10 places one is good: k tries, the first of which is plain, find it with probability 1 - 0.9^(k-1)."""
    mask = np.zeros((1, 11), np.uint8)
    mask[0, 10] = 1
    placement = ClassAwarePlacement([0.9, 0.1], 0.0, max_share=0.5, tries=4)
    found = [place == (0, 9) for place in places(placement, mask, (1, 2), 3000)]
    assert_drawn_with(found, {True: 1 - 0.9**3, False: 0.9**3})


EVERYTHING: dict[str, Any] = {
    "crop": (24, 40), "scale": (0.5, 2.0), "horizontal_flip": 0.5, "brightness": 0.3, "contrast": 0.3, "hue": 0.1,
}  # fmt: skip
RARE_FIRST = ClassAwarePlacement([0.5, 0.3, 0.19, 0.01], 1.0)


def picture(seed: int, height: int = 60, width: int = 80) -> tuple[NDArray[np.uint8], Mask]:
    """An image whose channels are row, column and label."""
    mask = np.random.default_rng(seed).choice(np.array([0, 1, 2, VOID], np.uint8), (height, width))
    mask[seed % height, seed % width] = 3
    rows, columns = np.indices(mask.shape)
    return np.stack([rows, columns, mask], axis=2).astype(np.uint8), mask


def test_with_probability_0_all_comes_as_without_placement() -> None:
    plain = Transform(**EVERYTHING)
    placed = Transform(**EVERYTHING, placement=ClassAwarePlacement([0.25] * 4, 0.0))
    for seed in range(20):
        for one, other in zip(plain(*picture(seed), seed), placed(*picture(seed), seed), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_placed_crop_holds_the_rare_pixel_with_image_and_label_together() -> None:
    transform = Transform(crop=(24, 40), horizontal_flip=0.5, placement=RARE_FIRST)
    for seed in range(30):
        image, mask = transform(*picture(seed), seed)
        np.testing.assert_array_equal(image[..., 2], mask)
        assert (mask == 3).sum() == 1


def test_placement_changes_neither_flips_nor_scales() -> None:
    settings: dict[str, Any] = {"crop": (24, 40), "scale": (0.5, 2.0), "horizontal_flip": 0.5}
    steps = []
    for placement in (None, RARE_FIRST):
        transform = Transform(**settings, placement=placement)
        images = [transform(*picture(seed, 120, 160), seed)[0].astype(int) for seed in range(30)]
        steps.append([float(image[12, 39, 1] - image[12, 0, 1]) / 39 for image in images])
    assert min(steps[0]) < 0 < max(steps[0])
    assert steps[0] == pytest.approx(steps[1], abs=2 / 39)  # columns are rounded to whole numbers


def test_a_placed_crop_is_a_function_of_its_seed() -> None:
    one, other = (Transform(**EVERYTHING, placement=RARE_FIRST) for _ in range(2))
    for seed in range(5):
        other(*picture(9), seed + 100)
    for seed in (3, 1, 4):
        np.testing.assert_array_equal(one(*picture(0), seed)[0], other(*picture(0), seed)[0])


def test_rare_classes_have_a_larger_share_of_placed_crops_of_camvid(camvid_root: Path) -> None:
    dataset = build_dataset("camvid", "train", root=camvid_root)
    labels = [read_label(dataset, index) for index in range(0, len(dataset), 6)]
    pixels_C = np.sum([np.bincount(label.ravel(), minlength=256)[:11] for label in labels], axis=0)
    rare = np.argsort(pixels_C)[:5]
    assert {dataset.classes[c] for c in rare} == {"pole", "sign", "fence", "pedestrian", "bicyclist"}
    shares = {}
    for probability in (0.0, 1.0):
        placement = ClassAwarePlacement((pixels_C / pixels_C.sum()).tolist(), probability)
        transform = Transform(crop=(96, 128), placement=placement)
        crops = [
            transform(np.zeros((*label.shape, 3), np.uint8), label, seed * len(labels) + place)[1]
            for seed in range(4)
            for place, label in enumerate(labels)
        ]
        counts_C = np.bincount(np.concatenate(crops).ravel(), minlength=256)[:11]
        shares[probability] = counts_C[rare].sum() / counts_C.sum()
    assert shares[1.0] > 1.5 * shares[0.0]
