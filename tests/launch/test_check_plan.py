"""segsuite.launch.check_plan: what can be known without decoding an image is said by `segsuite plan`, with its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from segsuite.cli import main
from segsuite.errors import SegsuiteError
from segsuite.experiment import load
from segsuite.io import atomic
from segsuite.launch.check_plan import problems
from tests.datasets.trees import camvid_tree, ids_of, image_of, save
from tests.results import whole_result

BASE = """\
name: e
data:
  {data}
model: {{name: unet, weights: {weights}}}
loss: {loss}
train: {{batch_size: 2, overfit_batches: {overfit}}}
evaluation: {{split: {split}}}
"""
FOLDER = 'name: folder\n  root: d\n  classes: [a, b]\n  images: "{split}/i/*.png"\n  masks: "{split}/m/*.png"\n'
FRACTIONS = FOLDER.replace("{split}", "*") + "  fractions: {train: 0.5, val: 0.5}\n"
CE = "{name: cross_entropy}"


@pytest.fixture(autouse=True)
def _tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for split in ("train", "val"):
        for number in range(4):
            save(Path("d") / split / "i" / f"{split}{number}.png", image_of(number))
            save(Path("d") / split / "m" / f"{split}{number}.png", ids_of(0, 1))


def found(
    data: str = FOLDER, weights: str = "none", loss: str = CE, split: str = "val", overfit: int = 0, more: str = ""
) -> list[SegsuiteError]:
    text = BASE.format(data=data, weights=weights, loss=loss, split=split, overfit=overfit) + more
    Path("e.yaml").write_text(text)
    return problems(load(Path("e.yaml")))


def test_what_is_right_has_no_problem() -> None:
    assert found() == []
    assert found(FRACTIONS) == []


# What is changed, what is said, and the line of the YAML that is named.
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "a root": ({"data": FOLDER.replace("root: d", "root: dd")}, "there is no dataset folder dd", "root: dd"),
    "camvid's root": ({"data": "name: camvid\n"}, "there is no dataset folder data/camvid", "data:"),
    "a split that is not there": ({"split": "test"}, "no file matches the pattern test/m/*.png", "root: d"),
    "a split without a fraction": (
        {"data": FRACTIONS, "split": "test"},
        "unknown split 'test'; valid:",
        "name: folder",
    ),
    "no split at all": ({"data": FOLDER.replace("{split}", "*")}, "folder's split is given nowhere", "name: folder"),
    "weights of another number": ({"loss": "{class_weights: [1, 2, 3]}"}, "class_weights has 3 numbers", "loss:"),
    "alpha of another number": ({"loss": "{name: focal, alpha: [1]}"}, "loss.alpha has 1 number", "loss:"),
    "weights in a sum": (
        {"loss": "{name: sum, terms: [{name: cross_entropy}, {name: dice, class_weights: [1]}]}"},
        "loss.terms.1.class_weights has 1 number, the dataset 2 classes",
        "loss:",
    ),
    "weights of nothing but 0": ({"loss": "{class_weights: [0, 0]}"}, "class_weights: all numbers are 0", "loss:"),
    "alpha of nothing but 0": ({"loss": "{name: focal, alpha: [0, 0.0]}"}, "loss.alpha: all numbers are 0", "loss:"),
    "pixel counts of nothing but 0 in a sum": (
        {"loss": "{name: sum, terms: [{name: class_balanced_cross_entropy, pixel_counts: [0, 0]}]}"},
        "loss.terms.0.pixel_counts: all numbers are 0",
        "loss:",
    ),
    "pixel counts": (
        {"loss": "{name: logit_adjusted_cross_entropy, pixel_counts: [5]}"},
        "loss.pixel_counts has 1 number",
        "loss:",
    ),
    "a rare class": ({"loss": "{name: unified_focal, rare_classes: [c]}"}, "class in loss.rare_classes 'c'", "loss:"),
    "weights that do not exist": ({"weights": "w/lite0.pth"}, "the file of encoder weights does not exist", "model:"),
    "weights that are no word": ({"weights": "imagnet"}, "'imagnet'; did you mean 'imagenet'?", "model:"),
    "a batch too large": ({"overfit": 3}, "train.batch_size is 2 and train.overfit_batches 3", "train:"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_run_is_told_with_its_line(kind: str) -> None:
    changes, said, line = WRONG[kind]
    wrong = found(**changes)
    assert len(wrong) == 1
    assert said in wrong[0].what
    file, number = wrong[0].where.partition(",")[0].split(":")
    assert Path(file).read_text().splitlines()[int(number) - 1].strip().startswith(line)
    assert wrong[0].advice


def test_camvid_knows_its_classes() -> None:
    camvid_tree(camvid_tree(Path("tiny")), "val")
    wrong = found("name: camvid\n  root: tiny\n", loss="{class_weights: [1, 2]}")
    assert [one.what for one in wrong] == ["loss.class_weights has 2 numbers, the dataset 11 classes"]


def test_names_in_values_are_told_with_their_line() -> None:
    with pytest.raises(SegsuiteError, match="unknown class 'leef'; did you mean 'leaf'") as caught:
        found(FOLDER.replace("[a, b]", "[a, leaf]") + "  values: {0: a, 1: leef}\n")
    assert caught.value.where == "e.yaml:8"


def test_everything_is_told_at_once() -> None:
    wrong = found(weights="w.pth", loss="{class_weights: [1]}", split="test")
    assert len(wrong) == 3


def test_one_cause_is_told_once() -> None:
    more = "compare: {model.upsampler: [nearest_conv, bilinear_conv]}\nseeds: [0, 1]\n"
    assert len(found("name: camvid\n  root: nowhere\n", split="test", more=more)) == 1


def test_only_a_few_files_are_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        save(Path("d/train/i") / f"x{number}.png", image_of(number))
        save(Path("d/train/m") / f"x{number}.png", ids_of(0, 1))
    from segsuite.datasets import image_header

    opened: list[Path] = []
    monkeypatch.setattr(
        image_header, "opened", lambda file, path, true=image_header.opened: opened.append(path) or true(file, path)
    )
    assert found() == []
    assert len(opened) == 2 * (8 + 4)


def test_plan_lists_the_trials_all_the_same_and_returns_2(capsys: pytest.CaptureFixture[str]) -> None:
    found(weights="w.pth")
    assert main(("plan", "e.yaml")) == 2
    told = capsys.readouterr()
    assert "1 trial: 1 arm x 1 seed" in told.out
    assert "the file of encoder weights does not exist" in told.err
    assert main(("plan", "e.yaml", "--json")) == 2
    assert "encoder weights" in json.loads(capsys.readouterr().out)["problems"][0]["what"]


def test_an_experiment_that_has_finished_needs_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    found("name: camvid\n  root: nowhere\n")
    atomic.write_json(load(Path("e.yaml")).trials[0].folder / "result.json", whole_result())
    assert main(("plan", "e.yaml")) == 0
    assert "finished" in capsys.readouterr().out


def test_run_refuses_what_plan_refuses_and_makes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    found(weights="w.pth")
    assert main(("run", "e.yaml")) == 2
    assert "the file of encoder weights does not exist" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize(("split", "code"), [("val", 0), ("test", 2)])
def test_data_check_fails_for_a_missing_split_that_is_used(
    split: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found(split=split)
    assert main(("data", "check", "e.yaml")) == code
    told = capsys.readouterr()
    assert "not there" in told.out
    assert ("no file matches the pattern test/m/*.png" in told.err) == bool(code)


def test_a_dataset_by_name_may_lack_a_split(capsys: pytest.CaptureFixture[str]) -> None:
    camvid_tree(Path("tiny"))
    assert main(("data", "check", "tiny")) == 0
    capsys.readouterr()
