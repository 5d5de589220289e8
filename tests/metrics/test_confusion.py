"""Counting pixels with torch against loops over pixels."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segsuite.errors import DataError, NonFiniteError
from segsuite.metrics.confusion import confusion_matrix, counts_of, image_counts, image_matrices, predict


def random_pair(seed: int, num_classes: int, images: int = 3) -> tuple[Tensor, Tensor]:
    """uint8 predictions and labels (N, 5, 4), about a fifth of the labels void."""
    generator = torch.Generator().manual_seed(seed)
    prediction_NHW = torch.randint(0, num_classes, (images, 5, 4), generator=generator)
    label_NHW = torch.randint(0, num_classes, (images, 5, 4), generator=generator)
    label_NHW[torch.rand(images, 5, 4, generator=generator) < 0.2] = 255
    return prediction_NHW.to(torch.uint8), label_NHW.to(torch.uint8)


def matrix_by_loops(prediction_NHW: Tensor, label_NHW: Tensor, num_classes: int) -> Tensor:
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    pairs = zip(label_NHW.flatten().tolist(), prediction_NHW.flatten().tolist(), strict=True)
    for label, prediction in pairs:
        if label != 255:
            matrix[label, prediction] += 1
    return matrix


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), num_classes=st.sampled_from([1, 2, 11, 60, 200, 255]))
def test_matrix_equals_the_loop_over_pixels(seed: int, num_classes: int) -> None:
    prediction_NHW, label_NHW = random_pair(seed, num_classes)
    expected = matrix_by_loops(prediction_NHW, label_NHW, num_classes)
    assert torch.equal(confusion_matrix(prediction_NHW, label_NHW, num_classes), expected)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), num_classes=st.sampled_from([2, 11, 120]))
def test_image_counts_equal_the_loop_over_each_image(seed: int, num_classes: int) -> None:
    prediction_NHW, label_NHW = random_pair(seed, num_classes)
    counts = image_counts(prediction_NHW, label_NHW, num_classes)
    for i in range(len(label_NHW)):
        matrix = matrix_by_loops(prediction_NHW[i], label_NHW[i], num_classes)
        for c in range(num_classes):
            true = int(matrix[c, c])
            expected = [true, int(matrix[:, c].sum()) - true, int(matrix[c].sum()) - true]
            assert counts[i, c].tolist() == expected


def test_matrices_of_images_add_up_to_that_of_the_batch() -> None:
    prediction_NHW, label_NHW = random_pair(0, 11)
    matrices = image_matrices(prediction_NHW, label_NHW, 11)
    assert torch.equal(matrices.sum(0), confusion_matrix(prediction_NHW, label_NHW, 11))
    assert torch.equal(counts_of(matrices), image_counts(prediction_NHW, label_NHW, 11))


@pytest.mark.parametrize("label_type", [torch.uint8, torch.int32, torch.int64])
@pytest.mark.parametrize("prediction_type", [torch.uint8, torch.int64])
def test_integer_types_give_one_matrix(label_type: torch.dtype, prediction_type: torch.dtype) -> None:
    prediction_NHW, label_NHW = random_pair(1, 7)
    matrix = confusion_matrix(prediction_NHW.to(prediction_type), label_NHW.to(label_type), 7)
    assert torch.equal(matrix, confusion_matrix(prediction_NHW, label_NHW, 7))
    assert matrix.dtype == torch.int64


def test_all_void_counts_nothing() -> None:
    prediction_NHW, label_NHW = random_pair(2, 7)
    assert confusion_matrix(prediction_NHW, torch.full_like(label_NHW, 255), 7).sum() == 0


@pytest.mark.parametrize("wrong", [7, 254, -1, 300, 70000])
def test_unknown_label_is_named(wrong: int) -> None:
    prediction_NHW, label_NHW = random_pair(3, 7)
    label_NHW = label_NHW.long()
    label_NHW[2, 1, 1] = wrong
    with pytest.raises(DataError, match=rf"label {wrong} is neither a class \(0..6\)"):
        confusion_matrix(prediction_NHW, label_NHW, 7)


def test_prediction_beyond_the_classes_is_an_error() -> None:
    prediction_NHW, label_NHW = random_pair(4, 7)
    prediction_NHW[0, 0, 0], label_NHW[0, 0, 0] = 9, 1
    with pytest.raises(ValueError, match="prediction 9"):
        confusion_matrix(prediction_NHW, label_NHW, 7)


@pytest.mark.parametrize(("num_classes", "dtype"), [(2, torch.uint8), (255, torch.uint8), (256, torch.int64)])
def test_prediction_is_the_index_of_the_largest_logit(num_classes: int, dtype: torch.dtype) -> None:
    logits_NCHW = torch.randn(2, num_classes, 5, 6)
    prediction_NHW = predict(logits_NCHW)
    assert prediction_NHW.dtype == dtype
    assert torch.equal(prediction_NHW.long(), logits_NCHW.argmax(1))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_non_finite_logit_is_refused(bad: float) -> None:
    logits_NCHW = torch.randn(2, 3, 5, 6)
    logits_NCHW[1, 2, 4, 5] = bad
    with pytest.raises(NonFiniteError):
        predict(logits_NCHW)


def test_large_fp16_logits_are_finite() -> None:
    assert (predict(torch.full((1, 2, 64, 64), 6e4, dtype=torch.float16)) == 0).all()
