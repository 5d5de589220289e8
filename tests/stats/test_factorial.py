"""Main effects and interactions on a planted factorial: upsampler x loss, with and without a third axis."""

import numpy as np
import pytest

from segsuite.errors import ConfigError
from segsuite.stats import NO_COMMON_SEED, TWO_WAY, Arms, compare, interaction, main_effects
from tests.stats.made_counts import World

LEVELS = {
    f"{upsampler}_{loss}": {"upsampler": upsampler, "loss": loss}
    for upsampler in ("nearest", "bilinear")
    for loss in ("ce", "dice", "focal")
}
# bilinear is better by .03; dice by .02; focal by nothing, but by .05 more with bilinear.
RECALLS = {
    arm: 0.65
    + 0.03 * (axis["upsampler"] == "bilinear")
    + 0.02 * (axis["loss"] == "dice")
    + 0.05 * (arm == "bilinear_focal")
    for arm, axis in LEVELS.items()
}


@pytest.fixture(name="arms", scope="module")
def planted_factorial() -> Arms:
    return World(images=80).arms(RECALLS)


def differences(arms: Arms) -> dict[str, float]:
    return {found.arm: found.difference or 0.0 for found in compare(arms, "nearest_ce")} | {"nearest_ce": 0.0}


def test_main_effect_is_the_mean_of_the_paired_differences(arms: Arms) -> None:
    (effect,) = main_effects(arms, LEVELS, "upsampler", "nearest")
    of_arm = differences(arms)
    mean = np.mean([of_arm[f"bilinear_{loss}"] - of_arm[f"nearest_{loss}"] for loss in ("ce", "dice", "focal")])
    assert effect.difference == pytest.approx(mean, abs=1e-12)
    assert (effect.kind, effect.seeds, effect.units, effect.cells, effect.missing_cells) == (TWO_WAY, 3, 80, 3, 0)
    assert effect.evidence


def test_main_effect_is_surer_than_a_single_cell(arms: Arms) -> None:
    (effect,) = main_effects(arms, LEVELS, "upsampler", "nearest")
    cell = next(found for found in compare(arms, "nearest_ce") if found.arm == "bilinear_ce")
    assert effect.standard_error is not None
    assert cell.standard_error is not None
    assert effect.standard_error < cell.standard_error


def test_interaction_is_the_difference_of_differences(arms: Arms) -> None:
    dice, focal = interaction(arms, LEVELS, ("upsampler", "loss"), ("nearest", "ce"))
    of_arm = differences(arms)
    for effect, loss in ((dice, "dice"), (focal, "focal")):
        expected = (of_arm[f"bilinear_{loss}"] - of_arm[f"nearest_{loss}"]) - of_arm["bilinear_ce"]
        assert effect.difference == pytest.approx(expected, abs=1e-12)
    assert (dice.evidence, focal.evidence) == (False, True)


def test_missing_arm_leaves_its_cell_out_and_is_counted(arms: Arms) -> None:
    some = {arm: seeds for arm, seeds in arms.items() if arm != "nearest_focal"}
    (effect,) = main_effects(some, LEVELS, "upsampler", "nearest")
    assert (effect.cells, effect.missing_cells) == (2, 1)
    assert "averaged over 2 cells, 1 more missing" in effect.sentence()


def test_without_a_complete_cell_there_is_no_statement(arms: Arms) -> None:
    some = {arm: seeds for arm, seeds in arms.items() if arm.startswith("nearest")}
    (effect,) = main_effects(some, LEVELS, "upsampler", "nearest")
    assert (effect.kind, effect.difference, effect.cells) == (NO_COMMON_SEED, None, 0)
    assert "no statement" in effect.sentence()


def test_effects_that_the_grid_leaves_out_are_no_effects(arms: Arms) -> None:
    left_out = {"bilinear_dice", "bilinear_focal"}
    levels = {arm: axis for arm, axis in LEVELS.items() if arm not in left_out}
    assert interaction(arms, levels, ("upsampler", "loss"), ("nearest", "ce")) == []
    by_loss = main_effects(arms, levels, "loss", "ce")
    assert [effect.cells for effect in by_loss] == [1, 1]


def test_third_axis_is_averaged_over() -> None:
    levels = {f"{a}{b}{c}": {"a": a, "b": b, "c": c} for a in (0, 1) for b in (0, 1) for c in (False, True)}
    arms = World(images=20).arms(dict.fromkeys(levels, 0.7))
    (effect,) = interaction(arms, levels, ("a", "b"), (0, 0))
    assert effect.cells == 2
    assert effect.sentence().startswith("interaction of a: 1 against 0 and b: 1 against 0 (averaged over 2 cells): ")


def test_unknown_axis_and_level_name_the_nearest(arms: Arms) -> None:
    with pytest.raises(ConfigError, match="did you mean 'upsampler'"):
        main_effects(arms, LEVELS, "upsamplers", "nearest")
    with pytest.raises(ConfigError, match="unknown level of loss 'cee'; did you mean 'ce'"):
        main_effects(arms, LEVELS, "loss", "cee")


def test_ambiguous_arms_and_axes_are_refused(arms: Arms) -> None:
    with pytest.raises(ConfigError, match="the same levels of all axes"):
        main_effects(arms, {**LEVELS, "again": LEVELS["nearest_ce"]}, "loss", "ce")
    with pytest.raises(ConfigError, match="two axes"):
        interaction(arms, LEVELS, ("loss", "loss"), ("ce", "ce"))
