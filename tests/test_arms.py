"""segsuite.arms: axes become a grid of arms in the order of the YAML; what cannot be is refused with its line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import segsuite.arms
from segsuite.arms import Point, expand
from segsuite.experiment import Experiment
from tests.small_experiments import BASE, loaded, refused


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def arms(experiment: Experiment) -> list[str]:
    return list(experiment.arms)


def test_the_grid_keeps_the_order_of_the_yaml_arm_by_arm_within_each_seed() -> None:
    text = "compare: {train.epochs: [2, 1], model.upsampler: [transposed_k2, bilinear_conv]}\nseeds: [5, 3]\n"
    order = [(trial.seed, trial.differences) for trial in loaded(text).trials]
    grid = [
        {"train.epochs": epochs, "model.upsampler": upsampler}
        for epochs in (2, 1)
        for upsampler in ("transposed_k2", "bilinear_conv")
    ]
    assert order == [(seed, point) for seed in (5, 3) for point in grid]


def test_the_settings_of_a_trial_are_those_of_its_arm_and_seed() -> None:
    text = "compare: {train.epochs: [2, 1], model.upsampler: [transposed_k2, bilinear_conv]}\nseeds: [5, 3]\n"
    for trial in loaded(text).trials:
        settings = trial.settings
        found = {"train.epochs": settings.train.epochs, "model.upsampler": settings.model.upsampler}  # type: ignore[union-attr]
        assert (found, settings.seed) == (trial.differences, trial.seed)


def test_without_axes_there_is_one_arm_named_like_the_experiment() -> None:
    experiment = loaded()
    assert (arms(experiment), experiment.seeds, len(experiment.trials)) == (["e"], (0,), 1)


def test_a_trial_has_its_folder_under_the_root_and_the_name() -> None:
    experiment = loaded("runs_root: some/where\n")
    assert [trial.folder for trial in experiment.trials] == [Path("some/where/e").absolute() / experiment.trials[0].id]


def test_loading_twice_gives_the_same() -> None:
    text = "compare: {model.upsampler: [nearest_conv, transposed_k4], train.epochs: [1, 2]}\nseeds: [0, 1]\n"
    assert loaded(text).trials == loaded(text).trials


def test_mappings_in_a_list_move_together() -> None:
    text = "compare:\n  size:\n  - {train.epochs: 1, train.batch_size: 2}\n  - {train.epochs: 3, train.batch_size: 4}\n"
    experiment = loaded(text)
    assert arms(experiment) == ["epochs=1, batch_size=2", "epochs=3, batch_size=4"]
    assert [trial.settings.train.batch_size for trial in experiment.trials] == [2, 4]


def test_compare_itself_may_be_the_list_of_mappings() -> None:
    experiment = loaded("compare:\n- {train.epochs: 1}\n- {train.epochs: 3, train.batch_size: 4}\n")
    assert arms(experiment) == ["epochs=1", "epochs=3, batch_size=4"]


def test_mappings_may_be_named() -> None:
    experiment = loaded("compare:\n  budget:\n    short: {train.epochs: 1}\n    long: {train.epochs: 3}\n")
    assert arms(experiment) == ["short", "long"]
    assert [trial.settings.train.epochs for trial in experiment.trials] == [1, 3]


def test_mappings_that_move_together_are_crossed_with_other_axes() -> None:
    text = (
        "compare: {budget: {short: {train.epochs: 1}, long: {train.epochs: 3}}, model.encoder: [resnet18, resnet34]}\n"
    )
    assert arms(loaded(text)) == [
        f"{budget}, encoder={encoder}" for budget in ("short", "long") for encoder in ("resnet18", "resnet34")
    ]


def test_a_whole_section_may_be_compared() -> None:
    text = "train: {optimizer: {weight_decay: 0.5}}\n"
    text += "compare:\n  train.optimizer: [{name: sgd, momentum: 0.5}, {name: adamw}]\n"
    experiment = loaded(text)
    assert arms(experiment) == ["optimizer=sgd(momentum=0.5)", "optimizer=adamw"]
    assert [trial.settings.train.optimizer.weight_decay for trial in experiment.trials] == [0.5, 0.5]


def test_lists_may_be_values_of_an_axis() -> None:
    text = "compare: {model.decoder_channels: [[8, 8], [4]]}\nbaseline: {model.decoder_channels: [8, 8]}\n"
    experiment = loaded(text)
    assert (arms(experiment), experiment.baseline) == (
        ["decoder_channels=[8, 8]", "decoder_channels=[4]"],
        "decoder_channels=[8, 8]",
    )


@pytest.mark.parametrize(
    ("axis", "name"),
    [
        ("train.optimizer.learning_rate: [1e-3, 1e-5]", ["learning_rate=0.001", "learning_rate=1.0e-05"]),
        ("train.gradient_clip: [null, 1.0]", ["gradient_clip=null", "gradient_clip=1.0"]),
        ("train.schedule.name: [poly, cosine]", ["schedule=poly", "schedule=cosine"]),
        ("model.weights: [none, imagenet]", ["weights=none", "weights=imagenet"]),
    ],
)
def test_an_arm_is_named_by_what_varies(axis: str, name: list[str]) -> None:
    assert arms(loaded(f"compare: {{{axis}}}\n")) == name


GRID = "compare: {train.epochs: [1, 2], model.upsampler: [nearest_conv, bilinear_conv, transposed_k2]}\n"


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("[{train.epochs: 1}]", 3),
        ("[{train.epochs: 1, model.upsampler: nearest_conv}]", 5),
        ("[{train.epochs: 1, model.upsampler: [nearest_conv, bilinear_conv]}]", 4),
        ("[{train.epochs: 1}, {model.upsampler: transposed_k2}]", 2),
    ],
)
def test_exclude_drops_the_points_that_match(rule: str, left: int) -> None:
    assert len(loaded(GRID + f"exclude: {rule}\n").trials) == left


def test_exclude_may_name_a_point_by_its_label() -> None:
    compare = "compare: {budget: {short: {train.epochs: 1}, long: {train.epochs: 3}}, train.batch_size: [1, 2]}\n"
    experiment = loaded(compare + "exclude: [{budget: short, train.batch_size: 1}]\n")
    assert arms(experiment) == ["short, batch_size=2", "long, batch_size=1", "long, batch_size=2"]


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("[{train.epochs: 3}]", "matches no arm"),
        ("[{train.epochs: 1}, {train.epochs: 1}]", "matches no arm"),
        ("[{train.epoch: 1}]", "did you mean 'train.epochs'?"),
        ("[{train.epochs: [1, 2]}]", "leaves no arm"),
        ("{train.epochs: 1}", "must be a list"),
        ("[train.epochs]", "must be a list"),
        ("5", "must be a list"),
    ],
)
def test_an_exclude_that_excludes_nothing_or_all_is_refused(rule: str, what: str) -> None:
    error = refused(GRID + f"exclude: {rule}\n")
    assert what in error.what
    assert error.where == "e.yaml:5"


def test_an_absent_setting_is_not_matched_by_null() -> None:
    compare = "compare: [{train.epochs: 1}, {train.epochs: 2, train.gradient_clip: 1.0}]\n"
    assert "matches no arm" in refused(compare + "exclude: [{train.gradient_clip: null}]\n").what


def test_the_baseline_is_the_arm_that_matches() -> None:
    experiment = loaded(GRID + "baseline: {train.epochs: 2, model.upsampler: bilinear_conv}\nseeds: [0, 1]\n")
    assert experiment.baseline == "epochs=2, upsampler=bilinear_conv"
    assert [trial.is_baseline for trial in experiment.trials] == [False, False, False, False, True, False] * 2


@pytest.mark.parametrize(
    ("baseline", "what"),
    [
        ("{train.epochs: 1}", "matches 3 arms"),
        ("{train.epochs: 3}", "matches no arm"),
        ("{train.epochs: 1, model.upsampler: bilinar_conv}", "matches no arm"),
        ("{model.upsamplr: bilinear_conv}", "did you mean 'model.upsampler'?"),
        ("bilinear_conv", "must be a mapping"),
        ("{}", "must be a mapping"),
    ],
)
def test_a_baseline_that_is_not_exactly_one_arm_is_refused(baseline: str, what: str) -> None:
    error = refused(GRID + f"baseline: {baseline}\n")
    assert what in error.what
    assert error.where == "e.yaml:5"


def test_a_baseline_that_was_excluded_is_refused() -> None:
    text = GRID + "exclude: [{train.epochs: 1}]\nbaseline: {train.epochs: 1, model.upsampler: bilinear_conv}\n"
    assert "matches no arm" in refused(text).what


def test_a_baseline_without_axes_is_refused() -> None:
    assert "nothing is compared" in refused("baseline: {train.epochs: 20}\n").what


@pytest.mark.parametrize(
    "compare",
    [
        "{model.upsampler: [bilinear_conv, bilinear_conv]}",
        "{train.epochs: [1, 1]}",
        "{train.optimizer.learning_rate: [1, 1.0]}",
        "{execution.threads: [1, 2]}",
        "{data.root: [a/camvid, b/camvid]}",
        "{train: [{epochs: 1}, {epochs: 1, batch_size: 8}]}",
        "{budget: {short: {train.epochs: 20}, long: {train.batch_size: 8}}}",
        "[{train.epochs: 1}, {train.epochs: 1, train.batch_size: 8}]",
    ],
)
def test_an_axis_that_changes_nothing_is_refused(compare: str) -> None:
    base = BASE.replace("shapes", "camvid")
    error = refused(f"compare: {compare}\n", base=base)
    assert "same trial" in error.what or "two arms are called" in error.what
    assert error.where == "e.yaml:4"


def test_the_axis_that_changes_nothing_is_the_one_that_is_named() -> None:
    error = refused("compare:\n  train.epochs: [1, 2]\n  execution.threads: [1, 2]\n")
    assert error.where == "e.yaml:6"


@pytest.mark.parametrize(
    ("compare", "what"),
    [
        ("{model.upsampler: [bilinear_conv]}", "at least two values"),
        ("{model.upsampler: bilinear_conv}", "at least two values"),
        ("{model.upsampler: []}", "at least two values"),
        ("{model.upsampler: null}", "at least two values"),
        ("{budget: {only: {train.epochs: 1}}}", "at least two values"),
        ("[{train.epochs: 1}]", "at least two values"),
        ("5", "must be a mapping"),
        ("text", "must be a mapping"),
        ("{5: [1, 2]}", "unknown setting '5'"),
        ("{modle.upsampler: [a, b]}", "did you mean 'model'?"),
        ("{model.upsamplr: [a, b]}", "did you mean 'upsampler'?"),
        ("{budget: [{train.epoch: 1}, {train.epochs: 2}]}", "did you mean 'epochs'?"),
        ("{budget: [{}, {train.epochs: 2}]}", "unknown setting 'budget'"),
        ("{train.epochs: {a: 1, b: 2}}", "must be a mapping of settings"),
        ("{seed: [0, 1]}", "given by seeds"),
        ("{model.upsampler: [bilinear_conv, bilinar_conv]}", "did you mean 'bilinear_conv'?"),
        ("{train.epochs: [1, 0]}", "train.epochs must be at least 1, not 0"),
        ('{budget: {"a\\nb": {train.epochs: 1}, c: {train.epochs: 2}}}', "not one printable line"),
        ('{budget: {"\\e[2J": {train.epochs: 1}, c: {train.epochs: 2}}}', "not one printable line"),
        ('{data.root: ["a\\nb", c]}', "not one printable line"),
        ("{train.epochs: {a: {train.epochs.x: 1}, b: {train.epochs: 1}}}", "must be a whole number, not a mapping"),
    ],
)
def test_an_axis_that_cannot_be_is_refused(compare: str, what: str) -> None:
    error = refused(f"compare: {compare}\n")
    assert what in error.what
    assert error.where == "e.yaml:4"


def test_a_wrong_value_of_an_axis_is_told_with_its_own_line() -> None:
    error = refused("compare:\n  model.upsampler:\n  - bilinear_conv\n  - bilinar_conv\n")
    assert error.where == "e.yaml:7"


def test_a_grid_that_explodes_is_refused_at_once() -> None:
    values = list(range(1, 101))
    text = f"compare: {{train.epochs: {values}, train.batch_size: {values}, train.accumulate: {values}}}\n"
    assert "1,000,000 arms (100 x 100 x 100), and at most 10,000" in refused(text).what


def test_arms_times_seeds_are_refused_before_they_are_made() -> None:
    """1,000 arms x 100,000 seeds ran until the memory was full."""
    text = (
        f"compare: {{train.epochs: {list(range(1, 101))}, train.batch_size: {list(range(1, 11))}}}\n"
        f"seeds: {list(range(101))}\n"
    )
    error = refused(text)
    assert error.what == "1,000 arms x 101 seeds are 101,000 trials, and at most 100,000 are possible"
    assert error.where == "e.yaml:5"


def test_thousands_of_excludes_compare_each_arm_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """9,000 arms with 4,000 excludes took 115 s: each rule was compared with each arm."""
    values = list(range(1, 41))
    rules = [f"{{train.epochs: {at // 40 + 1}, train.batch_size: {at % 40 + 1}}}" for at in range(1590)]
    text = f"compare: {{train.epochs: {values}, train.batch_size: {values}}}\nexclude: [{', '.join(rules)}]\n"
    composed, seen = loaded(text + "seeds: [0]\n").composed, 0

    def counted(point: Mapping[str, Point]) -> dict[str, Any]:
        nonlocal seen
        seen += 1
        return changes_of(point)

    changes_of = segsuite.arms.changes_of
    monkeypatch.setattr("segsuite.arms.changes_of", counted)
    left = expand(composed, "e")
    assert list(left) == [f"epochs=40, batch_size={size}" for size in range(31, 41)]
    assert seen <= 3 * 1600


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("{train.epochs: 1}", ["epochs=2"]),
        ("{train.epochs: 1.0}", ["epochs=2"]),
        ("{train.epochs: [2, 7]}", ["epochs=1"]),
        ("{train.epochs: epochs=2}", ["epochs=1"]),
    ],
)
def test_an_exclude_names_values_or_what_the_plan_shows(rule: str, left: list[str]) -> None:
    assert arms(loaded(f"compare: {{train.epochs: [1, 2]}}\nexclude: [{rule}]\n")) == left
