"""Boundary counts against the papers' descriptions: erosions a class at a time, and exact distance transforms."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from segsuite.datasets import build_dataset
from segsuite.metrics import BOUNDARY_COLUMNS, BOUNDARY_SCORES
from segsuite.metrics.boundary import boundary_counts, boundary_scores

VOID = 255
Labels = NDArray[np.uint8]


def blobs(height: int, width: int, classes: int, seed: int, void: bool = True) -> Labels:
    """Regions of a few pixels up to half the image, some of them void."""
    random = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(random.normal(size=(classes, height, width)), (0, 3, 3))
    labels = noise.argmax(axis=0).astype(np.uint8)
    if void:
        labels[ndimage.gaussian_filter(random.normal(size=(height, width)), 2) > 0.14] = VOID
    return labels


def region_of_mask(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The official code's way: pad by a zero, erode `width` times by 3x3, subtract."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    region: NDArray[np.bool_] = mask & (eroded == 0)
    return region


def contour_of_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the mask with an eighth neighbour outside of it, the border of the image not counting."""
    outside = ndimage.binary_dilation(~mask, np.ones((3, 3), bool))
    contour: NDArray[np.bool_] = mask & outside
    return contour


def reference(prediction: Labels, label: Labels, classes: int) -> NDArray[np.int64]:
    prediction = np.where(label == VOID, VOID, prediction).astype(np.uint8)
    height, width = label.shape
    diagonal = math.sqrt(height**2 + width**2)
    counts = np.zeros((classes, len(BOUNDARY_COLUMNS)), dtype=np.int64)
    changes = np.zeros(label.shape, bool)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            moved = np.pad(label, 1, mode="edge")[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
            changes |= moved != label
    band = ndimage.distance_transform_cdt(~changes, "chessboard") <= 2 if changes.any() else changes
    for c in range(classes):
        of_label, of_prediction = label == c, prediction == c
        row = []
        for reach in (max(1, round(0.02 * diagonal)), 2):
            true, found = region_of_mask(of_label, reach), region_of_mask(of_prediction, reach)
            row += [(true & found).sum(), (true | found).sum()]
        true, found = contour_of_mask(of_label), contour_of_mask(of_prediction)
        to_true = ndimage.distance_transform_edt(~true) if true.any() else np.full(label.shape, np.inf)
        to_found = ndimage.distance_transform_edt(~found) if found.any() else np.full(label.shape, np.inf)
        limit = 0.0075 * diagonal
        row += [(found & (to_true <= limit)).sum(), found.sum(), (true & (to_found <= limit)).sum(), true.sum()]
        known = band & (label != VOID)
        row += [(known & of_label & of_prediction).sum(), (known & (of_label | of_prediction)).sum()]
        counts[c] = row
    return counts


@pytest.mark.parametrize("size", [(40, 57), (96, 128), (300, 400)])
@pytest.mark.parametrize("void", [False, True])
def test_counts_are_those_of_erosions_and_distance_transforms(size: tuple[int, int], void: bool) -> None:
    label, prediction = blobs(*size, 5, 1, void), blobs(*size, 5, 2, void=False)
    prediction[: size[0] // 2] = np.where(label == VOID, 0, label)[: size[0] // 2]
    np.testing.assert_array_equal(boundary_counts(prediction, label, 5), reference(prediction, label, 5))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6))
def test_counts_of_noise_of_any_size(height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    label = random.choice([0, 1, 2, VOID], (height, width)).astype(np.uint8)
    prediction = random.integers(0, 3, (height, width)).astype(np.uint8)
    np.testing.assert_array_equal(boundary_counts(prediction, label, 3), reference(prediction, label, 3))


def test_more_classes_than_an_integer_has_bits() -> None:
    random = np.random.default_rng(0)
    label = np.kron(random.integers(0, 150, (12, 16)), np.ones((8, 8), int)).astype(np.uint8)
    prediction = np.where(random.random(label.shape) < 0.2, random.integers(0, 150, label.shape), label)
    prediction = np.roll(prediction, 1, axis=1).astype(np.uint8)
    np.testing.assert_array_equal(boundary_counts(prediction, label, 150), reference(prediction, label, 150))


def test_the_label_itself_scores_one() -> None:
    label = blobs(60, 80, 4, 3)
    counts = boundary_counts(np.where(label == VOID, 0, label), label, 4)[None]
    assert boundary_scores(counts, np.ones(4, bool)) == dict.fromkeys(BOUNDARY_SCORES, 1.0)


def test_what_is_predicted_on_void_counts_nowhere() -> None:
    label, random = blobs(60, 80, 4, 4), np.random.default_rng(0)
    one, other = blobs(60, 80, 4, 5, void=False), blobs(60, 80, 4, 5, void=False)
    other[label == VOID] = random.integers(0, 4, (label == VOID).sum())
    assert (one != other).any()
    np.testing.assert_array_equal(boundary_counts(one, label, 4), boundary_counts(other, label, 4))


def test_scores_of_a_square_that_is_moved_by_hand() -> None:
    """A 20x20 square in 64x64 (diagonal 90.5: regions of 2 and 2, tolerance 0.68), predicted one pixel to the right."""
    label = np.zeros((64, 64), np.uint8)
    label[20:40, 20:40] = 1
    counts = boundary_counts(np.roll(label, 1, axis=1), label, 2)
    columns = dict(zip(BOUNDARY_COLUMNS, counts[1].tolist(), strict=True))
    ring = 20 * 20 - 16 * 16
    # the rings share the rows 0, 1, 18, 19 over 19 columns, and one column on each side over 16 rows
    shared = 4 * 19 + 2 * 16
    assert (columns["iou_2px_intersection"], columns["iou_2px_union"]) == (shared, 2 * ring - shared)
    assert (columns["iou_intersection"], columns["iou_union"]) == (shared, 2 * ring - shared)
    # contours are 76 pixels; with a tolerance below one pixel only the common 19 + 19 match
    assert (columns["f_predicted_matched"], columns["f_predicted"]) == (38, 76)
    scores = boundary_scores(counts[None], np.array([False, True]))
    assert scores["boundary_f"] == pytest.approx(0.5)
    assert scores["boundary_iou"] == pytest.approx(shared / (2 * ring - shared))


def test_counts_are_summed_before_the_ratio_is_taken() -> None:
    """Two images with unions 10 and 90 of which 10 and 0 agree: 0.1, not the mean 0.5 of the two."""
    counts = np.zeros((2, 1, len(BOUNDARY_COLUMNS)), np.int64)
    counts[:, 0, 0], counts[:, 0, 1] = [10, 0], [10, 90]
    assert boundary_scores(counts, np.array([True]))["boundary_iou"] == pytest.approx(0.1)


def test_classes_absent_from_the_labels_are_in_no_mean() -> None:
    counts = np.zeros((1, 2, len(BOUNDARY_COLUMNS)), np.int64)
    counts[0, 0, :2], counts[0, 1, :2] = [1, 2], [0, 50]
    assert boundary_scores(counts, np.array([True, False]))["boundary_iou"] == 0.5


def test_an_image_of_one_class_has_no_contour_but_the_border_of_the_image() -> None:
    label = np.zeros((30, 40), np.uint8)
    counts = boundary_counts(label, label, 1)
    scores = boundary_scores(counts[None], np.array([True]))
    assert scores["boundary_iou_2px"] == 1
    assert counts[0, 3] == 30 * 40 - 26 * 36
    assert math.isnan(scores["boundary_f"])
    assert math.isnan(scores["trimap_iou_3px"])


def test_a_checkerboard_along_borders_costs_the_narrow_region_most() -> None:
    """Two per cent of the diagonal hide a pattern of one pixel, two pixels do not."""
    label = np.zeros((360, 480), np.uint8)
    label[100:260, 150:330] = 1
    prediction = label.copy()
    prediction[100:260:2, 150] = 0
    prediction[100:260:2, 329] = 0
    scores = boundary_scores(boundary_counts(prediction, label, 2)[None], np.ones(2, bool))
    assert scores["boundary_iou_2px"] < scores["boundary_iou"] < 1


def test_counts_of_real_labels(camvid_root: Path) -> None:
    dataset = build_dataset("camvid", "val", root=str(camvid_root))
    label = dataset.read(3)[1]
    prediction = np.roll(np.where(label == VOID, 2, label), (2, 5), axis=(0, 1)).astype(np.uint8)
    np.testing.assert_array_equal(boundary_counts(prediction, label, 11), reference(prediction, label, 11))
