"""segsuite.datasets.decoded: what is read from the file is what the dataset reads, and changed images are read anew."""

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from segsuite.datasets import build_dataset
from segsuite.datasets import decoded as module
from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.decoded import SUFFIX, DecodedDataset, decoded
from segsuite.errors import DataError


def tree(root: Path, count: int = 5) -> SegmentationDataset:
    """A folder dataset of images of several sizes."""
    for index in range(count):
        generator = np.random.default_rng(index)
        shape = (20 + index, 30 - index % 20)
        image, mask = generator.integers(0, 256, (*shape, 3)), generator.integers(0, 2, shape)
        for kind, values in (("images", image), ("masks", mask)):
            path = root / "train" / kind / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Picture.fromarray(values.astype(np.uint8)).save(path)
    return opened(root)


def opened(root: Path) -> SegmentationDataset:
    files = {"images": "{split}/images/*.png", "masks": "{split}/masks/*.png"}
    return build_dataset("folder", "train", root=str(root), classes=("a", "b"), **files)


def assert_same(found: SegmentationDataset, expected: SegmentationDataset) -> None:
    assert len(found) == len(expected)
    for index in range(len(expected)):
        for ours, theirs in zip(found.read(index), expected.read(index), strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
        assert found.sample_name(index) == expected.sample_name(index)
    assert found.fingerprint() == expected.fingerprint()


@pytest.mark.parametrize("threads", [1, 3])
def test_it_reads_what_the_dataset_reads(threads: int, tmp_path: Path) -> None:
    dataset, told = tree(tmp_path / "data"), []
    found = decoded(dataset, threads=threads, progress=lambda *at: told.append(at), folder=tmp_path / "cache")
    assert isinstance(found, DecodedDataset)
    assert_same(found, dataset)
    assert told == [(done, 5) for done in range(1, 6)]
    assert_same(pickle.loads(pickle.dumps(found)), dataset)


def test_it_reads_photographs(camvid_root: Path, tmp_path: Path) -> None:
    dataset = build_dataset("camvid", "val", root=str(camvid_root))
    found = decoded(dataset, threads=2, folder=tmp_path)
    assert isinstance(found, DecodedDataset)
    for index in (0, 50, 100):
        for ours, theirs in zip(found.read(index), dataset.read(index), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_it_is_made_once(tmp_path: Path) -> None:
    dataset = tree(tmp_path / "data")
    decoded(dataset, folder=tmp_path / "cache")
    told: list[int] = []
    again = decoded(opened(tmp_path / "data"), progress=lambda done, of: told.append(done), folder=tmp_path / "cache")
    assert told == []
    assert_same(again, dataset)


def test_a_changed_image_of_the_same_size_is_read_anew(tmp_path: Path) -> None:
    dataset = tree(tmp_path / "data")
    decoded(dataset, folder=tmp_path / "cache")
    path = tmp_path / "data/train/images/2.png"
    Picture.fromarray(255 - np.asarray(Picture.open(path))).save(path)
    changed = opened(tmp_path / "data")
    assert_same(decoded(changed, folder=tmp_path / "cache"), changed)


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_file_is_made_anew(damage: bytes | None, tmp_path: Path) -> None:
    dataset = tree(tmp_path / "data")
    decoded(dataset, folder=tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob(f"*{SUFFIX}")
    file.write_bytes(file.read_bytes()[:-20] if damage is None else damage)
    assert_same(decoded(dataset, folder=tmp_path / "cache"), dataset)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    dataset = tree(tmp_path / "data")
    (tmp_path / "data/train/images/3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="image"):
        decoded(dataset, folder=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_floats_and_bytes_in_one_dataset_are_read_as_they_are(tmp_path: Path) -> None:
    class Mixed(SegmentationDataset):
        classes, palette, split = ("a", "b"), ((0, 0, 0), (1, 1, 1)), "train"

        def __len__(self) -> int:
            return 3

        def sample_name(self, index: int) -> str:
            return str(index)

        def fingerprint(self) -> str:
            return "f" * 16

        def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            image = np.random.default_rng(index).integers(0, 256, (5, 3, 3)).astype(np.uint8)
            return image if index == 1 else (image / 255).astype(np.float32), image[..., 0] % 2

    found = decoded(Mixed(), folder=tmp_path)
    assert isinstance(found, DecodedDataset)
    assert_same(found, Mixed())


def test_a_large_dataset_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 5000)
    dataset = tree(tmp_path / "data")
    assert decoded(dataset, folder=tmp_path / "cache") is dataset
    assert list((tmp_path / "cache").iterdir()) == []
    assert isinstance(decoded(dataset, True, folder=tmp_path / "cache"), DecodedDataset)


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    dataset = tree(tmp_path / "data")
    (tmp_path / "file").write_text("no folder")
    assert decoded(dataset, folder=tmp_path / "file" / "cache") is dataset


def test_files_not_used_for_long_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    for number in range(4):
        dataset = tree(tmp_path / f"data{number}", 5 + number)
        found = decoded(dataset, folder=tmp_path / "cache")
        assert isinstance(found, DecodedDataset)
        os.utime(found.file, (number, number))
        kept.append(found)
    monkeypatch.setattr(module, "MOST_BYTES_TOGETHER", 40_000)
    last = decoded(tree(tmp_path / "last"), folder=tmp_path / "cache")
    assert isinstance(last, DecodedDataset)
    there = [one.file.exists() for one in kept]
    assert there == sorted(there)
    assert not there[0]
    assert last.file.exists()
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= 40_000
    assert_same(last, last.dataset)


def test_two_builders_at_once_both_have_a_whole_file(tmp_path: Path) -> None:
    tree(tmp_path / "data", 40)
    program = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from tests.datasets.test_decoded import *
root = Path({str(tmp_path)!r})
assert_same(decoded(opened(root / "data"), threads=2, folder=root / "cache"), opened(root / "data"))
"""
    both = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [one.wait(120) for one in both] == [0, 0]
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_forked_process_reads_too(tmp_path: Path) -> None:
    dataset = tree(tmp_path / "data")
    found = decoded(dataset, folder=tmp_path / "cache")
    found.read(0)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        image, label = pool.apply(found.read, (1,))
    np.testing.assert_array_equal(image, dataset.read(1)[0])
    np.testing.assert_array_equal(label, dataset.read(1)[1])
