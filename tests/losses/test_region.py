"""Dice and its kin: which classes and images count."""

import pytest
import torch
from torch import Tensor

from segsuite.errors import ConfigError
from segsuite.losses import build_loss
from tests.losses.cases import batch

KIN = ["dice", "jaccard", "tversky", "focal_tversky"]


def half_wrong() -> tuple[Tensor, Tensor]:
    """Labels of class 0 only, half of them predicted as class 1 of 5."""
    labels_NHW = torch.zeros(1, 4, 6, dtype=torch.uint8)
    predicted_NHW = labels_NHW.clone()
    predicted_NHW[:, 2:] = 1
    return 50.0 * (predicted_NHW[:, None] == torch.arange(5)[:, None, None]), labels_NHW


def test_absent_classes_do_not_dilute_the_mean_over_present_ones() -> None:
    assert build_loss("dice")(*half_wrong()).item() == pytest.approx(1 - 2 * 12 / (12 + 24))


def test_absent_classes_that_are_predicted_cost_when_all_classes_are_averaged() -> None:
    of_present, of_predicted = 1 - (2 * 12 + 1) / (12 + 24 + 1), 1 - 1 / (12 + 1)
    value = build_loss("dice", average="all", smooth=1.0)(*half_wrong())
    assert value.item() == pytest.approx((of_present + of_predicted) / 5)


@pytest.mark.parametrize("name", KIN)
def test_all_classes_without_smoothing_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="average is all and smooth is 0"):
        build_loss(name, average="all")


@pytest.mark.parametrize("name", [*KIN, "lovasz_softmax"])
def test_unknown_average_gets_the_nearest_name(name: str) -> None:
    with pytest.raises(ConfigError, match="did you mean 'present'"):
        build_loss(name, average="presnt")


@pytest.mark.parametrize("name", [*KIN, "lovasz_softmax", "generalised_dice"])
def test_an_image_of_void_pixels_counts_for_nothing(name: str) -> None:
    logits_NCHW, labels_NHW = batch()
    labels_NHW[1] = 255
    loss = build_loss(name, per_image=True)
    torch.testing.assert_close(loss(logits_NCHW, labels_NHW), loss(logits_NCHW[:1], labels_NHW[:1]))


def test_a_missed_class_of_one_pixel_costs_as_much_as_any_other() -> None:
    labels_NHW = torch.zeros(1, 64, 64, dtype=torch.uint8)
    labels_NHW[0, 3, 5] = 1
    logits_NCHW = torch.zeros(1, 2, 64, 64)
    logits_NCHW[:, 0] = 50.0
    assert build_loss("dice")(logits_NCHW, labels_NHW).item() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("name", ["tversky", "focal_tversky"])
def test_beta_above_alpha_makes_misses_dearer_than_false_alarms(name: str) -> None:
    labels_NHW = torch.zeros(1, 8, 8, dtype=torch.uint8)
    labels_NHW[0, 3:5, 3:5] = 1
    larger_NHW, smaller_NHW = labels_NHW.clone(), labels_NHW.clone()
    larger_NHW[0, 3:5, 5:7], smaller_NHW[0, 3:5, 4] = 1, 0  # 4 false pixels of the class, 2 missed ones

    def value(predicted_NHW: Tensor) -> float:
        logits_NCHW = 50.0 * (predicted_NHW[:, None] == torch.arange(2)[:, None, None])
        return float(build_loss(name, class_weights=[0.0, 1.0])(logits_NCHW, labels_NHW))

    assert value(smaller_NHW) > value(larger_NHW)
