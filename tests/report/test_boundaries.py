"""Differences along borders: linearised as the scores are, and paired by seed and image."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from segsuite.errors import ConfigError
from segsuite.experiment import Experiment
from segsuite.metrics import BOUNDARY_COLUMNS, BOUNDARY_SCORES
from segsuite.metrics.boundary import boundary_scores
from segsuite.report.boundaries import compare_boundaries, linearise_boundary
from segsuite.report.build import build_report
from segsuite.report.gather import gather
from segsuite.report.sections.base import Figure
from segsuite.stats import TWO_WAY
from tests.report.artefacts import count_borders, rewrite_counts
from tests.report.runs import experiment_in, finish


def random_counts(images: int = 9, classes: int = 4) -> NDArray[np.int64]:
    """Parts are never more than wholes; class 3 has no border in any image, class 2 none in most."""
    rng = np.random.default_rng(3)
    whole = rng.integers(20, 400, (images, classes, 5))
    part = (whole * rng.uniform(0.1, 0.9, whole.shape)).astype(np.int64)
    counts = np.empty((images, classes, 10), dtype=np.int64)
    counts[..., 0::2], counts[..., 1::2] = part, whole
    counts[1:, 2] = 0
    counts[:, 3] = 0
    return counts


PRESENT = np.array([True, True, True, True])


@pytest.mark.parametrize("score", BOUNDARY_SCORES)
def test_the_mean_influence_is_the_score(score: str) -> None:
    counts = random_counts()
    value, influence = linearise_boundary(counts, PRESENT, score)
    assert value == pytest.approx(boundary_scores(counts, PRESENT)[score], abs=1e-12)
    assert influence.mean() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("score", BOUNDARY_SCORES)
def test_influence_is_that_of_leaving_each_image_out(score: str) -> None:
    counts = random_counts()
    counts[1, 2] = counts[0, 2]  # Two images with class 2, so that it stays in the mean whichever is left out.
    value, influence = linearise_boundary(counts, PRESENT, score)
    without = [boundary_scores(np.delete(counts, image, axis=0), PRESENT)[score] for image in range(len(counts))]
    deviation = (len(counts) - 1) * (value - np.array(without))
    np.testing.assert_allclose(influence, value + deviation - deviation.mean(), atol=1e-12)


def test_an_unknown_score_is_an_error_with_the_names() -> None:
    with pytest.raises(ConfigError, match="boundary_f"):
        linearise_boundary(random_counts(), PRESENT, "boundary_g")


def test_classes_that_are_not_in_the_labels_do_not_count() -> None:
    counts = random_counts()
    alone = linearise_boundary(counts, np.array([True, False, False, False]), "boundary_iou")[0]
    sums = counts[:, 0].sum(axis=0)
    assert alone == pytest.approx(sums[0] / sums[1])


def test_nothing_to_score_is_undefined() -> None:
    value, influence = linearise_boundary(random_counts(), np.array([False, False, False, True]), "boundary_f")
    assert np.isnan(value)
    assert np.isnan(influence).all()


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    made = experiment_in(tmp_path_factory.mktemp("borders"), images=8)
    finish(made, lambda trial: 0.5 if "transposed" in trial.arm else 0.9)
    count_borders(made)
    return made


def figures(made: Experiment) -> dict[str, Figure]:
    return {figure.name: figure for section in build_report(made).sections for figure in section.figures}


def test_a_difference_is_that_of_the_scores_in_the_results(experiment: Experiment) -> None:
    scores = {
        (trial.arm, trial.seed): json.loads((trial.folder / "result.json").read_text())["boundary_scores"]
        for trial in experiment.trials
    }
    found = compare_boundaries(gather(experiment))
    assert tuple(found) == BOUNDARY_SCORES
    for score, comparisons in found.items():
        assert [one.arm for one in comparisons] == [arm for arm in experiment.arms if arm != experiment.baseline]
        for one in comparisons:
            expected = np.mean([scores[one.arm, s][score] - scores[experiment.baseline, s][score] for s in (0, 1, 2)])
            assert one.difference == pytest.approx(expected, abs=1e-9)
            assert one.kind == TWO_WAY


def test_a_bad_arm_is_found_and_an_equal_one_is_not(experiment: Experiment) -> None:
    for comparisons in compare_boundaries(gather(experiment)).values():
        assert {one.arm.split("=")[-1]: one.evidence for one in comparisons} == {
            "nearest_conv": False,
            "transposed_k4": True,
        }


def test_captions_name_kind_n_and_unit(experiment: Experiment) -> None:
    found = figures(experiment)
    assert "95 % t interval over seeds, images taken as fixed" in found["boundary"].caption
    assert "n = 3 seeds an arm" in found["boundary"].caption
    assert re.search(
        r"95 % interval, seeds and images both random, n = 3 seeds x 8 units \(unit: image\)",
        found["boundary-differences"].caption,
    )


def test_filled_means_are_evidence(experiment: Experiment) -> None:
    means = [trace for trace in figures(experiment)["boundary-differences"].data if "error_x" in trace]
    filled = {trace["text"][0].partition("<br>")[0] for trace in means if "-open" not in trace["marker"]["symbol"]}
    assert filled == {"transposed_k4"}


def test_without_counts_there_are_seeds_and_no_differences(tmp_path: Path) -> None:
    made = experiment_in(tmp_path, images=8, seeds=(0,))
    finish(made)
    count_borders(made)
    for trial in made.trials:
        rewrite_counts(trial, boundary_columns=np.array(["other"] * len(BOUNDARY_COLUMNS)))
    found = figures(made)
    assert "boundary" in found
    assert "boundary-differences" not in found
    assert "No interval: fewer than 3 seeds." in found["boundary"].caption


def test_a_trial_with_damaged_counts_is_left_out_of_the_differences(tmp_path: Path) -> None:
    made = experiment_in(tmp_path, images=8, seeds=(0, 1))
    finish(made)
    count_borders(made)
    rewrite_counts(made.trials[0], boundary_counts=np.zeros((2, 2), dtype=np.int64))
    arm, seed = made.trials[0].arm, made.trials[0].seed
    one = next(one for one in compare_boundaries(gather(made))["boundary_f"] if arm in (one.arm, one.baseline))
    assert seed in one.dropped_seeds
