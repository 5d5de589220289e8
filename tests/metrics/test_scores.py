"""Scores from a confusion matrix against a brute-force count over pixels."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsuite.metrics import CLASS_SCORES, SCALAR_SCORES
from segsuite.metrics.scores import Scores

VOID = 255
NUM_CLASSES = 4
pixels = st.lists(st.tuples(st.sampled_from([*range(NUM_CLASSES), VOID]), st.integers(0, NUM_CLASSES - 1)), max_size=40)
Pixels = Sequence[tuple[int, int]]


def scores_of(pairs: Pixels) -> Scores:
    matrix = np.zeros((NUM_CLASSES, NUM_CLASSES), dtype=np.int64)
    for label, prediction in pairs:
        if label != VOID:
            matrix[label, prediction] += 1
    return Scores(matrix)


def sets_of(pairs: Pixels, c: int) -> tuple[set[int], set[int]]:
    """Positions of valid pixels labelled c, and predicted c."""
    valid = [(i, label, prediction) for i, (label, prediction) in enumerate(pairs) if label != VOID]
    return {i for i, label, _ in valid if label == c}, {i for i, _, prediction in valid if prediction == c}


def brute_force(pairs: Pixels, c: int) -> dict[str, float]:
    label, predicted = sets_of(pairs, c)
    both = len(label & predicted)
    return {
        "iou": both / len(label | predicted) if label else math.nan,
        "dice": 2 * both / (len(label) + len(predicted)) if label else math.nan,
        "precision": both / len(predicted) if predicted else math.nan,
        "recall": both / len(label) if label else math.nan,
    }


@settings(deadline=None)
@given(pixels)
def test_class_scores_equal_the_count_over_pixels(pairs: Pixels) -> None:
    scores = scores_of(pairs)
    for c in range(NUM_CLASSES):
        for name, expected in brute_force(pairs, c).items():
            assert getattr(scores, name)[c] == pytest.approx(expected, nan_ok=True)


@settings(deadline=None)
@given(pixels)
def test_means_run_over_the_classes_of_the_labels(pairs: Pixels) -> None:
    scores = scores_of(pairs)
    present = {label for label, _ in pairs if label != VOID}
    for name, source in (("miou", "iou"), ("mean_dice", "dice"), ("mean_accuracy", "recall")):
        values = [brute_force(pairs, c)[source] for c in present]
        expected = sum(values) / len(values) if values else math.nan
        assert getattr(scores, name) == pytest.approx(expected, nan_ok=True)


@settings(deadline=None)
@given(pixels)
def test_pixel_scores_equal_the_count_over_pixels(pairs: Pixels) -> None:
    scores = scores_of(pairs)
    valid = [(label, prediction) for label, prediction in pairs if label != VOID]
    right = sum(label == prediction for label, prediction in valid)
    accuracy = right / len(valid) if valid else math.nan
    weighted = sum(brute_force(pairs, label)["iou"] for label, _ in valid) / len(valid) if valid else math.nan
    assert scores.pixel_accuracy == pytest.approx(accuracy, nan_ok=True)
    assert scores.frequency_weighted_iou == pytest.approx(weighted, nan_ok=True)


@settings(deadline=None)
@given(pixels)
def test_absent_predicted_are_the_classes_seen_only_in_predictions(pairs: Pixels) -> None:
    labels = {label for label, _ in pairs if label != VOID}
    predictions = {prediction for label, prediction in pairs if label != VOID}
    assert scores_of(pairs).absent_predicted == tuple(sorted(predictions - labels))


@settings(deadline=None)
@given(pixels)
def test_json_holds_every_score_and_no_nan(pairs: Pixels) -> None:
    scores = scores_of(pairs)
    document = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    for name in SCALAR_SCORES:
        expected = getattr(scores, name)
        assert document[name] == (None if math.isnan(expected) else expected)
    for name in CLASS_SCORES:
        assert document[name] == [None if math.isnan(v) else v for v in getattr(scores, name).tolist()]
    assert document["confusion"] == scores.confusion.tolist()


def test_class_absent_from_the_labels_lowers_the_others_and_not_the_mean() -> None:
    scores = Scores(np.array([[8, 2], [0, 0]]))
    assert scores.iou.tolist() == pytest.approx([0.8, math.nan], nan_ok=True)
    assert scores.miou == pytest.approx(0.8)
    assert scores.absent_predicted == (1,)


def test_class_never_predicted_counts_as_zero_in_the_mean() -> None:
    assert Scores(np.array([[8, 0], [2, 0]])).miou == pytest.approx(0.4)


def test_counts_beyond_float32_are_exact() -> None:
    # 2^24 + 1 is the first integer that float32 cannot hold; float histograms stop counting there
    scores = Scores(np.array([[2**24 + 1, 0], [1, 2**40]]))
    assert scores.precision[0] == (2**24 + 1) / (2**24 + 2)


def test_matrix_is_a_copy_that_cannot_be_written() -> None:
    matrix = np.array([[1, 0], [0, 1]])
    scores = Scores(matrix)
    matrix[0, 1] = 5
    assert scores.confusion[0, 1] == 0
    with pytest.raises(ValueError, match="read-only"):
        scores.confusion[0, 1] = 5


@pytest.mark.parametrize("matrix", [np.zeros((2, 3), int), np.zeros((2, 2)), np.array([[-1, 0], [0, 0]])])
def test_what_is_no_confusion_matrix_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match="confusion matrix"):
        Scores(matrix)
