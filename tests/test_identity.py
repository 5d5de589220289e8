"""The id of a trial: the same everywhere, unmoved by what does not matter, moved by everything that does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, create_model

from segsuite import config
from segsuite.config import Train, TrialSettings, arm_id, trial_id, validate
from segsuite.config.base import PATH, Settings, identity
from segsuite.experiment import load

REPOSITORY = Path(__file__).resolve().parents[1]

PLAIN: dict[str, Any] = {"data": {"name": "shapes"}, "model": {"name": "unet"}}
RICH: dict[str, Any] = {
    "data": {"name": "camvid", "root": "somewhere/camvid"},
    "model": {"name": "smp/FPN", "encoder": "resnet34", "options": {"decoder_dropout": 0.1, "upsampling": 4}},
    "loss": {"name": "cross_entropy", "class_weights": [1, 2.5]},
    "augment": {"crop": [64, 96], "scale": [0.5, 2]},
    "train": {"epochs": 3, "optimizer": {"name": "sgd", "learning_rate": 1e-5}, "schedule": {"name": "step"}},
    "evaluation": {"split": "test"},
    "seed": 7,
}


def settings_of(values: dict[str, Any]) -> TrialSettings:
    return validate(values, str)


def changed(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy of `values` with the dotted `key` set."""
    copy: dict[str, Any] = json.loads(json.dumps(values))
    *parents, last = key.split(".")
    at = copy
    for parent in parents:
        at = at.setdefault(parent, {})
    at[last] = value
    return copy


def identifier(values: dict[str, Any], key: str = "seed", value: Any = 0) -> str:
    return trial_id(settings_of(changed(values, key, value)))


@pytest.mark.parametrize("hash_seed", ["0", "1", "12345"])
def test_another_process_with_another_hash_seed_gives_the_same_id(hash_seed: str) -> None:
    code = (
        "import json, sys; from segsuite.config import trial_id, validate; "
        "print(trial_id(validate(json.loads(sys.argv[1]), str)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    found = subprocess.run(
        [sys.executable, "-c", code, json.dumps(RICH)],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == trial_id(settings_of(RICH))


def reordered(value: Any, draw: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key], draw) for key in draw(st.permutations(list(value)))}
    return value


@given(st.data())
def test_the_order_of_keys_does_not_matter(data: st.DataObject) -> None:
    assert trial_id(settings_of(reordered(RICH, data.draw))) == trial_id(settings_of(RICH))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.epochs", 20),
        ("train", {"optimizer": {"name": "adamw", "learning_rate": 1e-3}, "schedule": {}}),
        ("model.upsampler", "bilinear_conv"),
        ("model.decoder_channels", [256, 128, 64, 32, 16]),
        ("loss", {"name": "cross_entropy"}),
        ("seed", 0),
    ],
)
def test_writing_out_a_default_does_not_matter(key: str, value: Any) -> None:
    assert identifier(PLAIN, key, value) == trial_id(settings_of(PLAIN))


@pytest.mark.parametrize(
    "key", ["train.optimizer.learning_rate", "train.optimizer.weight_decay", "train.gradient_clip"]
)
def test_a_whole_number_is_the_same_as_its_float(key: str) -> None:
    assert identifier(PLAIN, key, 1) == identifier(PLAIN, key, 1.0)


def test_a_whole_number_in_a_list_is_the_same_as_its_float() -> None:
    assert identifier(PLAIN, "loss.class_weights", [1, 2]) == identifier(PLAIN, "loss.class_weights", [1.0, 2.0])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("device", "cpu"),
        ("workers", 3),
        ("data_on_device", False),
        ("cuda_graphs", True),
        ("threads", 1),
        ("cache_images", True),
        ("evaluation_batch_size", 1),
        ("checkpoint_minutes", 0.5),
        ("keep", "all"),
        ("nodes", 2),
        ("devices", 4),
        ("strategy", "fsdp"),
    ],
)
def test_how_a_trial_is_executed_does_not_matter(key: str, value: Any) -> None:
    assert identifier(PLAIN, f"execution.{key}", value) == trial_id(settings_of(PLAIN))


def test_every_execution_setting_is_tried_above() -> None:
    tried = {"device", "workers", "threads", "cache_images", "evaluation_batch_size", "checkpoint_minutes", "keep"}
    assert set(config.Execution.model_fields) == tried | {
        "data_on_device",
        "cuda_graphs",
        "nodes",
        "devices",
        "strategy",
    }


ROOTS = ["data/camvid", "/elsewhere/camvid", "../shared/data/camvid/", "C:\\data\\camvid", "camvid"]


@pytest.mark.parametrize("root", ROOTS)
def test_the_folder_that_a_dataset_lies_in_does_not_matter(root: str) -> None:
    camvid = {"data": {"name": "camvid"}, "model": {"name": "unet"}}
    assert identifier(camvid, "data.root", root) == trial_id(settings_of(camvid))


@pytest.mark.parametrize("weights", ["w/lite0.pth", "/elsewhere/lite0.pth", "lite0.pth"])
def test_the_folder_that_weights_lie_in_does_not_matter(weights: str) -> None:
    assert identifier(PLAIN, "model.weights", weights) == identifier(PLAIN, "model.weights", "lite0.pth")


def test_the_runs_root_does_not_matter(tmp_path: Path) -> None:
    text = "name: e\ndata: {name: shapes}\nmodel: {name: unet}\n"
    (tmp_path / "e.yaml").write_text(text)
    here, there = (load(tmp_path / "e.yaml", [f"runs_root={root}"]).trials for root in ("runs", "/elsewhere"))
    assert [trial.id for trial in here] == [trial.id for trial in there]


def test_the_name_of_the_experiment_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text("data: {name: shapes}\nmodel: {name: unet}\n")
    one, other = (load(tmp_path / "e.yaml", [f"name={name}"]).trials[0] for name in ("one", "other"))
    assert (one.id, one.folder) != (other.id, other.folder)
    assert one.id == other.id


@pytest.mark.parametrize("train", [{}, {"epochs": 3}, {"optimizer": {"name": "sgd"}}])
def test_a_new_field_with_a_default_moves_no_id(train: dict[str, Any]) -> None:
    optimizer = create_model(
        "NewOptimizer", __base__=config.Optimizer, nesterov=(bool, True), betas=(tuple, (0.9, 0.99))
    )
    new_train = create_model(
        "NewTrain",
        __base__=Train,
        lookahead=(int, 3),
        start=(str, Field("a/b.pth", json_schema_extra=PATH)),
        optimizer=(optimizer, optimizer()),
    )
    shiny = create_model("Shiny", __base__=Settings, strength=(float, 0.5))
    later = create_model(
        "LaterSettings", __base__=TrialSettings, train=(new_train, new_train()), shiny=(shiny, shiny())
    )
    old, new = TrialSettings.model_validate({**PLAIN, "train": train}), later.model_validate({**PLAIN, "train": train})
    assert set(later.model_fields) > set(TrialSettings.model_fields)
    assert identity(new) == identity(old)
    assert trial_id(new) == trial_id(old)


def test_a_new_field_that_is_set_moves_the_id() -> None:
    later = create_model("LaterTrain", __base__=Train, lookahead=(int, 3))
    assert identity(later.model_validate({"lookahead": 4})) == {"lookahead": 4} != identity(Train())


@given(st.integers(1, 2**32 - 1))
def test_another_seed_is_another_trial_of_the_same_arm(seed: int) -> None:
    one, other = settings_of(PLAIN), settings_of({**PLAIN, "seed": seed})
    assert trial_id(one) != trial_id(other)
    assert arm_id(one) == arm_id(other)


OTHER = st.one_of(
    st.tuples(st.just("train.epochs"), st.integers(1, 10**6).filter(lambda value: value != 20)),
    st.tuples(st.just("train.batch_size"), st.integers(1, 10**6).filter(lambda value: value != 8)),
    st.tuples(st.just("train.optimizer.learning_rate"), st.floats(1e-9, 10).filter(lambda value: value != 1e-3)),
    st.tuples(st.just("train.optimizer.momentum"), st.floats(0, 0.99).filter(lambda value: value != 0.9)),
    st.tuples(st.just("train.ema_decay"), st.floats(0.5, 0.99)),
    st.tuples(st.just("augment.hue"), st.floats(0.01, 0.5)),
    st.tuples(st.just("augment.crop"), st.lists(st.integers(1, 999), min_size=2, max_size=2)),
    st.tuples(st.just("model.decoder_channels"), st.lists(st.integers(1, 64), min_size=1, max_size=5)),
    st.tuples(st.just("loss.class_weights"), st.lists(st.floats(0, 10), min_size=1, max_size=4)),
    st.tuples(st.just("data.scene_seed"), st.integers(1, 10**6)),
    st.tuples(st.just("data.size"), st.lists(st.integers(16, 95), min_size=2, max_size=2)),
    st.tuples(st.just("evaluation.split"), st.sampled_from(["train", "test"])),
)


@given(OTHER)
def test_any_other_setting_is_another_arm(change: tuple[str, Any]) -> None:
    other = settings_of(changed(PLAIN, *change))
    assert trial_id(other) != trial_id(settings_of(PLAIN))
    assert arm_id(other) != arm_id(settings_of(PLAIN))


@given(OTHER, OTHER)
def test_two_different_settings_are_two_trials(one: tuple[str, Any], other: tuple[str, Any]) -> None:
    same = settings_of(changed(PLAIN, *one)) == settings_of(changed(PLAIN, *other))
    assert (identifier(changed(PLAIN, *one)) == identifier(changed(PLAIN, *other))) == same


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.weights", "imagenet"),
        ("model.weights", "w/other.pth"),
        ("model.encoder", "resnet34"),
        ("model.upsampler", "nearest_conv"),
        ("train.precision", "fp32"),
        ("train.deterministic", "strict"),
        ("train.schedule.milestones", [0.6, 0.9]),
    ],
)
def test_another_choice_is_another_trial(key: str, value: Any) -> None:
    assert identifier(PLAIN, key, value) != identifier(PLAIN)


def test_another_dataset_folder_name_is_another_trial() -> None:
    camvid = {"data": {"name": "camvid"}, "model": {"name": "unet"}}
    assert identifier(camvid, "data.root", "data/camvid2") != identifier(camvid)


def test_an_id_is_12_hex_digits() -> None:
    assert len(identifier(PLAIN)) == 12
    assert set(identifier(PLAIN)) <= set("0123456789abcdef")
