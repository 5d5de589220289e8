"""`segsuite data`: what it prints and returns, and that a mistake is three sentences."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from segsuite.cli import main
from segsuite.losses.class_weights import RULES
from tests.datasets.trees import camvid_tree, image_of, save

REPOSITORY = Path(__file__).resolve().parents[2]
EXPERIMENT = """\
name: small
data: {name: shapes, size: [24, 32], train_images: 3, val_images: 2, test_images: 2}
model: {name: unet}
"""
COMPARING = EXPERIMENT + "compare:\n  data.scene_seed: [0, 1]\n"


@dataclass(frozen=True)
class Called:
    code: int
    out: str
    error: str


Call = Callable[..., Called]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the command line in a folder of its own, which also holds what is kept between calls."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("small.yaml").write_text(EXPERIMENT)
    Path("comparing.yaml").write_text(COMPARING)

    def calling(*arguments: str) -> Called:
        capsys.readouterr()
        try:
            code = main(("data", *arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Called(code, captured.out, captured.err)

    return calling


@pytest.fixture
def camvid(tmp_path: Path) -> str:
    """Tiny splits in CamVid's layout: train is 3/4 road and 1/4 void, val 1/48 bicyclist and else sky."""
    root = camvid_tree(camvid_tree(tmp_path / "tiny", "train", 2), "val", 2)
    for split, mask in (("train", np.full((6, 8), 3)), ("val", np.zeros((6, 8)))):
        mask[0, 0] = 10 if split == "val" else 3
        mask[:, 6:] = 11 if split == "train" else mask[:, 6:]
        for path in (root / f"{split}annot").glob("*.png"):
            save(path, mask.astype(np.uint8))
    return str(root)


def test_shares_presence_and_objects_of_each_class(call: Call, camvid: str) -> None:
    (found,) = json.loads(call("stats", "camvid", "--root", camvid, "--json").out)["datasets"]
    train, val = found["splits"]["train"], found["splits"]["val"]
    assert train["classes"]["road"]["share"] == pytest.approx(0.75)
    assert train["void_share"] == pytest.approx(0.25)
    assert (train["images"], train["sizes"]) == (2, {"6x8": 2})
    bicyclist = val["classes"]["bicyclist"]
    assert (bicyclist["share"], bicyclist["image_share"]) == (pytest.approx(1 / 48), 1.0)
    assert (bicyclist["objects"], bicyclist["object_area"]["0.5"], bicyclist["small_object_pixel_share"]) == (2, 1, 1)
    assert list(found["missing"]) == ["test"]
    assert found["mismatch"]["road"] is None


def test_weights_are_those_of_the_rules(call: Call, camvid: str) -> None:
    (found,) = json.loads(call("stats", "camvid", "--root", camvid, "--json").out)["datasets"]
    assert list(found["class_weights"]) == list(RULES)
    assert found["class_weights"]["inverse_frequency"]["road"] == 1
    assert found["class_weights"]["inverse_frequency"]["bicyclist"] == 0


def test_what_is_striking_is_said(call: Call, camvid: str) -> None:
    found = call("stats", "camvid", "--root", camvid)
    assert re.search(r"sky, .*bicyclist are not in train: what is absent cannot be learnt", " ".join(found.out.split()))
    assert (
        "25 % of train has no class (void)"
        in json.loads(call("stats", "camvid", "--root", camvid, "--json").out)["datasets"][0]["striking"][-1]
    )
    assert "no split test" in found.out


@pytest.mark.parametrize(
    "given", [["{}"], ["--root", "{}"], ["camvid", "--root", "{}"], ["camvid", "--set", "data.root={}"]]
)
def test_a_folder_can_be_named_in_several_ways(call: Call, camvid: str, given: list[str]) -> None:
    found = call("stats", *(word.format(camvid) for word in given), "--json")
    assert (found.code, json.loads(found.out)["datasets"][0]["settings"]["root"]) == (0, camvid)


def test_an_experiment_names_its_data(call: Call) -> None:
    found = json.loads(call("stats", "small.yaml", "--json").out)["datasets"]
    assert [(one["name"], one["settings"]["size"]) for one in found] == [("shapes", [24, 32])]
    assert {split: one["images"] for split, one in found[0]["splits"].items()} == {"train": 3, "val": 2, "test": 2}


def test_an_experiment_that_compares_data_has_several(call: Call) -> None:
    found = json.loads(call("stats", "comparing.yaml", "--json").out)["datasets"]
    assert [one["settings"]["scene_seed"] for one in found] == [0, 1]
    refused = call("stats", "comparing.yaml", "--out", "page.html")
    assert (refused.code, "compares 2 settings" in refused.error) == (2, True)


def test_what_is_read_is_told_in_plain_lines_and_only_once(call: Call) -> None:
    first, second = call("stats", "small.yaml"), call("stats", "small.yaml")
    assert first.error.splitlines()[0] == "reading shapes, train: labels (3 images)"
    assert len(first.error.splitlines()) == 3
    assert (second.error, second.out) == ("", first.out)


def test_the_page_holds_everything_and_asks_no_network(call: Call) -> None:
    found = call("stats", "small.yaml", "--out", "pages/data.html")
    text = Path("pages/data.html").read_text(encoding="utf-8")
    assert found.out.endswith("written to pages/data.html\n")
    assert text.count("data:image/jpeg;base64,") == 3
    assert {"data-shares", "data-presence", "data-objects"} <= set(re.findall(r'data-figure="([\w-]+)"', text))
    assert "connect-src &#39;none&#39;" in text or "connect-src 'none'" in text
    page = text.split("<script")[0] + text.split("</script>")[-1]
    assert "<img" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert str(Path.cwd()) not in text


def test_a_class_named_like_a_script_is_text(call: Call, tmp_path: Path) -> None:
    for number in range(2):
        save(tmp_path / "own" / "train" / "i" / f"{number}.png", image_of(number))
        save(tmp_path / "own" / "train" / "m" / f"{number}.png", np.eye(6, 8, dtype=np.uint8))
    settings = {
        "data.images": "{split}/i/*.png",
        "data.masks": "{split}/m/*.png",
        "data.classes": '["<script>alert(1)</script>", b]',
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    words[-1] = f"data.classes={settings['data.classes']}"
    found = call("stats", "folder", "--root", str(tmp_path / "own"), *words, "--out", "page.html")
    assert found.code == 0, found.error
    assert "<script>alert" not in Path("page.html").read_text(encoding="utf-8")


def test_check_says_that_all_is_good(call: Call, camvid: str) -> None:
    found = call("check", camvid)
    assert found.code == 0
    assert re.search(r"train +2 +6x8 +all can be used", found.out)
    assert re.search(r"test +- +- +not there", found.out)


def test_check_names_every_bad_file(call: Call, camvid: str) -> None:
    bad = sorted(Path(camvid, "valannot").glob("*.png"))[1]
    save(bad, np.full((6, 8), 77, np.uint8))
    next(Path(camvid, "train").glob("*.png")).write_bytes(b"")
    found = call("check", camvid)
    assert found.code == 2
    assert re.search(r"val +2 +6x8 +1 cannot be used", found.out)
    assert f"{bad}: mask holds the raw value 77" in found.error
    assert "image file is empty" in found.error
    as_json = call("check", camvid, "--json")
    assert (as_json.code, len(json.loads(as_json.out)[0]["splits"]["val"]["problems"])) == (2, 1)


def test_stats_stop_at_a_bad_mask_with_its_name(call: Call, camvid: str) -> None:
    bad = next(Path(camvid, "valannot").glob("*.png"))
    bad.write_bytes(bad.read_bytes()[:40])
    found = call("stats", camvid)
    assert (found.code, found.out) == (2, "")
    assert bad.name in found.error


def test_list_names_every_dataset(call: Call) -> None:
    found = {one["name"]: one for one in json.loads(call("list", "--json").out)}
    assert found["shapes"]["splits"] == {"train": 240, "val": 60, "test": 60}
    assert "not here" in found["camvid"]["missing"]
    assert "settings" in found["folder"]["missing"]
    assert re.search(r"^camvid +CamVid", call("list").out, re.MULTILINE)


MISTAKES: dict[str, tuple[list[str], str]] = {
    "action": (["sttas"], "did you mean 'stats'?"),
    "no action": ([], "ACTION"),
    "no dataset": (["stats"], "no dataset is named"),
    "dataset": (["stats", "camvdi"], "did you mean 'camvid'?"),
    "folder": (["stats", "--root", "nowhere"], "there is no folder nowhere"),
    "layout": (["check", "."], "--set 'data.images="),
    "root": (["stats", "camvid"], "--set data.root=FOLDER"),
    "yaml": (["stats", "smal.yaml"], "did you mean small.yaml?"),
    "option": (["stats", "shapes", "--rot", "x"], "did you mean '--root'?"),
    "setting": (["stats", "shapes", "--set", "data.sise=3"], "did you mean 'size'?"),
    "no setting of this dataset": (["check", "shapes", "--root", "."], "unknown key 'root'"),
    "settings": (["stats", "folder"], "data.classes is required"),
    "a folder as page": (["stats", "shapes", "--out", "."], "is a folder"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_what_where_and_what_to_do(call: Call, mistake: str) -> None:
    arguments, hint = MISTAKES[mistake]
    found = call(*arguments)
    assert (found.code, found.out) == (2, "")
    assert hint in found.error
    assert found.error.startswith("error: ")
    assert "to do: " in found.error
    assert "Traceback" not in found.error
    assert len(found.error.splitlines()) <= 4


@pytest.mark.parametrize("arguments", [["--help"], ["stats", "--help"], ["stats", "small.yaml"], ["list"]])
def test_no_torch_is_imported(call: Call, arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from segsuite.cli import main\n"
        "try:\n    main(['data', *sys.argv[1:]])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'pytorch_lightning', 'albumentations', 'wandb'} & set(sys.modules)), file=sys.stderr)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stderr.splitlines()[-1] == "[]"


def test_real_camvid_is_said_to_be_imbalanced_and_mismatched(call: Call, camvid_root: Path) -> None:
    found = json.loads(call("stats", str(camvid_root), "--json").out)["datasets"][0]
    shares = {split: one["classes"]["bicyclist"]["share"] for split, one in found["splits"].items()}
    assert shares["train"] == pytest.approx(0.0029, abs=5e-5)
    assert shares["val"] == pytest.approx(0.0222, abs=5e-5)
    weights = list(found["class_weights"]["median_frequency"].values())
    expected = [0.279, 0.202, 4.789, 0.149, 1.0, 0.424, 3.846, 1.980, 0.789, 6.385, 8.819]
    assert weights == pytest.approx(expected, abs=5e-4)
    assert found["striking"][0].startswith("bicyclist is 0.29 % of train")
    assert "sign, fence, pole, pedestrian and bicyclist together have 4.4 %" in found["striking"][1]
    assert "pixel accuracy of 0.956" in found["striking"][1]
