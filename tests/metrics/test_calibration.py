"""Calibration from histograms, against sums over every pixel."""

import math

import numpy as np
import pytest
import torch

from segsuite.metrics.calibration import (
    RELIABILITY_BINS,
    brier_score,
    calibration_summary,
    expected_calibration_error,
    overconfidence,
    reliability,
)
from segsuite.metrics.confusion import predict
from segsuite.metrics.histograms import BINS
from segsuite.metrics.probabilities import ProbabilityCounter
from tests.metrics.made_histograms import KINDS, Floats, Mask, draw, histogram


def exact_error(probability: Floats, right: Mask) -> float:
    """Expected calibration error over 16 bins of equal width, by its definition."""
    total = 0.0
    for place in range(16):
        low, high = place / 16, (place + 1) / 16
        inside = (probability > low) & (probability <= high)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - probability[inside].mean())
    return total


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "tied"])
@pytest.mark.parametrize("seed", range(4))
def test_the_calibration_error_is_within_its_bound(kind: str, seed: int) -> None:
    probability, right = draw(kind, seed)
    found = expected_calibration_error(histogram(probability, right))
    assert abs(found.value - exact_error(probability, right)) <= found.error
    assert found.error < 0.0021


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_the_brier_score_is_within_its_bound(kind: str, seed: int) -> None:
    probability, positive = draw(kind, seed)
    found = brier_score(histogram(probability, positive))
    assert abs(found.value - ((probability - positive) ** 2).mean()) <= found.error
    assert found.error < 0.0045


def test_errors_of_many_pixels_are_far_below_their_bound() -> None:
    probability, right = draw("common", 0, 20_000)
    counts = histogram(probability, right)
    assert expected_calibration_error(counts).value == pytest.approx(exact_error(probability, right), abs=1e-4)
    assert brier_score(counts).value == pytest.approx(((probability - right) ** 2).mean(), abs=1e-4)


def test_probabilities_that_come_true_are_calibrated() -> None:
    random = np.random.default_rng(0)
    probability = random.random(200_000)
    counts = histogram(probability, random.random(200_000) < probability)
    assert expected_calibration_error(counts).value < 0.01
    assert abs(overconfidence(counts).value) < 0.005


@pytest.mark.parametrize(("claimed", "true"), [(0.9, 0.6), (0.6, 0.9)])
def test_the_error_of_one_confidence_is_its_distance_to_what_is_right(claimed: float, true: float) -> None:
    right = np.arange(1000) < 1000 * true
    counts = histogram(np.full(1000, claimed), right)
    assert expected_calibration_error(counts).value == pytest.approx(0.3, abs=2e-3)
    assert overconfidence(counts).value == pytest.approx(claimed - true, abs=2e-3)


def test_the_diagram_has_every_pixel_once() -> None:
    probability, right = draw("confident", 1)
    found = reliability(histogram(probability, right))
    assert found.pixels.shape == (RELIABILITY_BINS,)
    assert found.pixels.sum() == len(probability)
    assert np.nansum(found.pixels * found.accuracy) == pytest.approx(right.sum())
    place = int(found.pixels.argmax())
    inside = (probability >= place / 16) & (probability <= (place + 1) / 16)
    assert found.pixels[place] == inside.sum()
    assert found.confidence[place] == pytest.approx(probability[inside].mean(), abs=2e-3)
    assert np.isnan(found.accuracy[found.pixels == 0]).all()


def test_the_confidence_of_a_bin_lies_in_it() -> None:
    found = reliability(np.ones((2, BINS), int))
    edges = np.arange(RELIABILITY_BINS + 1) / RELIABILITY_BINS
    assert ((found.confidence > edges[:-1]) & (found.confidence < edges[1:])).all()


def test_nothing_counted_is_undefined() -> None:
    counts = np.zeros((2, BINS), int)
    for measure in (expected_calibration_error, brier_score, overconfidence):
        assert math.isnan(measure(counts).value)


def softmax_batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(0, 4, (2, 30, 40), generator=generator)
    logits = torch.randn(2, 5, 30, 40, generator=generator)
    logits.scatter_add_(1, labels[:, None], torch.full((2, 1, 30, 40), 2.0))
    labels[0, :5] = 255
    return logits, labels


def test_the_summary_of_a_softmax_is_that_of_its_pixels() -> None:
    logits, labels = softmax_batch()
    counter = ProbabilityCounter(5)
    counter.add(logits, predict(logits), labels)
    found = calibration_summary(counter.histograms(), tuple("abcde"))
    p_CP = torch.softmax(logits.double(), 1).movedim(1, 0)[:, labels != 255].numpy()
    y_P = labels[labels != 255].numpy()
    one_hot = np.arange(5)[:, None] == y_P
    assert found["brier"] == pytest.approx(((p_CP - one_hot) ** 2).sum(0).mean(), abs=found["brier_error"])
    assert found["ece"] == pytest.approx(exact_error(p_CP.max(0), p_CP.argmax(0) == y_P), abs=found["ece_error"])
    # Class e is in no label: it has an error of its own, and is in no mean.
    by_class = [exact_error(p_CP[place], one_hot[place]) for place in range(5)]
    assert found["classwise_ece"] == pytest.approx(np.mean(by_class[:4]), abs=found["classwise_ece_error"])
    assert found["class_ece"]["e"] == pytest.approx(by_class[4], abs=2e-3)
    confident = p_CP.max(0).mean() - (p_CP.argmax(0) == y_P).mean()
    assert found["overconfidence"] == pytest.approx(confident, abs=2e-3)
    assert sum(found["reliability"]["pixels"]) == len(y_P)


def test_the_top_label_error_does_not_see_what_the_classwise_error_sees() -> None:
    """Both predictions come true as often as they claim, but the second choice is never right."""
    probability = torch.tensor([0.6, 0.4, 0.0]).log()[:, None, None].expand(1, 3, 1, 1000).clamp_min(-30)
    labels = torch.where(torch.arange(1000) < 600, 0, 2)[None, None]
    counter = ProbabilityCounter(3)
    counter.add(probability, predict(probability), labels)
    found = calibration_summary(counter.histograms(), ("a", "b", "c"))
    assert found["ece"] < 0.005
    assert found["class_ece"]["b"] == pytest.approx(0.4, abs=0.005)
