"""Curves and their areas from histograms, against sums over every pixel."""

import math

import numpy as np
import pytest

from segsuite.metrics.curves import area_under_roc, average_precision, best_threshold, curve, f_beta, ranking_summary
from segsuite.metrics.histograms import BINS, EDGES, Histograms
from tests.metrics.made_histograms import KINDS, draw, exact_area_under_roc, exact_average_precision, histogram

ROUNDING = 1e-9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_within_its_bound(kind: str, seed: int) -> None:
    probability, positive = draw(kind, seed)
    found = average_precision(histogram(probability, positive))
    assert abs(found.value - exact_average_precision(probability, positive)) <= found.error + ROUNDING


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_area_under_roc_is_within_its_bound(kind: str, seed: int) -> None:
    probability, positive = draw(kind, seed)
    found = area_under_roc(histogram(probability, positive))
    assert abs(found.value - exact_area_under_roc(probability, positive)) <= found.error + ROUNDING


@pytest.mark.parametrize("order", [1, -1])
def test_bounds_are_reached_when_a_bin_is_sorted(order: int) -> None:
    """40 pixels of the class and 60 others in one bin, all of one kind before all of the other."""
    probability = 0.25 + 1e-5 * np.arange(100)
    positive = np.arange(100)[::order] >= 60
    counts = histogram(probability, positive)
    precision, area = average_precision(counts), area_under_roc(counts)
    exact = exact_average_precision(probability.astype(np.float32).astype(float), positive)
    farthest = max(abs(end - precision.value) for end in (1.0, sum(i / (60 + i) for i in range(1, 41)) / 40))
    assert precision.error == pytest.approx(farthest)
    assert exact == pytest.approx(1.0 if order == 1 else sum(i / (60 + i) for i in range(1, 41)) / 40)
    assert (area.value, area.error) == (0.5, 0.5)


@pytest.mark.parametrize("kind", ["common", "rare", "confident"])
def test_areas_of_many_pixels_are_right_to_three_digits(kind: str) -> None:
    probability, positive = draw(kind, 0, 20_000)
    _, place, size = np.unique(-probability, return_inverse=True, return_counts=True)
    true = np.cumsum(np.bincount(place, positive))
    exact = (np.diff(true, prepend=0) * true / np.cumsum(size)).sum() / positive.sum()
    counts = histogram(probability, positive)
    assert average_precision(counts).value == pytest.approx(exact, abs=1e-3)
    assert area_under_roc(counts).error < 4e-3


def test_curves_are_exact_at_the_edges_of_bins() -> None:
    probability, positive = draw("common", 3)
    found = curve(histogram(probability, positive))
    for place in range(1, BINS + 1, 97):
        above = probability >= found.thresholds[place]
        assert found.true[place] == (above & positive).sum()
        assert found.false[place] == (above & ~positive).sum()
        assert found.recall[place] == (above & positive).sum() / positive.sum()
        assert found.false_positive_rate[place] == (above & ~positive).sum() / (~positive).sum()
        if above.any():
            assert found.precision[place] == positive[above].mean()


def test_a_curve_starts_with_nothing_and_ends_with_everything() -> None:
    found = curve(histogram(*draw("common", 0)))
    assert (found.recall[0], found.recall[-1], found.false_positive_rate[-1]) == (0, 1, 1)
    assert math.isnan(found.precision[0])
    np.testing.assert_array_equal(found.thresholds, EDGES[::-1])


def test_a_perfect_ranking_has_areas_of_one() -> None:
    counts = histogram(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    assert average_precision(counts) == pytest.approx((1.0, 0.0))
    assert area_under_roc(counts) == (1.0, 0.0)


def test_the_average_precision_of_chance_is_the_share_of_the_class() -> None:
    random = np.random.default_rng(0)
    counts = histogram(random.random(200_000), random.random(200_000) < 0.03)
    assert average_precision(counts).value == pytest.approx(0.03, abs=2e-3)


def test_an_absent_class_has_no_area() -> None:
    counts = histogram(np.array([0.2, 0.4]), np.array([False, False]))
    assert math.isnan(average_precision(counts).value)
    assert math.isnan(area_under_roc(counts).value)
    assert math.isnan(best_threshold(counts).f1)


def test_a_class_without_others_has_precision_one_and_no_roc() -> None:
    counts = histogram(np.array([0.2, 0.4]), np.array([True, True]))
    assert average_precision(counts) == pytest.approx((1.0, 0.0))
    assert math.isnan(area_under_roc(counts).value)


@pytest.mark.parametrize(("beta", "expected"), [(1, 6 / 9), (2, 15 / 24), (0.5, 3.75 / 5.25)])
def test_f_beta_by_hand(beta: float, expected: float) -> None:
    """TP 3, FP 1, FN 2: precision 3/4, recall 3/5."""
    precision, recall = 3 / 4, 3 / 5
    assert expected == pytest.approx((1 + beta**2) * precision * recall / (beta**2 * precision + recall))
    assert f_beta(np.array([3, 1, 2]), beta) == pytest.approx(expected)


def test_f_beta_of_nothing_is_undefined_and_of_many_keeps_their_shape() -> None:
    found = f_beta(np.array([[[0, 0, 0], [1, 0, 0]], [[0, 3, 0], [2, 1, 1]]]))
    assert found.shape == (2, 2)
    assert math.isnan(found[0, 0])
    assert found.ravel()[1:].tolist() == [1, 0, 2 / 3]


def test_the_best_threshold_is_that_of_a_search_over_all_edges() -> None:
    probability, positive = draw("rare", 2)
    found = best_threshold(histogram(probability, positive))

    def f1(threshold: float) -> float:
        above = probability >= threshold
        return 2 * (above & positive).sum() / (above.sum() + positive.sum())

    assert found.f1 == pytest.approx(max(map(f1, EDGES)))
    assert f1(found.threshold) == found.f1


def test_a_class_that_is_never_predicted_may_still_be_ranked_well() -> None:
    """Probabilities of a rare class stay below one half, but are ten times higher where it is."""
    random = np.random.default_rng(0)
    positive = random.random(50_000) < 0.003
    counts = histogram(np.where(positive, 0.05, 0.005) * random.uniform(0.5, 1.5, 50_000), positive)
    assert best_threshold(counts) == pytest.approx((1.0, 0.02), abs=0.02)
    assert average_precision(counts).value > 0.99


def test_the_summary_averages_over_the_classes_in_the_labels() -> None:
    one, other = histogram(*draw("common", 0)), histogram(*draw("rare", 0))
    absent = np.stack([one.sum(axis=0), np.zeros(BINS, int)])
    found = ranking_summary(Histograms(np.stack([one, other, absent]), one), ("a", "b", "c"))
    precision = [average_precision(one).value, average_precision(other).value]
    assert found["mean_average_precision"] == pytest.approx(np.mean(precision))
    assert found["mean_auc"] == pytest.approx(np.mean([area_under_roc(one).value, area_under_roc(other).value]))
    assert list(found["average_precision"].values())[:2] == precision
    assert math.isnan(found["average_precision"]["c"])
