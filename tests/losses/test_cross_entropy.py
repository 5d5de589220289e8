"""Cross entropy beside torch's own, which is its reference wherever that is defined."""

import math

import pytest
import torch
from torch import nn

from segsuite.errors import ConfigError
from segsuite.losses import build_loss
from segsuite.losses.labels import weight_sum
from tests.losses.cases import batch, value_and_gradient

WEIGHTS = [1.0, 0.0, 2.5, 0.3, 1.0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("channels_last", [False, True])
def test_equals_torch_in_value_and_gradient(smoothing: float, weights: list[float] | None, channels_last: bool) -> None:
    logits_NCHW, labels_NHW = batch()
    if channels_last:
        logits_NCHW = logits_NCHW.to(memory_format=torch.channels_last)
    loss = build_loss("cross_entropy", label_smoothing=smoothing, class_weights=weights)
    ours = value_and_gradient(loss, logits_NCHW, labels_NHW)
    torchs = nn.CrossEntropyLoss(
        None if weights is None else torch.tensor(weights), ignore_index=255, label_smoothing=smoothing
    )
    torch.testing.assert_close(ours, value_and_gradient(torchs, logits_NCHW, labels_NHW.long()))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_as_a_term_it_is_what_it_is_alone(smoothing: float, weights: list[float] | None) -> None:
    settings = {"name": "cross_entropy", "label_smoothing": smoothing, "class_weights": weights}
    ours = value_and_gradient(build_loss("sum", terms=[settings]), *batch())
    torch.testing.assert_close(ours, value_and_gradient(build_loss(**settings), *batch()))


def test_uniform_logits_give_the_logarithm_of_the_number_of_classes() -> None:
    value = build_loss("cross_entropy")(torch.zeros(1, 11, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8))
    assert value.item() == pytest.approx(math.log(11))


def test_only_valid_pixels_count() -> None:
    logits_NCHW, labels_NHW = batch()
    half_NHW = labels_NHW.clone()
    half_NHW[1] = 255
    loss = build_loss("cross_entropy")
    torch.testing.assert_close(loss(logits_NCHW, half_NHW), loss(logits_NCHW[:1], labels_NHW[:1]))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_sum_of_weights_counts_each_valid_pixel_once(weights: list[float] | None) -> None:
    _, labels_NHW = batch()
    counted = [1.0] * 5 if weights is None else weights
    expected = sum(counted[label] for label in labels_NHW.flatten().tolist() if label != 255)
    found = weight_sum(labels_NHW, None if weights is None else torch.tensor(weights), 5, 255)
    assert found.item() == pytest.approx(expected)


def test_deterministic_mode_changes_nothing() -> None:
    expected = value_and_gradient(build_loss("cross_entropy"), *batch())
    torch.use_deterministic_algorithms(True)
    try:
        ours = value_and_gradient(build_loss("cross_entropy"), *batch())
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(ours, expected)


def test_smoothing_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"label_smoothing is 1\.5"):
        build_loss("cross_entropy", label_smoothing=1.5)


def test_class_weights_of_another_length_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 numbers, the model has 5 classes"):
        build_loss("cross_entropy", class_weights=[1.0, 2.0])(*batch())
