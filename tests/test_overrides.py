"""segsuite.composition: what `--set` sets, replaces and refuses, and what it says it has changed."""

from pathlib import Path
from typing import Any

import pytest

from segsuite import yaml_io
from segsuite.composition import Composed, compose
from segsuite.errors import ConfigError
from tests.composed_files import BASE, Write, refused, writing


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a YAML into a folder of its own and gives its relative path."""
    monkeypatch.chdir(tmp_path)
    return writing


def composed(write: Write, *overrides: str) -> Composed:
    return compose(write("e.yaml", BASE), overrides)


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.epochs=7", ("train", "epochs"), 7),
        ("train.optimizer.learning_rate=1e-3", ("train", "optimizer", "learning_rate"), 0.001),
        ("train.schedule.power=2", ("train", "schedule", "power"), 2),
        ("loss.label_smoothing=.1", ("loss", "label_smoothing"), 0.1),
        ("model.decoder_channels=[1, 2]", ("model", "decoder_channels"), [1, 2]),
        ("train.gradient_clip=null", ("train", "gradient_clip"), None),
        ("data.size=[64, 64]", ("data", "size"), [64, 64]),
        ("model.weights=", ("model", "weights"), ""),
        ("model.weights=a=b", ("model", "weights"), "a=b"),
        ("seeds=[3, 4]", ("seeds",), [3, 4]),
        ("runs_root=/tmp/x", ("runs_root",), "/tmp/x"),
        ("compare={model.upsampler: [a, b]}", ("compare",), {"model.upsampler": ["a", "b"]}),
    ],
)
def test_set_assigns_nested_and_new_keys(write: Write, override: str, path: tuple[str, ...], value: Any) -> None:
    found = composed(write, override)
    assert found.value(path) == value
    assert found.where(path) == f"--set {override}"


def test_set_of_a_key_keeps_its_neighbours(write: Write) -> None:
    found = composed(write, "train.optimizer.learning_rate=1.0", "train.epochs=1")
    assert found.values["train"]["optimizer"] == {"name": "sgd", "learning_rate": 1.0, "momentum": 0.5}


@pytest.mark.parametrize("key", ["loss", "train", "train.optimizer", "augment"])
def test_set_of_a_mapping_replaces_all_that_was_there(write: Write, key: str) -> None:
    file = "loss: {name: cross_entropy, class_weights: median_frequency}\naugment: {scale: [0.5, 2], hue: 0.1}\n"
    given = {"loss": "{name: cross_entropy}", "augment": "{hue: 0.2}"}.get(key, "{}")
    found = compose(write("e.yaml", BASE + file), [f"{key}={given}"])
    assert found.value(tuple(key.split("."))) == yaml_io.read_value(given)
    of_key = [where for path, where in found.leaves() if ".".join(path).startswith(key)]
    assert of_key == [f"--set {key}={given}"] * len(of_key)


def test_a_key_set_after_its_mapping_is_laid_over_it(write: Write) -> None:
    found = composed(write, "train={epochs: 3}", "train.batch_size=2")
    assert found.values["train"] == {"epochs": 3, "batch_size": 2}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epochs=7", "train.epochs: 5 -> 7"),
        ("train.epochs=5", "train.epochs: 5, as in the file"),
        ("train.accumulate=2", "train.accumulate: (default) -> 2"),
        (
            "train.optimizer={name: adamw}",
            "train.optimizer: {name: sgd, learning_rate: 0.1, momentum: 0.5} -> {name: adamw}",
        ),
        ("train.gradient_clip=null", "train.gradient_clip: (default) -> null"),
        ("seeds=[3]", "seeds: (default) -> [3]"),
        ("model.weights='5'", "model.weights: (default) -> '5'"),
    ],
)
def test_each_set_says_what_it_changed(write: Write, override: str, words: str) -> None:
    assert [change.words for change in composed(write, override).changes] == [words]


def test_set_of_a_section_with_another_name_replaces_it(write: Write) -> None:
    assert composed(write, "data={name: camvid, root: r}").values["data"] == {"name": "camvid", "root": "r"}


def test_the_last_set_wins(write: Write) -> None:
    assert composed(write, "train.epochs=1", "train.epochs=2").values["train"]["epochs"] == 2


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("train.epcohs=5", "did you mean 'epochs'?"),
        ("trian.epochs=5", "did you mean 'train'?"),
        ("train.optimizer.learningrate=5", "did you mean 'learning_rate'?"),
        ("data.vall_images=5", "did you mean 'val_images'?"),
        ("Train.epochs=5", "did you mean 'train'?"),
        ("train.epochs", "needs key=value"),
        ("=5", "needs key=value"),
        ("train..epochs=5", "unknown setting"),
        ("train.epochs=[1", "never closed"),
        ("train.epochs=!!python/name:os.system", "cannot begin with !"),
        ("data.size.x=1", "cannot be set"),
        ("seed=3", "given by seeds"),
        ("defaults=other.yaml", "cannot name other defaults"),
    ],
)
def test_a_set_that_cannot_be_is_refused(write: Write, override: str, hint: str) -> None:
    error = refused(write("e.yaml", BASE), override)
    assert hint in error.what
    assert error.where.startswith("--set ")


def test_all_wrong_sets_are_told_at_once(write: Write) -> None:
    with pytest.raises(ConfigError) as caught:
        composed(write, "train.epcohs=5", "train.epochs=3", "modle.name=unet")
    assert [part.where for part in caught.value.parts] == ["--set train.epcohs=5", "--set modle.name=unet"]


@pytest.mark.parametrize(
    ("compare", "override"),
    [
        ("{model.upsampler: [nearest_conv, bilinear_conv]}", "model.upsampler=transposed_k2"),
        ("{model.upsampler: [nearest_conv, bilinear_conv]}", "model={upsampler: transposed_k2}"),
        ("{model: [{upsampler: nearest_conv}, {upsampler: bilinear_conv}]}", "model.upsampler=transposed_k2"),
        ("{train.optimizer: [{name: sgd}, {name: adamw}]}", "train.optimizer.name=sgd"),
        ("{size: [{train.epochs: 1, data.size: [8, 8]}, {train.epochs: 2, data.size: [9, 9]}]}", "train.epochs=5"),
        ("{size: {small: {train.epochs: 1}, large: {train.epochs: 2}}}", "train.epochs=5"),
        ("[{train.epochs: 1}, {train.epochs: 2}]", "train.epochs=5"),
        ("{data.size: [[8, 8], [9, 9]]}", "data.size=[7, 7]"),
    ],
)
def test_set_on_what_is_compared_is_refused(write: Write, compare: str, override: str) -> None:
    error = refused(write("e.yaml", BASE + f"compare: {compare}\n"), override)
    assert "is what this experiment compares" in error.what


@pytest.mark.parametrize(
    ("compare", "override"),
    [
        ("{model.upsampler: [a, b]}", "model.encoder=resnet34"),
        ("{model.upsampler: [a, b]}", "model={encoder: resnet34}"),
        ("{train.optimizer.learning_rate: [1, 2]}", "train.optimizer.momentum=0.1"),
        ("[{train.epochs: 1}, {train.epochs: 2}]", "train.batch_size=5"),
        ("5", "train.batch_size=5"),
        ("{train.epochs: 5}", "train.batch_size=5"),
    ],
)
def test_set_beside_what_is_compared_is_taken(write: Write, compare: str, override: str) -> None:
    compose(write("e.yaml", BASE + f"compare: {compare}\n"), [override])
