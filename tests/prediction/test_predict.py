"""`segsuite predict` as it is called: what it writes, and what it says when something is wrong."""

import csv
import json
import shutil
import sys
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segsuite.cli import main
from segsuite.datasets import build_dataset
from segsuite.datasets.image_io import read_mask
from segsuite.datasets.shapes import Shapes
from segsuite.experiment import Trial

Pixels = NDArray[np.uint8]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of the scored split, of which the trial has kept its own predictions, in two folders."""
    dataset = build_dataset("shapes", "val", size=(32, 48), train_images=24, val_images=6)
    folder = tmp_path / "photos"
    for index in range(len(dataset)):
        path = folder / f"day{index % 2}" / f"{dataset.sample_name(index)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.read(index)[0]).save(path)
    return folder


def predict(*words: str | Path) -> int:
    return main(["predict", *map(str, words)])


def label(path: Path) -> Pixels:
    read: Pixels = read_mask(path)
    return read


def test_the_labels_are_those_of_the_trial_s_own_scoring(
    trials: tuple[Trial, ...], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = trials[0]
    assert predict(trial.folder, photos, "--out", tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "6 images predicted" in told
    assert trial.id in told
    compared = 0
    for sample in (trial.folder / "samples").glob("*.png"):
        (found,) = (tmp_path / "out" / "labels").rglob(sample.name)
        np.testing.assert_array_equal(label(found), label(sample))
        compared += 1
    assert compared == 6


def test_folders_are_kept_and_every_kind_of_file_is_right(
    trials: tuple[Trial, ...], photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert predict(trials[0].folder, photos, "--out", out, "--probabilities", "float16") == 0
    paths = sorted(photos.rglob("*.png"))
    rows = list(csv.DictReader((out / "shares.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == [path.relative_to(photos).with_suffix("").as_posix() for path in paths]
    for row, path in zip(rows, paths, strict=True):
        labels = label(out / "labels" / f"{row['image']}.png")
        with np.load(out / "probabilities" / f"{row['image']}.npz") as kept:
            probabilities, classes = kept["probabilities"], [str(name) for name in kept["classes"]]
        assert classes == list(Shapes.classes)
        assert probabilities.dtype == np.float16
        np.testing.assert_allclose(probabilities.sum(0, dtype=np.float32), 1, atol=5e-3)
        for number, name in enumerate(classes):
            assert float(row[name]) == pytest.approx((labels == number).mean(), abs=1e-6)
        seen = cv2.imread(str(out / "overlays" / f"{row['image']}.jpg"))[:, :, ::-1].astype(float)
        mixed = (np.array(Image.open(path), float) + np.array(Shapes.palette, float)[labels]) / 2
        assert np.abs(seen - mixed).mean() < 12  # JPEG


def test_the_palette_is_the_dataset_s(trials: tuple[Trial, ...], photos: Path, tmp_path: Path) -> None:
    assert predict(trials[0].folder, photos, "--out", tmp_path / "out") == 0
    for path in (tmp_path / "out" / "labels").rglob("*.png"):
        with Image.open(path) as picture:
            assert tuple(np.array(picture.getpalette()).reshape(-1, 3)[: len(Shapes.palette)].ravel()) == tuple(
                np.array(Shapes.palette).ravel()
            )


def test_seeds_of_an_experiment_are_an_ensemble(experiment: Path, photos: Path, tmp_path: Path) -> None:
    words = (photos, "--probabilities", "float16", "--no-overlays")
    for name, choice in (("all", ()), ("0", ("--seed", "0")), ("1", ("--seed", "1"))):
        assert predict(experiment, *words, *choice, "--out", tmp_path / name) == 0
    for path in (tmp_path / "all" / "probabilities").rglob("*.npz"):
        place = path.relative_to(tmp_path / "all")
        both, one, other = (
            np.load(tmp_path / name / place)["probabilities"].astype(np.float32) for name in ("all", "0", "1")
        )
        np.testing.assert_allclose(both, (one + other) / 2, atol=2e-3)
        assert np.abs(one - other).max() > 0.05
    assert not (tmp_path / "all" / "overlays").exists()


def test_nothing_is_overwritten_without_force(
    trials: tuple[Trial, ...], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (trials[0].folder, photos, "--out", tmp_path / "out")
    assert predict(*words) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert predict(*words, "--tta", "flip") == 2
    assert "14 files would be overwritten" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert predict(*words, "--force") == 0


def test_a_damaged_image_is_named_and_the_others_go_on(
    trials: tuple[Trial, ...], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "day0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert predict(trials[0].folder, photos, "--out", tmp_path / "out") == 1
    told = capsys.readouterr()
    assert "broken.png" in told.err
    assert "Traceback" not in told.err
    assert "6 images predicted" in told.out
    assert "1 file could not be predicted" in told.out
    assert len(list((tmp_path / "out" / "labels").rglob("*.png"))) == 6


def test_lists_patterns_and_standard_input(
    trials: tuple[Trial, ...], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(photos.rglob("*.png"))
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in paths[:2]))
    monkeypatch.setattr(sys, "stdin", StringIO(f"{paths[2]}\n\n"))
    words = (tmp_path / "list.txt", "-", photos / "day1" / "*.png", paths[0])
    assert predict(trials[0].folder, *words, "--out", tmp_path / "out", "--no-overlays") == 0
    found = {path.stem for path in (tmp_path / "out" / "labels").rglob("*.png")}
    assert found == {path.stem for path in [*paths[:3], *(photos / "day1").glob("*.png")]}


def test_images_that_differ_by_their_suffix_alone_keep_it(
    trials: tuple[Trial, ...], photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "two"
    folder.mkdir()
    picture = Image.open(sorted(photos.rglob("*.png"))[0])
    picture.save(folder / "a.png")
    picture.save(folder / "a.bmp")
    assert predict(trials[0].folder, folder, "--out", tmp_path / "out", "--no-overlays") == 0
    assert sorted(path.name for path in (tmp_path / "out" / "labels").iterdir()) == ["a.bmp.png", "a.png.png"]


def test_the_frames_of_a_video_are_numbered(trials: tuple[Trial, ...], tmp_path: Path) -> None:
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (48, 32))
    for shade in (0, 100, 200):
        writer.write(np.full((32, 48, 3), shade, np.uint8))
    writer.release()
    assert predict(trials[0].folder, path, "--out", tmp_path / "out") == 0
    assert sorted(file.name for file in (tmp_path / "out" / "labels" / "drive").iterdir()) == [
        "000001.png", "000002.png", "000003.png",
    ]  # fmt: skip


def test_windows_are_those_of_the_size_that_is_asked_for(
    trials: tuple[Trial, ...], photos: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.png"
    tiles = [np.array(Image.open(path)) for path in sorted(photos.rglob("*.png"))]
    Image.fromarray(np.concatenate([np.concatenate(tiles[:3], 1), np.concatenate(tiles[3:], 1)])).save(large)
    for name, options in (("whole", ()), ("windows", ("--window", "64")), ("one", ("--window", "160"))):
        assert predict(trials[0].folder, large, *options, "--out", tmp_path / name) == 0
    whole, windows, one = (label(tmp_path / name / "labels" / "large.png") for name in ("whole", "windows", "one"))
    np.testing.assert_array_equal(whole, one)
    assert whole.shape == windows.shape == (64, 144)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing.png",), "no such image"),
        (("*.nothing",), "no file matches"),
        (("empty",), "holds no image"),
        (("photo.png", "--tta", "rotate"), "no view 'rotate'"),
        (("photo.png", "--window", "0"), "window of 0"),
        (("photo.png", "--overlap", "1"), "cannot overlap by 1"),
        (("photo.png", "--arm", "x"), "choose among an experiment"),
        (("photo.png", "--device", "mps"), "no device 'mps'"),
    ],
)
def test_wrong_use_is_told(
    words: tuple[str, ...],
    said: str,
    trials: tuple[Trial, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    Image.new("RGB", (40, 30)).save("photo.png")
    assert predict(trials[0].folder, *words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "to do: " in told


def test_a_trial_that_is_not_there_or_not_finished_is_told(
    experiment: Path, trials: tuple[Trial, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (40, 30)).save(photo)
    for words, said in (
        (("deadbeef", photo), "there is no trial 'deadbeef'"),
        ((tmp_path, photo), "no run directory"),
        ((experiment, photo, "--arm", "tinny"), "did you mean 'tiny'?"),
        ((experiment, photo, "--seed", "7"), "its seeds are 0, 1"),
        ((experiment, photo, "--set", "train.epochs=9"), "has finished"),
    ):
        assert predict(*words) == 2
        assert said in capsys.readouterr().err


def test_what_is_named_twice_is_predicted_once_and_frames_never_mix_with_images(
    trials: tuple[Trial, ...], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted(photos.rglob("*.png"))[0]
    twice = path.parent / ".." / path.parent.name / path.name
    assert predict(trials[0].folder, path, twice, "--out", tmp_path / "out") == 0
    assert "1 image predicted" in capsys.readouterr().out
    folder = tmp_path / "mixed"
    (folder / "x").mkdir(parents=True)
    Image.open(path).save(folder / "x" / "000001.png")
    writer = cv2.VideoWriter(str(folder / "x.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (48, 32))
    writer.write(np.zeros((32, 48, 3), np.uint8))
    writer.release()
    assert predict(trials[0].folder, folder, "--out", tmp_path / "mixed-out") == 2
    assert "frames of a video" in capsys.readouterr().err


def test_links_are_followed_and_what_was_predicted_is_no_photo(
    trials: tuple[Trial, ...], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "day").symlink_to(photos / "day1")
    (folder / "round").symlink_to(folder)
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert predict(trials[0].folder, folder, "--out", folder / "out") == 1
    told = capsys.readouterr()
    assert "3 images predicted" in told.out
    assert "gone.png" in told.err
    assert predict(trials[0].folder, folder, "--out", tmp_path / "again") == 1
    assert "3 images predicted" in capsys.readouterr().out
    noted = json.loads((folder / "out" / "predictions.json").read_text())
    assert [one["id"] for one in noted["trials"]] == [trials[0].id]


@pytest.mark.parametrize("line", [".", "/", "a\0b"])
def test_a_list_of_no_images_is_told(
    line: str, trials: tuple[Trial, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_text(f"{line}\n")
    assert predict(trials[0].folder, tmp_path / "list.txt", "--out", tmp_path / "out") == 2
    assert "is no image" in capsys.readouterr().err


def test_overlaps_that_are_not_the_ones_asked_for_are_told(
    trials: tuple[Trial, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (150, 100)).save(tmp_path / "photo.png")
    words = (trials[0].folder, tmp_path / "photo.png", "--window", "64", "--no-overlays")
    assert predict(*words, "--overlap", "0.9", "--out", tmp_path / "a") == 0
    assert "share 0.50 of their side with the next, not 0.9" in capsys.readouterr().out
    assert predict(*words, "--overlap", "0.5", "--out", tmp_path / "b") == 0
    assert "share" not in capsys.readouterr().out.replace("shares.csv", "")


@pytest.mark.parametrize("damage", [b"", b"PK half an archive"])
def test_a_damaged_file_of_the_trial_is_one_sentence(
    damage: bytes, trials: tuple[Trial, ...], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(trials[0].folder, tmp_path / trials[0].id))
    (copy / "counts.npz").write_bytes(damage)
    assert predict(copy, photos, "--out", tmp_path / "out") == 1
    assert "counts.npz cannot be read" in capsys.readouterr().err
