"""Comparisons with the baseline on made-up trials with known effects."""

import re
from dataclasses import replace

import numpy as np
import pytest

from segsuite.errors import ConfigError, DataError
from segsuite.metrics.scores import Scores
from segsuite.stats import (
    CHECKPOINT_ONLY,
    DOTS_ONLY,
    NO_COMMON_SEED,
    TWO_WAY,
    UNDEFINED,
    WITHHELD,
    Arms,
    Comparison,
    benjamini_hochberg,
    compare,
    compare_classes,
    holm,
    inseparable_from_best,
    linearise,
    mean_interval,
)
from segsuite.stats.random_effects import two_way
from tests.stats.made_counts import World, confusion_of

RECALLS = {"base": 0.70, "same": 0.70, "better": 0.75}


@pytest.fixture(name="arms")
def three_arms() -> Arms:
    return World().arms(RECALLS)


def only(arms: Arms, **settings: object) -> Comparison:
    (comparison,) = compare(arms, "base", **settings)  # type: ignore[arg-type]
    return comparison


def pair(seeds: int, recall: float = 0.75, images: int = 60) -> Arms:
    return World(images).arms({"base": 0.70, "arm": recall}, seeds)


def test_difference_is_that_of_the_mean_scores(arms: Arms) -> None:
    def mean(arm: str) -> float:
        return float(np.mean([Scores(confusion_of(counts)).miou for counts in arms[arm].values()]))

    for comparison in compare(arms, "base"):
        assert comparison.difference == pytest.approx(mean(comparison.arm) - mean("base"), abs=1e-12)


def test_interval_is_the_two_way_one_of_the_paired_influences(arms: Arms) -> None:
    d = [linearise(arms["better"][s], "miou")[1] - linearise(arms["base"][s], "miou")[1] for s in range(3)]
    comparison = compare(arms, "base")[1]
    expected = two_way(np.array(d))
    assert (comparison.low, comparison.high, comparison.p) == (expected.low, expected.high, expected.p)
    assert (comparison.kind, comparison.seeds, comparison.units, comparison.unit) == (TWO_WAY, 3, 60, "image")


def test_planted_effect_is_found_and_its_absence_not(arms: Arms) -> None:
    assert {comparison.arm: comparison.evidence for comparison in compare(arms, "base")} == {
        "same": False,
        "better": True,
    }


def test_holm_goes_over_all_other_arms(arms: Arms) -> None:
    comparisons = compare(arms, "base")
    p = [comparison.p for comparison in comparisons if comparison.p is not None]
    assert [comparison.p_holm for comparison in comparisons] == holm(p)


def test_arms_without_a_trial_stay_in_the_family(arms: Arms) -> None:
    two, three = compare(arms, "base"), compare({**arms, "missing": {}}, "base")
    assert three[2].kind == NO_COMMON_SEED
    assert three[1].p == two[1].p
    assert three[1].p_holm == pytest.approx(1.5 * (two[1].p_holm or 0))


def test_only_common_seeds_count_and_the_others_are_named(arms: Arms) -> None:
    world = World()
    unbalanced = {
        "base": {s: world.counts(0.7) for s in (0, 1, 2, 3)},
        "arm": {s: world.counts(0.7) for s in (1, 2, 3, 9)},
    }
    comparison = only(unbalanced)
    assert (comparison.seeds, comparison.dropped_seeds) == (3, (0, 9))
    assert "2 seeds dropped, not in every arm compared: 0, 9" in comparison.sentence()


def test_two_seeds_give_dots_and_no_interval() -> None:
    comparison = only(pair(seeds=2))
    assert comparison.kind == DOTS_ONLY
    assert comparison.difference is not None
    assert (comparison.low, comparison.high, comparison.p, comparison.p_holm, comparison.detectable) == (None,) * 5
    assert not comparison.evidence


def test_one_seed_gives_an_interval_about_this_checkpoint_only() -> None:
    comparison = only(pair(seeds=1))
    assert comparison.kind == CHECKPOINT_ONLY
    assert comparison.carriers is not None
    assert comparison.degrees_of_freedom == pytest.approx((comparison.carriers - 1) * (1 + 8 / 60))
    assert comparison.low is not None
    assert comparison.low > 0
    assert not comparison.evidence


def test_one_image_gives_dots_only() -> None:
    assert only(pair(seeds=3, images=1)).kind == DOTS_ONLY


def test_identical_arms_have_p_one_and_a_point_interval() -> None:
    arms = World().arms({"base": 0.7})
    comparison = only({**arms, "copy": arms["base"]})
    assert (comparison.difference, comparison.low, comparison.high, comparison.p) == (0, 0, 0, 1)


def test_score_that_is_undefined_is_said_to_be() -> None:
    empty = np.zeros((4, 2, 3), dtype=np.int64)
    comparison = only({"base": {0: empty}, "arm": {0: empty}})
    assert (comparison.kind, comparison.difference, comparison.p_holm) == (UNDEFINED, None, None)


def test_frames_of_one_sequence_are_resampled_in_blocks() -> None:
    comparison = only(pair(seeds=3, images=101), sequences=["0016E5"] * 101)
    assert (comparison.units, comparison.unit) == (8, "block of 12-13 frames")
    assert "8 blocks of 12-13 frames" in comparison.sentence()


def test_power_increases_with_the_effect_and_the_seeds() -> None:
    def found(recall: float, seeds: int) -> int:
        worlds = (World(images=25, seed=seed) for seed in range(40))
        arms = (world.arms({"base": 0.7, "arm": recall}, seeds) for world in worlds)
        return sum(only(pair_of_arms).evidence for pair_of_arms in arms)

    assert found(0.70, 3) < found(0.715, 3) < found(0.74, 3)
    assert found(0.715, 3) < found(0.715, 6)


def test_detectable_difference_grows_with_the_family(arms: Arms) -> None:
    for comparison in compare(arms, "base"):
        assert comparison.detectable_first_step is not None
        assert comparison.detectable is not None
        assert comparison.detectable_first_step > comparison.detectable > 0


@pytest.mark.parametrize("seeds", [0, 1, 2, 3])
@pytest.mark.parametrize("recall", [0.70, 0.75])
def test_every_sentence_has_kind_n_and_unit_and_never_says_equal(seeds: int, recall: float) -> None:
    comparison = only({**pair(3), "arm": pair(3, recall)["arm"] if seeds == 3 else pair(seeds, recall)["arm"]})
    sentence = comparison.sentence()
    assert comparison.kind in sentence
    assert f"{seeds} seed" in sentence
    assert "60 images" in sentence
    assert "equal" not in sentence


def test_wording_of_evidence_and_of_none(arms: Arms) -> None:
    same, better = compare(arms, "base")
    assert same.sentence().endswith(
        f"detectable with 80 % power: {same.detectable_first_step:.4f} (at Holm's first step)."
    )
    assert ": no evidence of a difference;" in same.sentence()
    assert better.sentence().endswith(": evidence of a difference.")
    assert "95 % interval [" in better.sentence()
    assert "Holm p < 0.001" in replace(better, p_holm=1e-9).sentence()


def test_classes_absent_from_the_labels_are_left_out(arms: Arms) -> None:
    wider = {
        arm: {s: np.insert(counts, 1, [0, 5, 0], axis=1) for s, counts in seeds.items()} for arm, seeds in arms.items()
    }
    found = compare_classes(wider, "base", ["road", "nothing", "pole", "sky"])
    assert [(c.arm, c.class_name, c.label) for c in found][:3] == [
        ("same", "road", 0),
        ("same", "pole", 2),
        ("same", "sky", 3),
    ]
    assert len(found) == 6


def test_classes_are_exploratory_and_adjusted_by_benjamini_hochberg(arms: Arms) -> None:
    found = compare_classes(arms, "base", ["road", "pole", "sky"])
    assert [c.p_bh for c in found] == benjamini_hochberg([c.p for c in found if c.p is not None])
    assert all(c.sentence().startswith("exploratory: ") and "Benjamini-Hochberg p" in c.sentence() for c in found)
    assert {c.arm for c in found if c.evidence} == {"better"}


def test_class_differences_average_to_that_of_the_miou(arms: Arms) -> None:
    of_class = [c.difference for c in compare_classes(arms, "base", ["a", "b", "c"]) if c.arm == "better"]
    assert np.mean(of_class) == pytest.approx(compare(arms, "base")[1].difference)  # type: ignore[arg-type]


def test_inseparable_are_the_best_and_those_without_evidence() -> None:
    best = inseparable_from_best(World().arms({"worst": 0.6, "best": 0.75, "second": 0.749}))
    assert best is not None
    assert best.tested
    assert set(best.inseparable) == {"best", "second"}
    assert best.arm in best.inseparable


def test_without_a_test_over_seeds_nothing_is_separable() -> None:
    best = inseparable_from_best(World().arms({"worst": 0.3, "best": 0.9}, seeds=1))
    assert best is not None
    assert (best.arm, best.inseparable, best.tested) == ("best", ("worst", "best"), False)


def test_other_labels_are_refused_by_name(arms: Arms) -> None:
    with pytest.raises(DataError, match=r"arm odd seed 0 and arm base seed 0"):
        compare({**arms, "odd": World(seed=1).arms({"odd": 0.7})["odd"]}, "base")


def test_experiment_without_any_result_is_refused() -> None:
    with pytest.raises(DataError, match="no trial has counts"):
        compare({"base": {}, "arm": {}}, "base")


def test_unknown_baseline_names_the_nearest(arms: Arms) -> None:
    with pytest.raises(ConfigError, match="did you mean 'base'"):
        compare(arms, "bas")


def test_mean_interval_is_over_seeds_and_needs_three() -> None:
    interval = mean_interval([0.70, 0.71, 0.75])
    assert interval is not None
    # t(2) = 4.3027; sd of the three = 0.026458.
    assert interval.high - interval.mean == pytest.approx(4.302653 * 0.0264575 / 3**0.5, rel=1e-5)
    assert "(t interval over seeds: 3 seeds)" in interval.sentence()
    assert mean_interval([0.7, 0.8]) is None
    assert mean_interval([0.7, 0.8, float("nan")]) is None


def in_few_images(labelled: int, seeds: int = 3, images: int = 40) -> Arms:
    """Two arms on a split whose class 2 is in `labelled` images."""
    arms = World(images).arms({"base": 0.6, "arm": 0.8}, seeds)
    for of_arm in arms.values():
        for counts in of_arm.values():
            counts[labelled:, 2, ::2] = 0
    return arms


@pytest.mark.parametrize(("labelled", "kind"), [(1, WITHHELD), (3, WITHHELD), (4, TWO_WAY), (0, TWO_WAY)])
@pytest.mark.parametrize("score", ["miou", "mean_accuracy", "mean_dice"])
def test_a_class_in_fewer_than_four_images_withholds_means_over_classes(labelled: int, kind: str, score: str) -> None:
    comparison = only(in_few_images(labelled), score=score, classes=["sky", "road", "sign"])
    assert comparison.kind == kind
    if kind == WITHHELD:
        assert comparison.difference is not None
        assert (comparison.low, comparison.p, comparison.detectable, comparison.evidence) == (None, None, None, False)
        counted = f"{labelled} image{'s' * (labelled > 1)}"
        assert f"class sign is labelled in only {counted}; how scores vary" in comparison.sentence()


@pytest.mark.parametrize("score", ["pixel_accuracy", "frequency_weighted_iou"])
def test_scores_of_all_pixels_are_not_withheld_for_a_class(score: str) -> None:
    assert only(in_few_images(1), score=score).kind == TWO_WAY


def test_one_seed_on_a_class_in_few_images_is_withheld_too() -> None:
    assert only(in_few_images(2, seeds=1)).kind == WITHHELD
    assert only(in_few_images(2, seeds=2)).kind == DOTS_ONLY


def test_units_count_and_not_images() -> None:
    """Six labelled frames in one block of frames tell nothing about other blocks."""
    assert only(in_few_images(6, images=64), sequences=["a"] * 64).kind == WITHHELD


def test_the_rare_class_alone_has_no_test() -> None:
    found = compare_classes(in_few_images(2), "base", ["a", "b", "c"])
    assert [one.kind for one in found] == [TWO_WAY, TWO_WAY, WITHHELD]
    assert found[2].p_bh is None


def test_few_units_that_carry_the_difference_are_said() -> None:
    arms = World(80).arms({"base": 0.7}, 3)
    changed = {seed: counts.copy() for seed, counts in arms["base"].items()}
    for counts in changed.values():
        lost = counts[:3, :, 0] // 2
        counts[:3, :, 0] -= lost
        counts[:3, :, 2] += lost
    comparison = only({**arms, "arm": changed})
    assert comparison.degrees_of_freedom is not None
    assert comparison.degrees_of_freedom < 4
    assert re.search(r"80 images whose spread lies in about [123]\)", comparison.sentence())
