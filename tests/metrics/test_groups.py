"""Scores of parts of a split: frequency groups, object sizes, single images."""

import math

import numpy as np
import pytest

from segsuite.datasets.camvid import CamVid
from segsuite.metrics.groups import IMAGE_QUANTILES, frequency_groups, group_summary, image_miou
from segsuite.metrics.scores import Scores

CAMVID_SHARES = (17.54, 24.21, 1.02, 32.96, 4.67, 10.12, 1.22, 1.17, 6.11, 0.67, 0.30)
CAMVID_TRAINING_PIXELS = [round(610_000 * share) for share in CAMVID_SHARES]
RARE = ("sign", "fence", "pole", "pedestrian", "bicyclist")


def nothing(classes: int) -> np.ndarray:
    return np.zeros((1, classes, 3, 4), int)


def counts_of(matrix: np.ndarray) -> np.ndarray:
    true = np.diag(matrix)
    return np.stack([true, matrix.sum(0) - true, matrix.sum(1) - true], axis=1)


def test_the_tail_of_camvid_are_its_five_rare_classes() -> None:
    assert frequency_groups(CAMVID_TRAINING_PIXELS, CamVid.classes) == {
        "head": ("road", "building", "sky", "tree"),
        "body": ("car", "pavement"),
        "tail": RARE,
    }


def test_edges_of_the_groups_are_an_equal_share_and_a_fifth_of_it() -> None:
    groups = frequency_groups([80, 20, 4, 3, 0], ["a", "b", "c", "d", "e"])
    assert groups == {"head": ("a",), "body": ("b",), "tail": ("c", "d", "e")}
    assert frequency_groups([50, 50], ["a", "b"])["head"] == ("a", "b")
    assert frequency_groups([90, 10], ["a", "b"])["body"] == ("b",)


def test_without_training_pixels_everything_is_tail() -> None:
    assert frequency_groups([0, 0], ["a", "b"])["tail"] == ("a", "b")


def test_a_model_blind_to_the_rare_classes_of_camvid_shows_it() -> None:
    """The numbers of docs/guides/data.md: pixel accuracy .956 and micro IoU .916, but mIoU .532."""
    matrix = np.diag(CAMVID_TRAINING_PIXELS)
    for name in RARE:
        place = CamVid.classes.index(name)
        matrix[place, CamVid.classes.index("building")] = matrix[place, place]
        matrix[place, place] = 0
    scores = Scores(matrix)
    found = group_summary(counts_of(matrix)[None], nothing(11), CAMVID_TRAINING_PIXELS, CamVid.classes)["frequency"]
    assert scores.pixel_accuracy == pytest.approx(0.956, abs=5e-4)
    assert scores.pixel_accuracy / (2 - scores.pixel_accuracy) == pytest.approx(0.916, abs=5e-4)
    assert scores.miou == pytest.approx(0.532, abs=2e-3)
    assert found["tail"] == {"classes": list(RARE), "miou": 0, "mean_recall": 0}
    assert found["head"]["miou"] > 0.95
    assert found["body"]["mean_recall"] == 1


def test_group_scores_are_means_of_class_scores_over_the_images() -> None:
    random = np.random.default_rng(0)
    matrices = random.integers(0, 50, (4, 6, 6))
    matrices[:, 5] = 0  # in no label
    counts = np.stack([counts_of(matrix) for matrix in matrices])
    pixels = [100, 90, 30, 10, 5, 4]
    found = group_summary(counts, nothing(6), pixels, tuple("abcdef"))["frequency"]
    scores = Scores(matrices.sum(0))
    assert found["head"]["miou"] == pytest.approx(scores.iou[:2].mean())
    assert found["body"]["miou"] == pytest.approx(scores.iou[2:4].mean())
    assert found["tail"]["classes"] == ["e", "f"]
    assert found["tail"]["miou"] == pytest.approx(scores.iou[4])
    assert found["tail"]["mean_recall"] == pytest.approx(scores.recall[4])


def test_a_group_without_a_class_in_the_labels_has_no_score() -> None:
    counts = np.array([[[5, 0, 1], [0, 1, 0]]])
    found = group_summary(counts, nothing(2), [100, 1], ("a", "b"))["frequency"]
    assert math.isnan(found["tail"]["miou"])
    assert math.isnan(found["body"]["miou"])
    assert found["head"]["miou"] == pytest.approx(5 / 6)


def test_the_miou_of_an_image_is_over_the_classes_in_its_label() -> None:
    counts = np.array([[[8, 2, 0], [0, 0, 2], [0, 0, 0]], [[0, 0, 0], [0, 3, 0], [0, 0, 0]]])
    found = image_miou(counts)
    assert found[0] == pytest.approx((8 / 10 + 0) / 2)
    assert math.isnan(found[1])


def test_quantiles_of_images_leave_out_those_without_a_label() -> None:
    counts = np.zeros((6, 1, 3), int)
    counts[:5, 0, 0], counts[:5, 0, 2] = [1, 2, 3, 4, 5], [9, 8, 7, 6, 5]
    found = group_summary(counts, np.zeros((6, 1, 3, 4), int), [1], ("a",))["image_miou"]
    assert found["mean"] == pytest.approx(0.3)
    assert found["quantiles"]["0"] == pytest.approx(0.1)
    assert found["quantiles"]["0.5"] == pytest.approx(0.3)
    assert len(found["quantiles"]) == len(IMAGE_QUANTILES)


def test_recall_by_size_is_the_mean_over_classes_that_have_such_objects() -> None:
    objects = np.zeros((2, 2, 3, 4), int)
    objects[0, 0, 0], objects[1, 0, 0] = [100, 50, 2, 1], [100, 100, 1, 1]
    objects[0, 1, 0] = [10, 0, 1, 0]
    objects[1, 1, 2] = [9000, 900, 1, 0]
    found = group_summary(np.ones((2, 2, 3), int), objects, [9, 1], ("a", "b"))["object_size"]
    assert found["small"] == {
        "mean_recall": pytest.approx((0.75 + 0) / 2),
        "recall": {"a": 0.75, "b": 0.0},
        "objects": 4,
        "objects_found": 2,
    }
    assert math.isnan(found["medium"]["mean_recall"])
    assert found["large"]["mean_recall"] == pytest.approx(0.1)
