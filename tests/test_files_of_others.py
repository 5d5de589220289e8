"""Whatever a person keeps beside what the program removes stays, and what links lead to (see test_removals.py)."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from segsuite.cli import main
from segsuite.datasets import decoded as decoded_images
from segsuite.datasets.shapes import Shapes
from segsuite.errors import ConfigError
from segsuite.io import atomic, store
from segsuite.launch.freeze import freeze
from segsuite.report.build import own_files
from segsuite.report.page import is_page
from tests.reliability.trials import REPOSITORY, trials_of, write_experiment
from tests.report.runs import experiment_in, finish

NAMES = ("notes.txt", ".notes.tmp", ".trial.yaml.4711.tmp", "mine.ckpt", "mine.npz", "mine.json", "mine.decoded")


def plant(folder: Path) -> dict[Path, str]:
    """Files of a person in `folder`, in a folder of theirs there, and behind links to a file and a folder elsewhere."""
    elsewhere = folder.parent / f"elsewhere-{folder.name}"
    planted = {folder / name: f"{name} in {folder}" for name in NAMES}
    planted |= {place / "last.ckpt": str(place) for place in (folder / "mine", elsewhere)}
    for path, text in planted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (time.time() - 10**6,) * 2)
    (folder / ".link.0123456789abcdef.tmp").symlink_to(elsewhere / "last.ckpt")
    (folder / "link").symlink_to(elsewhere)
    (folder / ".folder.0123456789abcdef.tmp").mkdir()
    return planted | {
        folder / ".link.0123456789abcdef.tmp": str(elsewhere),
        folder / "link" / "last.ckpt": str(elsewhere),
    }


def assert_there(planted: dict[Path, str]) -> None:
    for path, text in planted.items():
        assert path.read_text() == text, path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "segsuite"


def test_a_new_attempt_with_smaller_batches_removes_what_was_trained_alone(tmp_path: Path) -> None:
    (trial,) = trials_of(write_experiment(tmp_path))
    run = store.RunDirectory(freeze(trial))
    ours = [
        *run.checkpoints,
        run.folder / "events.jsonl",
        run.folder / "checkpoints" / ".last.ckpt.0123456789abcdef.tmp",
    ]
    for path in ours:
        atomic.write_text(path, "")
    planted = plant(run.folder) | plant(run.folder / "checkpoints") | plant(run.folder / "samples")
    atomic.write_json(run.folder / store.SMALLER_BATCH, {"batch_size": 1})
    run.open()
    assert_there(planted)
    assert not any(path.exists() for path in ours)


@pytest.mark.parametrize("seconds", [-900.0, 900.0])
def test_a_file_that_is_being_written_stays_whatever_the_local_clock_says(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another launcher writes its trial.yaml at this moment; this machine's clock is wrong by 15 minutes."""
    written = tmp_path / ".trial.yaml.0123456789abcdef.tmp"
    written.write_text("")
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + seconds)
    atomic.remove_stale_temporaries(tmp_path, older_than=60.0)
    assert written.exists()
    os.utime(written, (right() - 100,) * 2)
    atomic.remove_stale_temporaries(tmp_path, older_than=60.0)
    assert not written.exists()


def test_clean_removes_its_own_files_by_name(tmp_path: Path, cache: Path) -> None:
    (gone,) = trials_of(write_experiment(tmp_path, train__epochs=7))
    of_gone = store.RunDirectory(freeze(gone))
    path = write_experiment(tmp_path)
    (kept,) = trials_of(path)
    freeze(kept)
    ours = [
        *of_gone.checkpoints,
        cache / "decoded" / f"{'a1' * 16}.decoded",
        cache / "label-counts" / f"{'a1' * 8}.npz",
        cache / "label-counts" / f"{'a1' * 8}-objects.npz",
        cache / "file-digests" / f"{'a1' * 8}.json",
    ]
    for one in ours:
        atomic.write_text(one, "0")
    planted = plant(of_gone.folder) | plant(of_gone.folder / "checkpoints") | plant(kept.folder.parent)
    for name in ("decoded", "label-counts", "file-digests"):
        planted |= plant(cache / name)
    assert main(["clean", str(path), "--old", "--caches", "--yes"]) == 0
    assert_there(planted)
    assert not any(one.exists() for one in ours)


def test_clean_leaves_copies_and_links_of_run_directories(tmp_path: Path, cache: Path) -> None:
    (gone,) = trials_of(write_experiment(tmp_path, train__epochs=7))
    path = write_experiment(tmp_path)
    (kept,) = trials_of(path)
    experiment = freeze(kept).parent
    text = (freeze(gone) / "trial.yaml").read_text()
    kept_files = {}
    for folder in (experiment / "my-copy", tmp_path / "another" / gone.id, tmp_path / "scratch"):
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "trial.yaml").write_text(text)
        kept_files[folder / "checkpoints" / "last.ckpt"] = str(folder)
        (folder / "checkpoints" / "last.ckpt").write_text(str(folder))
    (gone.folder / "checkpoints").symlink_to(tmp_path / "scratch" / "checkpoints")
    gone.folder.rename(experiment / "aside")
    gone.folder.symlink_to(tmp_path / "another" / gone.id)
    assert main(["clean", str(path), "--old", "--yes"]) == 0
    gone.folder.unlink()
    (experiment / "aside").rename(gone.folder)
    assert main(["clean", str(path), "--old", "--yes"]) == 0
    assert_there(kept_files)


def test_the_cache_makes_room_with_its_own_files_alone(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cache / "decoded"
    old = folder / f"{'a1' * 16}.decoded"
    atomic.write_text(old, "0")
    os.utime(old, (1, 1))
    planted = plant(folder)
    monkeypatch.setattr(decoded_images, "MOST_BYTES_TOGETHER", 0)
    data = Shapes("train", size=(16, 16), train_images=2, val_images=1)
    assert np.array_equal(decoded_images.decoded(data, True).read(0)[1], data.read(0)[1])
    assert_there(planted)
    assert not old.exists()


def test_a_report_leaves_what_lies_in_its_folder(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, images=4)
    finish(experiment)
    report = experiment.folder / "report"
    planted = plant(report) | plant(report / "figures")
    for _ in range(2):
        assert main(["report", str(experiment.path)]) == 0
    assert_there(planted)


def test_a_report_does_not_write_through_a_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = experiment_in(tmp_path, images=4)
    finish(experiment)
    (tmp_path / "figures-of-mine").mkdir()
    (experiment.folder / "report").mkdir()
    (experiment.folder / "report" / "figures").symlink_to(tmp_path / "figures-of-mine")
    assert main(["report", str(experiment.path)]) == 2
    assert "figures is there and is not of a report" in capsys.readouterr().err
    assert not list((tmp_path / "figures-of-mine").iterdir())


def test_drawn_figures_replace_those_of_a_report_alone(tmp_path: Path) -> None:
    names = ["figures/seeds.svg"]
    own_files(tmp_path, names)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "seeds.svg").write_text("drawn")
    own_files(tmp_path, names)
    (tmp_path / "figures" / "mine.svg").write_text("mine")
    with pytest.raises(ConfigError, match=r"mine\.svg is there and is not of a report"):
        own_files(tmp_path, [*names, "figures/mine.svg"])


def test_a_list_of_files_that_somebody_has_edited_reaches_no_other_folder(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, images=4)
    finish(experiment)
    report = experiment.folder / "report"
    planted = {experiment.folder / "mine.json": "mine", tmp_path / "mine.svg": "mine"}
    report.mkdir()
    for path, text in planted.items():
        path.write_text(text)
    atomic.write_json(
        report / ".report-files.json", ["../mine.json", str(tmp_path / "mine.svg"), "figures/../../mine.json"]
    )
    assert main(["report", str(experiment.path)]) == 0
    assert_there(planted)


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "vgg16", "--size", "32", "32"],
        ["inspect", "--checkerboard", "nearest_conv", "--draws", "1"],
        ["data", "stats", "shapes"],
    ],
)
def test_a_page_replaces_no_other_file(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "experiment.yaml"
    mine.write_text("name: mine\n")
    assert main([*words, "--out", str(mine)]) == 2
    assert f"{mine} is there and is not a page of segsuite" in capsys.readouterr().err
    assert mine.read_text() == "name: mine\n"


def test_a_page_is_replaced_by_the_next_one(tmp_path: Path) -> None:
    page = tmp_path / "data.html"
    for _ in range(2):
        assert main(["data", "stats", "shapes", "--out", str(page)]) == 0
    assert is_page(page)


def test_reports_in_the_repository_can_be_made_again() -> None:
    """`make results` of a fresh clone, which has no report.json."""
    folders = [path.parent for path in (REPOSITORY / "docs" / "results").glob("*/results.csv")]
    assert folders
    for folder in folders:
        listed = json.loads((folder / ".report-files.json").read_text())
        files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {".report-files.json"}
        assert files <= set(listed), folder
