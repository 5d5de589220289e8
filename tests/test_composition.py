"""segsuite.composition: files and --set become one set of values, and each value knows where it came from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segsuite.composition import Composed, compose
from segsuite.errors import ConfigError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a YAML into the working directory and gives its relative path."""
    monkeypatch.chdir(tmp_path)

    def writing(name: str, text: str) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return writing


def refused(path: Path, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        compose(path, overrides)
    error = caught.value
    assert error.what
    assert error.where
    assert error.advice
    return error


BASE = """\
data: {name: shapes, size: [32, 48], val_images: 5}
model: {name: unet, encoder: resnet18, decoder_channels: [8, 8, 8]}
train:
  epochs: 5
  optimizer:
    name: sgd
    learning_rate: 1e-1
    momentum: 0.5
"""


def test_mappings_merge_deeply(write: Write) -> None:
    write("base.yaml", BASE)
    values = compose(write("e.yaml", "defaults: base.yaml\ntrain: {optimizer: {learning_rate: 1e-2}}\n")).values
    assert values["train"] == {"epochs": 5, "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.5}}


def test_lists_are_replaced(write: Write) -> None:
    write("base.yaml", BASE)
    values = compose(write("e.yaml", "defaults: base.yaml\nmodel: {decoder_channels: [4, 4]}\n")).values
    assert values["model"]["decoder_channels"] == [4, 4]
    assert values["model"]["encoder"] == "resnet18"


def test_null_replaces_a_mapping(write: Write) -> None:
    write("base.yaml", BASE)
    assert compose(write("e.yaml", "defaults: base.yaml\ntrain: null\n")).values["train"] is None


def test_a_section_with_another_name_replaces(write: Write) -> None:
    write("base.yaml", BASE)
    values = compose(write("e.yaml", "defaults: base.yaml\ndata: {name: camvid, root: r}\n")).values
    assert values["data"] == {"name": "camvid", "root": "r"}


def test_a_section_that_names_what_was_nameless_merges(write: Write) -> None:
    write("base.yaml", "train: {optimizer: {weight_decay: 0.5}}\n")
    values = compose(write("e.yaml", "defaults: base.yaml\ntrain: {optimizer: {name: sgd}}\n")).values
    assert values["train"]["optimizer"] == {"weight_decay": 0.5, "name": "sgd"}


def test_later_defaults_win_and_the_file_wins_over_all(write: Write) -> None:
    write("one.yaml", "train: {epochs: 1, batch_size: 1, accumulate: 1}\n")
    write("two.yaml", "train: {epochs: 2, batch_size: 2}\n")
    values = compose(write("e.yaml", "defaults: [one.yaml, two.yaml]\ntrain: {epochs: 3}\n")).values
    assert values == {"train": {"epochs": 3, "batch_size": 2, "accumulate": 1}}


def test_a_chain_of_defaults_is_relative_to_each_file(write: Write) -> None:
    write("base/deep/ground.yaml", "train: {epochs: 1, batch_size: 1}\nseeds: [7]\n")
    write("base/middle.yaml", "defaults: deep/ground.yaml\ntrain: {batch_size: 2}\n")
    values = compose(write("sub/e.yaml", "defaults: ../base/middle.yaml\nseeds: [8]\n")).values
    assert values == {"train": {"epochs": 1, "batch_size": 2}, "seeds": [8]}


def test_one_base_may_be_reached_twice(write: Write) -> None:
    write("ground.yaml", "train: {epochs: 1}\n")
    write("one.yaml", "defaults: ground.yaml\n")
    write("two.yaml", "defaults: ground.yaml\n")
    assert compose(write("e.yaml", "defaults: [one.yaml, two.yaml]\n")).values == {"train": {"epochs": 1}}


def test_what_a_base_file_asks_and_compares_is_not_handed_on(write: Write) -> None:
    own = "name: b\nquestion: q\ncompare: {train.epochs: [1, 2]}\nexclude: [{a: 1}]\nbaseline: {a: 1}\n"
    write("base.yaml", own + "train: {epochs: 1}\nruns_root: elsewhere\n")
    values = compose(write("e.yaml", "defaults: base.yaml\n")).values
    assert values == {"train": {"epochs": 1}, "runs_root": "elsewhere"}


@pytest.mark.parametrize("files", [{"e.yaml": "e.yaml"}, {"e.yaml": "a.yaml", "a.yaml": "b.yaml", "b.yaml": "a.yaml"}])
def test_defaults_that_go_in_a_circle_are_refused(write: Write, files: dict[str, str]) -> None:
    for name, parent in files.items():
        write(name, f"seeds: [0]\ndefaults: {parent}\n")
    error = refused(Path("e.yaml"))
    assert "builds on itself" in error.what
    assert error.where == f"{list(files)[-1]}:2"


def test_a_missing_base_is_told_with_its_line_and_the_nearest_name(write: Write) -> None:
    write("base/camvid.yaml", "")
    error = refused(write("e.yaml", "name: e\ndefaults:\n- base/camvid.yaml\n- base/camvit.yaml\n"))
    assert error.what == "there is no file base/camvit.yaml"
    assert error.where == "e.yaml:4"
    assert "did you mean base/camvid.yaml?" in error.advice


@pytest.mark.parametrize("value", ["5", "{a: b}", "[1]", "[[a.yaml]]", "true"])
def test_defaults_that_name_no_file_are_refused(write: Write, value: str) -> None:
    assert refused(write("e.yaml", f"defaults: {value}\n")).where == "e.yaml:1"


@pytest.mark.parametrize("name", ["x" * 5000, '"a\\0b"', '"a\\nb"'])
def test_a_hostile_name_of_a_base_is_a_missing_file(write: Write, name: str) -> None:
    assert "there is no file" in refused(write("e.yaml", f"defaults: {name}\n")).what


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


def test_set_keeps_the_neighbours(write: Write) -> None:
    found = composed(write, "train.optimizer={learning_rate: 1.0}", "train.epochs=1")
    assert found.values["train"]["optimizer"] == {"name": "sgd", "learning_rate": 1.0, "momentum": 0.5}


def test_set_merges_a_mapping_as_deeply_as_a_file(write: Write) -> None:
    found = composed(write, "train={optimizer: {momentum: 0.1}}")
    assert found.values["train"]["optimizer"] == {"name": "sgd", "learning_rate": 0.1, "momentum": 0.1}
    assert found.values["train"]["epochs"] == 5


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
        ("train.epochs=[1", "not valid YAML"),
        ("train.epochs=!!python/name:os.system", "not valid YAML"),
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


def test_every_value_knows_its_file_and_line_or_its_set(write: Write) -> None:
    write(
        "base/ground.yaml", "data:\n  name: shapes\n  size: [32,\n         48]\nseeds:\n- 0\n- 1\ntrain: {epochs: 5}\n"
    )
    text = "defaults: base/ground.yaml\nname: e\ntrain:\n  optimizer:\n    name: sgd\nseeds: [3]\n"
    found = compose(write("e.yaml", text), ["train.optimizer.momentum=0.1", "loss={label_smoothing: 0.1}"])
    assert dict(found.leaves()) == {
        ("data", "name"): "base/ground.yaml:2",
        ("data", "size"): "base/ground.yaml:3",
        ("train", "epochs"): "base/ground.yaml:8",
        ("name",): "e.yaml:2",
        ("train", "optimizer", "name"): "e.yaml:5",
        ("seeds",): "e.yaml:6",
        ("train", "optimizer", "momentum"): "--set train.optimizer.momentum=0.1",
        ("loss", "label_smoothing"): "--set loss={label_smoothing: 0.1}",
    }


def test_the_items_of_a_list_have_lines_of_their_own(write: Write) -> None:
    found = compose(write("e.yaml", "seeds:\n- 0\n- 1\n"))
    assert [found.where(("seeds", index)) for index in (0, 1, 9)] == ["e.yaml:2", "e.yaml:3", "e.yaml:1"]


def test_a_replaced_list_forgets_the_lines_of_the_old_one(write: Write) -> None:
    write("base.yaml", "seeds:\n- 0\n- 1\n- 2\n")
    found = compose(write("e.yaml", "defaults: base.yaml\nseeds: [5]\n"))
    assert found.where(("seeds", 2)) == "e.yaml:2"


def test_a_value_from_a_merge_key_is_where_it_is_written(write: Write) -> None:
    text = "loss: &x\n  label_smoothing: 0.1\ntrain:\n  <<: *x\n  epochs: 3\n"
    found = compose(write("e.yaml", text))
    assert dict(found.leaves())["train", "label_smoothing"] == "e.yaml:2"


def test_composing_leaves_the_parts_of_a_file_apart(write: Write) -> None:
    text = "compare: {train.epochs: [1, 2]}\ntrain: {optimizer: &o {name: sgd}}\nevaluation: *o\n"
    found = compose(write("e.yaml", text), ["train.optimizer.momentum=0.1"])
    assert found.values["evaluation"] == {"name": "sgd"}
