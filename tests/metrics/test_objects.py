"""Objects by size, against components that scipy finds."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from segsuite.datasets import build_dataset
from segsuite.metrics.objects import object_counts

VOID = 255


def reference(prediction: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """The counts by a loop over the components of each class."""
    counts = np.zeros((classes, 3, 4), int)
    for k in range(classes):
        components, found = ndimage.label(label == k, structure=np.ones((3, 3)))
        for number in range(1, found + 1):
            inside = components == number
            area, true = inside.sum(), (prediction[inside] == k).sum()
            size = 0 if area < 32 * 32 else 1 if area < 96 * 96 else 2
            counts[k, size] += [area, true, 1, true >= area / 2]
    return counts


def patches(seed: int, size: tuple[int, int] = (120, 150)) -> tuple[np.ndarray, np.ndarray]:
    """A label of rectangles and single pixels of 5 classes and void, and a prediction that is partly wrong."""
    random = np.random.default_rng(seed)
    label = np.zeros(size, np.uint8)
    for _ in range(25):
        top, left = random.integers(0, size[0] - 5), random.integers(0, size[1] - 5)
        height, width = random.integers(1, 60, 2)
        label[top : top + height, left : left + width] = random.choice([0, 1, 2, 3, VOID])
    label[random.random(size) < 0.01] = 2
    wrong = random.random(size) < random.random(size).cumsum(axis=1) / size[1]
    return np.where(wrong, random.integers(0, 5, size), label).astype(np.uint8), label


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_a_loop_over_components(seed: int) -> None:
    prediction, label = patches(seed)
    np.testing.assert_array_equal(object_counts(prediction, label, 5), reference(prediction, label, 5))


def test_a_diagonal_joins_and_void_separates() -> None:
    label = np.full((5, 5), VOID, np.uint8)
    label[0, 0] = label[1, 1] = label[4, 4] = 1
    assert object_counts(label, label, 2)[1, 0].tolist() == [3, 3, 2, 2]


@pytest.mark.parametrize(("side", "size"), [(31, 0), (32, 1), (95, 1), (96, 2)])
def test_sizes_begin_at_squares_of_32_and_96_pixels(side: int, size: int) -> None:
    label = np.zeros((100, 100), np.uint8)
    label[:side, :side] = 1
    assert object_counts(label, label, 2)[1, size].tolist() == [side**2, side**2, 1, 1]


@pytest.mark.parametrize(("right", "found"), [(5, 1), (4, 0)])
def test_an_object_is_found_when_half_of_it_is_right(right: int, found: int) -> None:
    label, prediction = np.zeros((3, 12), np.uint8), np.zeros((3, 12), np.uint8)
    label[1, :10] = 1
    prediction[1, :right] = 1
    assert object_counts(prediction, label, 2)[1, 0].tolist() == [10, right, 1, found]


def test_pixels_add_up_to_the_label() -> None:
    prediction, label = patches(9)
    counts = object_counts(prediction, label, 5)
    assert counts[..., 0].sum(axis=1).tolist() == np.bincount(label[label != VOID], minlength=5).tolist()
    right = label[(prediction == label) & (label != VOID)]
    assert counts[..., 1].sum(axis=1).tolist() == np.bincount(right, minlength=5).tolist()


def test_a_label_of_void_has_no_object() -> None:
    label = np.full((4, 4), VOID, np.uint8)
    assert not object_counts(np.zeros_like(label), label, 3).any()


def test_counts_of_a_real_label(camvid_root: Path) -> None:
    label = build_dataset("camvid", "val", root=str(camvid_root)).read(7)[1]
    prediction = np.roll(label, (1, 3), axis=(0, 1))
    np.testing.assert_array_equal(object_counts(prediction, label, 11), reference(prediction, label, 11))
