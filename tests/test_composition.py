"""segsuite.composition: files become one set of values, and each value knows where it came from."""

from pathlib import Path

import pytest

from segsuite.composition import compose
from tests.composed_files import BASE, Write, refused, writing


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a YAML into a folder of its own and gives its relative path."""
    monkeypatch.chdir(tmp_path)
    return writing


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
