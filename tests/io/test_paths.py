"""segsuite.io.paths: ~ and variables in settings, and where relative paths begin."""

from pathlib import Path

import pytest

from segsuite.datasets import build_dataset
from segsuite.encoders.weight_files import named_file
from segsuite.errors import ConfigError, DataError
from segsuite.experiment import load
from segsuite.io.paths import as_written, expanded
from tests.datasets.trees import camvid_tree, folder_tree

TEXT = "name: e\ndata: {name: shapes}\nmodel: {name: unet}\n"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLACE", str(tmp_path / "place"))
    monkeypatch.delenv("NOWHERE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("~/x", "{0}/home/x"),
        ("$HOME/x", "{0}/home/x"),
        ("${HOME}/x", "{0}/home/x"),
        ("$PLACE", "{0}/place"),
        ("x/$PLACE", "{0}/x/{0}/place"),
        ("x", "{0}/x"),
        ("../x", "{0}/../x"),
        ("/x", "/x"),
    ],
)
def test_what_a_path_means(tmp_path: Path, text: str, meant: str) -> None:
    assert expanded(text) == Path(meant.format(tmp_path))


def test_a_pattern_keeps_its_wildcards(tmp_path: Path) -> None:
    assert as_written("~/{split}/*.png") == f"{tmp_path}/home/{{split}}/*.png"


@pytest.mark.parametrize("text", ["$NOWHERE/x", "${NOWHERE}/x", "x/$NOWHERE"])
def test_a_variable_that_is_not_set_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="environment variable NOWHERE is not set") as caught:
        expanded(text)
    assert text in caught.value.where


def test_a_user_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match="there is no user 'nobody-at-all'"):
        expanded("~nobody-at-all/x")


def test_a_folder_with_a_dollar_in_its_name_is_itself(tmp_path: Path) -> None:
    (tmp_path / "a$b").mkdir()
    assert expanded("a$b") == tmp_path / "a$b"


@pytest.mark.parametrize("root", ["~/runs", "$PLACE/runs", "runs"])
def test_runs_are_put_where_the_path_means(tmp_path: Path, root: str) -> None:
    Path("e.yaml").write_text(f"{TEXT}runs_root: {root}\n")
    assert load(Path("e.yaml")).folder == expanded(root) / "e"
    assert load(Path("e.yaml")).folder.is_absolute()


def test_a_runs_root_that_means_nothing_is_told_with_its_line() -> None:
    Path("e.yaml").write_text(f"{TEXT}runs_root: $NOWHERE/runs\n")
    with pytest.raises(ConfigError, match="runs_root: the environment variable NOWHERE") as caught:
        load(Path("e.yaml"))
    assert caught.value.where == "e.yaml:4"


def test_defaults_may_lie_at_home(tmp_path: Path) -> None:
    (tmp_path / "home" / "base.yaml").write_text("train: {epochs: 3}\n")
    Path("e.yaml").write_text(f"{TEXT}defaults: ~/base.yaml\n")
    assert load(Path("e.yaml")).trials[0].settings.train.epochs == 3


def test_data_is_found_at_home(tmp_path: Path) -> None:
    camvid_tree(tmp_path / "home" / "camvid")
    assert len(build_dataset("camvid", "train", root="~/camvid")) == 3


@pytest.mark.parametrize(("images", "masks"), [("~/d/images/*.png", "$HOME/d/masks/*.png"), ("images/*", "masks/*")])
def test_patterns_may_begin_at_home(tmp_path: Path, images: str, masks: str) -> None:
    folder_tree(tmp_path / "home" / "d", ["0", "1"])
    settings = {"classes": ["a", "b"], "images": images, "masks": masks, "fractions": {"train": 1.0}}
    assert len(build_dataset("folder", "train", root="~/d", **settings)) == 2


def test_a_csv_may_lie_elsewhere(tmp_path: Path) -> None:
    folder_tree(tmp_path / "d", ["0"])
    (tmp_path / "home" / "list.csv").write_text("image,mask,split\nimages/0.png,masks/0.png,train\n")
    assert len(build_dataset("folder", "train", root="d", classes=["a", "b"], csv="~/list.csv")) == 1


def test_weights_are_found_at_home(tmp_path: Path) -> None:
    (tmp_path / "home" / "w.pth").write_bytes(b"")
    assert named_file("~/w.pth") == tmp_path / "home" / "w.pth"


@pytest.mark.parametrize("root", ["nowhere", "~/nowhere", "$PLACE"])
@pytest.mark.parametrize("name", ["camvid", "folder"])
def test_a_wrong_root_is_told_as_written_and_where_it_was_looked_for(name: str, root: str) -> None:
    settings = {} if name == "camvid" else {"classes": ["a", "b"], "images": "*", "masks": "*"}
    with pytest.raises(DataError) as caught:
        build_dataset(name, "train", root=root, **settings)
    assert caught.value.what == f"there is no dataset folder {root}"
    assert caught.value.where == str(expanded(root))
    assert "relative paths begin at the folder where the command is called" in caught.value.advice


def test_weights_that_are_not_there_are_told_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist") as caught:
        named_file("w.pth")
    assert caught.value.where == str(tmp_path / "w.pth")
