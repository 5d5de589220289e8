"""The comparisons are those of segsuite.stats, and the sentence says no more than they do."""

from pathlib import Path

import pytest

from segsuite.experiment import Trial
from segsuite.report.answers import find_answers, listed
from segsuite.report.gather import gather
from segsuite.stats import compare, inseparable_from_best
from tests.report.runs import GRID, GRID_BASELINE, experiment_in, fail, finish


def spread(trial: Trial) -> float:
    return {"upsampler=nearest_conv": 0.9, "upsampler=bilinear_conv": 0.8, "upsampler=transposed_k4": 0.5}[trial.arm]


@pytest.mark.parametrize("score", ["miou", "pixel_accuracy", "mean_dice"])
def test_comparisons_are_those_of_stats(tmp_path: Path, score: str) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment, spread)
    gathered = gather(experiment)
    sequences = gathered.finished[0].counted.sequences  # type: ignore[union-attr]
    expected = compare(gathered.counts(), "upsampler=bilinear_conv", score, sequences)
    assert list(find_answers(gathered).comparisons[score]) == expected


def test_the_best_group_is_that_of_stats(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment, spread)
    gathered = gather(experiment)
    answers = find_answers(gathered)
    expected = inseparable_from_best(gathered.counts(), "miou", gathered.finished[0].counted.sequences)  # type: ignore[union-attr]
    assert answers.best == expected


def test_a_clear_difference_is_said(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, images=40)
    finish(experiment, spread)
    sentence = find_answers(gather(experiment)).sentence
    assert "transposed_k4 is worse than the baseline bilinear_conv: mIoU -0." in sentence


def test_no_difference_is_never_called_equal(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    sentence = find_answers(gather(experiment)).sentence
    assert sentence.startswith("No evidence of a difference between the baseline bilinear_conv and")
    assert "80 % power" in sentence
    assert "equal" not in sentence


@pytest.mark.parametrize(("seeds", "words"), [((0,), "one seed"), ((0, 1), "2 seeds, too few for an interval")])
def test_few_seeds_make_no_claim(tmp_path: Path, seeds: tuple[int, ...], words: str) -> None:
    experiment = experiment_in(tmp_path, seeds=seeds)
    finish(experiment, spread)
    answers = find_answers(gather(experiment))
    assert words in answers.sentence
    assert "better" not in answers.sentence
    assert "worse" not in answers.sentence
    assert not answers.intervals


def test_few_seeds_name_the_largest_difference_whatever_its_sign(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, seeds=(0, 1), images=40)
    finish(experiment, spread)
    sentence = find_answers(gather(experiment)).sentence
    assert sentence.startswith("transposed_k4 has the largest difference to the baseline bilinear_conv, mIoU -0.")


def test_an_unfinished_experiment_is_preliminary(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment, spread, only=lambda trial: trial.seed < 2)
    assert find_answers(gather(experiment)).sentence.startswith("Preliminary, 6 of 9 trials finished. ")


@pytest.mark.parametrize(("seeds", "words"), [((0, 1, 2), "3 of 3"), ((1,), "1 of 3")])
def test_an_arm_that_diverged_is_said_to_have(tmp_path: Path, seeds: tuple[int, ...], words: str) -> None:
    experiment = experiment_in(tmp_path)
    ended = [trial for trial in experiment.trials if "transposed" in trial.arm and trial.seed in seeds]
    finish(experiment, only=lambda trial: trial not in ended)
    for trial in ended:
        fail(trial)
    sentence = find_answers(gather(experiment)).sentence
    assert f"transposed_k4 diverged in {words} seeds." in sentence
    assert ("Nothing can be said yet" in sentence) == (len(seeds) == 1)


def test_nothing_finished_is_no_answer(tmp_path: Path) -> None:
    sentence = find_answers(gather(experiment_in(tmp_path))).sentence
    assert sentence == "No answer yet: none of the 9 trials has a score."


def test_a_missing_baseline_is_said(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment, spread, only=lambda trial: not trial.is_baseline)
    assert "share no finished seed" in find_answers(gather(experiment)).sentence


def test_a_single_arm_is_described(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, compare={}, baseline={})
    finish(experiment)
    sentence = find_answers(gather(experiment)).sentence
    assert sentence.startswith("made reaches mIoU 0.")
    assert "(3 seeds, 0." in sentence


def test_without_a_baseline_the_ranking_is_exploratory(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, baseline={}, images=40)
    finish(experiment, spread)
    answers = find_answers(gather(experiment))
    assert answers.comparisons == {}
    assert answers.sentence.startswith("nearest_conv has the highest mean mIoU")
    assert "exploratory" in answers.sentence


def test_a_grid_has_main_effects_and_an_interaction(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, GRID, baseline=GRID_BASELINE)
    finish(experiment)
    axes = [effect.axes for effect in find_answers(gather(experiment)).effects]
    assert axes[:3] == [("model.upsampler",)] * 2 + [("loss.label_smoothing",)]
    assert axes[3:] == [("model.upsampler", "loss.label_smoothing")] * 2


def test_a_grid_with_an_empty_arm_states_no_main_effect(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, GRID, baseline=GRID_BASELINE)
    finish(experiment, only=lambda trial: trial.arm != experiment.arms[0])
    assert find_answers(gather(experiment)).effects == ()


def test_long_lists_are_counted() -> None:
    assert listed(list("abcdef")) == "a, b, c and 3 more"
