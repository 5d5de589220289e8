"""segsuite.datasets.transforms: image and mask move together, and nothing but a seed decides how."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest  # type: ignore[import-untyped]

from segsuite.datasets.transforms import MEAN_COLOUR, VOID, Transform

EVERYTHING: dict[str, Any] = {
    "crop": (24, 40), "scale": (0.5, 2.0), "horizontal_flip": 0.5, "brightness": 0.3, "contrast": 0.3,
    "saturation": 0.3, "hue": 0.1,
}  # fmt: skip
GEOMETRIC: list[dict[str, Any]] = [
    {"crop": (40, 50)},
    {"crop": (24, 24), "scale": (0.3, 0.6)},
    {"crop": (40, 50), "horizontal_flip": 1.0},
    {"crop": (40, 50), "scale": (0.5, 1.5), "horizontal_flip": 0.5},
]


def pair(height: int = 30, width: int = 36, seed: int = 0) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """An image whose blue channel is its mask, so that both can be compared after any step."""
    generator = np.random.default_rng(seed)
    mask = generator.choice(np.array([3, 7, 11, VOID], dtype=np.uint8), (height, width))
    image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image[..., 2] = mask
    return image, mask


@pytest.mark.parametrize("settings", GEOMETRIC)
def test_what_is_padded_is_void_and_has_the_mean_colour(settings: dict[str, Any]) -> None:
    image = np.zeros((30, 36, 3), np.uint8)
    mask = np.full((30, 36), 3, np.uint8)
    transform, padded = Transform(**settings), 0
    for seed in range(20):
        image_out, mask_out = transform(image, mask, seed)
        is_padding = image_out[..., 0] == round(MEAN_COLOUR[0])
        assert (mask_out[is_padding] == VOID).all()
        assert (mask_out[~is_padding] == 3).all()
        assert mask_out.shape == settings["crop"]
        padded += int(is_padding.sum())
    assert padded > 0


def test_padding_lies_on_any_side() -> None:
    transform = Transform(crop=(40, 50))
    mask = np.full((30, 36), 3, np.uint8)
    places = [np.argwhere(transform(pair()[0], mask, seed)[1] == 3)[0].tolist() for seed in range(60)]
    tops, lefts = zip(*places, strict=True)
    assert (min(tops), max(tops), min(lefts), max(lefts)) == (0, 10, 0, 14)


@pytest.mark.parametrize("settings", [EVERYTHING, *GEOMETRIC, {}])
def test_label_ids_are_never_invented(settings: dict[str, Any]) -> None:
    transform = Transform(**settings)
    found = set[int]()
    for seed in range(20):
        _, mask = transform(*pair(seed=seed), seed)
        assert mask.dtype == np.uint8
        found |= set(np.unique(mask).tolist())
    assert found <= {3, 7, 11, VOID}


@pytest.mark.parametrize("settings", [{"crop": (24, 24)}, {"horizontal_flip": 1.0}, {"crop": (40, 50)}])
def test_image_and_mask_move_together(settings: dict[str, Any]) -> None:
    transform = Transform(**settings)
    for seed in range(10):
        image, mask = transform(*pair(), seed)
        inside = image[..., 2] != round(MEAN_COLOUR[2])
        np.testing.assert_array_equal(image[..., 2][inside], mask[inside])


def test_the_same_seed_gives_the_same_result_whatever_came_before() -> None:
    one, other = Transform(**EVERYTHING), Transform(**EVERYTHING)
    for seed in range(5):
        other(*pair(seed=9), seed)
    for seed in (3, 1, 4):
        for left, right in zip(one(*pair(), seed), other(*pair(), seed), strict=True):
            np.testing.assert_array_equal(left, right)


def test_global_generators_neither_matter_nor_move() -> None:
    import random

    transform = Transform(**EVERYTHING)
    before = transform(*pair(), 5)[0]
    random.seed(99)
    np.random.seed(99)
    states = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    np.testing.assert_array_equal(transform(*pair(), 5)[0], before)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # type: ignore[index]


def test_other_seeds_give_other_results() -> None:
    transform = Transform(**EVERYTHING)
    assert len({transform(*pair(), seed)[0].tobytes() for seed in range(20)}) == 20


@pytest.mark.parametrize(("probability", "low", "high"), [(0.0, 0, 0), (0.5, 80, 120), (1.0, 200, 200)])
def test_flips_come_as_often_as_asked(probability: float, low: int, high: int) -> None:
    image, mask = pair()
    transform = Transform(horizontal_flip=probability)
    flipped = sum(np.array_equal(transform(image, mask, seed)[1], mask[:, ::-1]) for seed in range(200))
    assert low <= flipped <= high


def test_the_random_scale_covers_its_range() -> None:
    transform = Transform(scale=(0.5, 2.0))
    heights = [transform(*pair(60, 60), seed)[0].shape[0] for seed in range(200)]
    assert 29 <= min(heights) <= 36
    assert 110 <= max(heights) <= 121


def test_the_random_scale_is_uniform() -> None:
    transform = Transform(scale=(0.5, 2.0))
    scales = [transform(*pair(200, 8), seed)[0].shape[0] / 200 for seed in range(400)]
    assert kstest(scales, "uniform", args=(0.5, 1.5)).pvalue > 0.01
    assert kstest(np.log(scales), "uniform", args=(np.log(0.5), np.log(4.0))).pvalue < 1e-6


def test_scale_place_and_flip_are_drawn_apart() -> None:
    """From ramps as channels: their slope tells the scale and the flip, their beginning the crop's place."""
    height, width, crop, count = 90, 120, (30, 40), 400
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    image = np.stack([rows / height, columns / width, np.zeros_like(rows)], axis=-1)
    transform = Transform(crop=crop, scale=(0.6, 1.4), horizontal_flip=0.5)
    drawn = []
    for seed in range(count):
        out, _ = transform(image, np.zeros((height, width), np.uint8), seed)
        scale = (crop[0] - 11) / ((out[-6, 20, 0] - out[5, 20, 0]) * height)
        top, left = out[5, 20, 0] * height - 5 / scale, min(out[15, 5, 1], out[15, -6, 1]) * width - 5 / scale
        flipped = out[15, 0, 1] > out[15, -1, 1]
        drawn.append((scale, top / (height - crop[0] / scale), left / (width - crop[1] / scale), flipped))
    correlations = np.corrcoef(np.array(drawn, dtype=np.float64).T)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(count)  # four standard errors of independent draws


def test_a_label_scaled_down_by_3_takes_the_centre_of_each_cell() -> None:
    mask = np.arange(9 * 12, dtype=np.uint8).reshape(9, 12)
    image = np.zeros((9, 12, 3), np.uint8)
    _, small = Transform(scale=(1 / 3, 1 / 3 + 1e-9))(image, mask, 0)
    np.testing.assert_array_equal(small, mask[1::3, 1::3])


def test_image_and_label_are_scaled_about_the_same_centre() -> None:
    """A step edge: half a pixel between the two would show as a shift of the edge in one of them."""
    mask = np.zeros((30, 30), np.uint8)
    mask[:, 15:] = 1
    image = np.repeat(mask[..., None] * 200, 3, axis=2).astype(np.uint8)
    for scale in (0.5, 1 / 3, 2.0):
        image_out, mask_out = Transform(scale=(scale, scale + 1e-9))(image, mask, 0)
        np.testing.assert_array_equal(image_out[..., 0] >= 100, mask_out == 1)


def test_the_nearest_rule_of_opencv_that_is_not_used_takes_a_corner() -> None:
    """What the suite avoids; when this fails, OpenCV has changed its rule."""
    mask = np.arange(9, dtype=np.uint8).reshape(3, 3)
    assert cv2.resize(mask, (1, 1), interpolation=cv2.INTER_NEAREST)[0, 0] == 0
    assert cv2.resize(mask, (1, 1), interpolation=cv2.INTER_NEAREST_EXACT)[0, 0] == 4


def test_images_of_16_bit_sources_stay_float32_between_0_and_1() -> None:
    image, mask = pair()
    image_out, mask_out = Transform(**EVERYTHING)((image / 255).astype(np.float32), mask, 3)
    assert image_out.dtype == np.float32
    assert image_out.shape == (24, 40, 3)
    assert 0 <= image_out.min() <= image_out.max() <= 1
    assert set(np.unique(mask_out)) <= {3, 7, 11, VOID}


def test_float_images_are_padded_with_the_mean_colour_on_their_own_scale() -> None:
    image, mask = np.zeros((30, 36, 3), np.float32), np.zeros((30, 36), np.uint8)
    image_out, mask_out = Transform(crop=(40, 50))(image, mask, 0)
    np.testing.assert_allclose(image_out[mask_out == VOID][0], np.array(MEAN_COLOUR) / 255, atol=1e-6)


def test_no_settings_change_nothing() -> None:
    image, mask = pair()
    image_out, mask_out = Transform()(image, mask, 0)
    np.testing.assert_array_equal(image_out, image)
    np.testing.assert_array_equal(mask_out, mask)


def test_the_given_arrays_are_not_written_to() -> None:
    image, mask = pair()
    copies = image.copy(), mask.copy()
    Transform(**EVERYTHING)(image, mask, 0)
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(mask, copies[1])
