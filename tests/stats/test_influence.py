"""Linearised scores against segsuite.metrics.scores, leaving units out one by one, derivatives and a bootstrap."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from segsuite.errors import ConfigError
from segsuite.metrics import CLASS_SCORES, SCALAR_SCORES
from segsuite.metrics.scores import Scores
from segsuite.stats import linearise
from segsuite.stats.influence import MEANS, RATIOS, SUMS
from tests.stats.made_counts import World, confusion_of

NUM_CLASSES = 3
# Confusion matrices of a few images, with classes that are often absent.
matrices = st.integers(1, 4).flatmap(
    lambda images: arrays(np.int64, (images, NUM_CLASSES, NUM_CLASSES), elements=st.sampled_from([0, 0, 1, 2, 7, 500]))
)
Matrices = NDArray[np.int64]


def counts_of(matrices_NCC: Matrices) -> Matrices:
    true = np.diagonal(matrices_NCC, axis1=1, axis2=2)
    return np.stack([true, matrices_NCC.sum(axis=1) - true, matrices_NCC.sum(axis=2) - true], axis=-1)


@pytest.mark.parametrize("score", SCALAR_SCORES)
@given(matrices=matrices)
def test_scalar_scores_are_exactly_those_of_the_metrics(score: str, matrices: Matrices) -> None:
    value, _ = linearise(counts_of(matrices), score)
    np.testing.assert_array_equal(value, getattr(Scores(matrices.sum(axis=0)), score))


@pytest.mark.parametrize("score", CLASS_SCORES)
@given(matrices=matrices, label=st.integers(0, NUM_CLASSES - 1))
def test_class_scores_are_exactly_those_of_the_metrics(score: str, matrices: Matrices, label: int) -> None:
    value, _ = linearise(counts_of(matrices), score, label)
    np.testing.assert_array_equal(value, getattr(Scores(matrices.sum(axis=0)), score)[label])


@given(matrices=matrices, score=st.sampled_from([*SCALAR_SCORES, *CLASS_SCORES]))
def test_influence_has_the_score_as_mean(matrices: Matrices, score: str) -> None:
    value, influence = linearise(counts_of(matrices), score, 0 if score in CLASS_SCORES else None)
    assert influence.shape == (len(matrices),)
    np.testing.assert_allclose(influence.mean(), value, rtol=0, atol=1e-12)


@pytest.mark.parametrize("score", [*SCALAR_SCORES, *CLASS_SCORES])
def test_influence_is_that_of_leaving_each_image_out(score: str) -> None:
    world = World(images=12)
    confusions = np.stack([confusion_of(image[None]) for image in world.counts(0.7)])
    counts, total = counts_of(confusions), confusions.sum(axis=0)

    def of(confusion: Matrices) -> float:
        found = getattr(Scores(confusion), score)
        return float(found[1] if score in CLASS_SCORES else found)

    value, influence = linearise(counts, score, 1 if score in CLASS_SCORES else None)
    pseudo = np.array([12 * of(total) - 11 * of(total - one) for one in confusions])
    np.testing.assert_allclose(influence, pseudo - pseudo.mean() + value, atol=1e-12)


@pytest.mark.parametrize("score", [*SCALAR_SCORES, *CLASS_SCORES])
def test_influence_is_the_derivative_by_the_weight_of_an_image_where_images_are_many(score: str) -> None:
    counts = np.concatenate([World(images=12).counts(0.7)] * 300)
    label = 1 if score in CLASS_SCORES else None
    value, influence = linearise(counts, score, label)
    # An image that is there once more in 1000 copies of the split.
    copies = 1000
    for image in (0, 5):
        more = counts.sum(axis=0, keepdims=True) * copies
        moved = linearise(np.concatenate([more, counts[image : image + 1]]), score, label)[0]
        slope = (moved - value) * (len(counts) * copies)
        np.testing.assert_allclose(slope, influence[image] - value, rtol=2e-3, atol=1e-4)


def test_standard_error_of_a_class_in_few_images_is_not_too_small() -> None:
    """Three images hold the class; over draws of such images its IoU varies by what the jackknife says, not by 2/3."""
    random, ious, variances = np.random.default_rng(0), [], []
    for _ in range(4000):
        counts = np.zeros((40, 1, 3), dtype=np.int64)
        right = random.normal(700, 100, 3).astype(np.int64)
        counts[:3, 0, 0], counts[:3, 0, 2] = right, 1000 - right
        value, influence = linearise(counts, "iou", 0)
        ious.append(value)
        variances.append(influence.var(ddof=1) / 40)
    # Leaving one of three equal images out: (3 / 2)^2 of the residuals' squares, which are 2/3 of what they should be.
    assert np.mean(variances) == pytest.approx(1.5 * np.var(ious), rel=0.06)


def test_every_score_of_the_metrics_has_a_function() -> None:
    assert set(RATIOS) == set(CLASS_SCORES)
    assert {*MEANS, *SUMS} == set(SCALAR_SCORES)


def test_a_score_of_the_metrics_without_a_function_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, a name that was added there became frequency-weighted IoU here."""
    monkeypatch.setattr("segsuite.stats.influence.SCALAR_SCORES", (*SCALAR_SCORES, "kappa"), raising=False)
    with pytest.raises(ConfigError, match=r"unknown score .kappa.; valid: .*frequency_weighted_iou"):
        linearise(World().counts(0.5), "kappa")


@pytest.mark.parametrize("score", SCALAR_SCORES)
def test_standard_error_agrees_with_a_bootstrap_over_images(score: str) -> None:
    counts = World(images=150).counts(0.8, image_sd=0.1)
    _, influence = linearise(counts, score)
    random = np.random.default_rng(1)
    resampled = [linearise(counts[random.integers(0, 150, 150)], score)[0] for _ in range(1500)]
    assert influence.std(ddof=1) / math.sqrt(150) == pytest.approx(np.std(resampled), rel=0.08)


def test_class_absent_from_the_labels_changes_nothing_but_the_false_positives() -> None:
    counts = World(images=10).counts(0.7)
    with_absent = np.concatenate([counts, np.zeros((10, 1, 3), dtype=np.int64)], axis=1)
    with_absent[:, 3, 1] = 50
    for score in SCALAR_SCORES:
        assert linearise(with_absent, score)[0] == linearise(counts, score)[0]
        np.testing.assert_allclose(linearise(with_absent, score)[1], linearise(counts, score)[1])


def test_absent_class_has_no_iou() -> None:
    counts = np.array([[[5, 0, 1], [0, 3, 0]]])
    value, influence = linearise(counts, "iou", 1)
    assert math.isnan(value)
    assert np.isnan(influence).all()


def test_unknown_score_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'miou'"):
        linearise(World().counts(0.5), "mioo")


@pytest.mark.parametrize(("score", "label"), [("iou", None), ("miou", 1), ("iou", 7)])
def test_label_goes_with_class_scores_only(score: str, label: int | None) -> None:
    with pytest.raises(ValueError, match=r"label|class 7"):
        linearise(World().counts(0.5), score, label)


@pytest.mark.parametrize("counts", [np.zeros((2, 3)), np.zeros((2, 3, 3)), np.zeros((0, 3, 3), dtype=int)])
def test_wrong_counts_are_refused(counts: Matrices) -> None:
    with pytest.raises(ValueError, match="counts are"):
        linearise(counts, "miou")
