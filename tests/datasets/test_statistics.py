"""Counts of labels: right, kept, and counted again when what was kept is not what it should be."""

from pathlib import Path

import numpy as np
import pytest

from segsuite.datasets import build_dataset, statistics
from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.statistics import cache_folder, count_labels, label_counts
from segsuite.errors import DataError


class Labels(SegmentationDataset):
    """Given labels without images."""

    classes, palette, split = ("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), "train"

    def __init__(self, *labels: list[list[int]]) -> None:
        self.labels = [np.array(label, np.uint8) for label in labels]

    def __len__(self) -> int:
        return len(self.labels)

    def sample_name(self, index: int) -> str:
        return f"image {index}"

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((*self.labels[index].shape, 3), np.uint8), self.labels[index]

    def fingerprint(self) -> str:
        return "ab" * 8


TWO = Labels([[0, 0, 1], [1, 1, 255]], [[0, 0, 0], [255, 255, 255]])


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fingerprints of what was counted."""
    counted: list[str] = []

    def count(dataset: SegmentationDataset) -> statistics.LabelCounts:
        counted.append(dataset.fingerprint())
        return count_labels(dataset)

    monkeypatch.setattr(statistics, "count_labels", count)
    return counted


def test_pixels_are_counted_by_image_and_class() -> None:
    counts = count_labels(TWO)
    assert counts.pixels_NC.tolist() == [[2, 3, 0], [3, 0, 0]]
    assert counts.void_N.tolist() == [1, 3]
    assert counts.pixels_C == [5, 3, 0]
    assert counts.images_C == [2, 1, 0]


def test_present_pixels_are_those_of_images_with_the_class_without_void() -> None:
    assert count_labels(TWO).present_pixels_C == [8, 5, 0]


def test_counts_of_some_images() -> None:
    assert count_labels(TWO).of([1]).pixels_C == [3, 0, 0]


def test_a_label_that_is_no_class_is_named_with_its_image() -> None:
    with pytest.raises(DataError, match="label 7 is neither") as error:
        count_labels(Labels([[0, 1]], [[0, 7]]))
    assert error.value.where == "image 1"


def test_labels_of_files_are_counted_as_they_are_read(camvid_root: Path) -> None:
    dataset = build_dataset("camvid", "val", root=camvid_root)
    counts = count_labels(dataset)
    for index in (0, 57):
        label = dataset.read(index)[1]
        assert counts.pixels_NC[index].tolist() == [int((label == c).sum()) for c in range(11)]
        assert counts.void_N[index] == (label == 255).sum()


def test_they_are_counted_once(tmp_path: Path, counting: list[str]) -> None:
    first, second = label_counts(TWO, tmp_path), label_counts(TWO, tmp_path)
    assert len(counting) == 1
    assert first.pixels_NC.tolist() == second.pixels_NC.tolist()
    assert first.void_N.tolist() == second.void_N.tolist()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file", None])
def test_they_are_counted_again_when_the_file_is_damaged(
    damage: bytes | None, tmp_path: Path, counting: list[str]
) -> None:
    label_counts(TWO, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-40] if damage is None else damage)
    assert label_counts(TWO, tmp_path).pixels_C == [5, 3, 0]
    assert label_counts(TWO, tmp_path).pixels_C == [5, 3, 0]
    assert len(counting) == 2


def test_counts_of_another_shape_are_not_taken(tmp_path: Path, counting: list[str]) -> None:
    label_counts(Labels([[0]]), tmp_path)
    assert len(label_counts(TWO, tmp_path).pixels_NC) == 2


def test_a_cache_that_cannot_be_written_only_costs_the_counting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert label_counts(TWO, tmp_path / "file" / "below").pixels_C == [5, 3, 0]


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/segsuite/label-counts")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/segsuite/label-counts")
