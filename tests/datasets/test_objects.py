"""Objects of a split, against components that scipy finds, and what is kept of them."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from segsuite.datasets import build_dataset
from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.mean_image import mean_image
from segsuite.datasets.objects import split_objects
from segsuite.datasets.statistics import count_labels
from segsuite.errors import DataError
from tests.datasets.trees import build_folder, folder_tree, ids_of, image_of, save

GLOBS = {"images": "images/*.png", "masks": "masks/*.png", "fractions": {"train": 1.0}}


def shapes(images: int = 3) -> SegmentationDataset:
    return build_dataset("shapes", "train", size=(60, 80), train_images=images)


def test_objects_are_the_components_of_each_class(tmp_path: Path) -> None:
    data = shapes()
    found = split_objects(data, tmp_path)
    for index in range(len(data)):
        label = data.read(index)[1]
        for k in range(data.num_classes):
            components, count = ndimage.label(label == k, structure=np.ones((3, 3)))
            expected = sorted(np.bincount(components.ravel())[1 : count + 1].tolist())
            assert sorted(found.area_M[(found.class_M == k) & (found.image_M == index)].tolist()) == expected


def test_areas_add_up_to_the_pixels_of_each_class(tmp_path: Path) -> None:
    data = shapes()
    found = split_objects(data, tmp_path)
    expected = count_labels(data)
    assert [int(found.areas(k).sum()) for k in range(data.num_classes)] == expected.pixels_C
    np.testing.assert_array_equal(found.counts(data.num_classes).pixels_NC, expected.pixels_NC)
    np.testing.assert_array_equal(found.counts(data.num_classes).void_N, expected.void_N)
    assert found.sizes_N2.tolist() == [[60, 80]] * 3


def test_a_second_search_reads_no_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = split_objects(shapes(), tmp_path / "kept")
    monkeypatch.setattr("segsuite.datasets.objects.read_label", None)
    again = split_objects(shapes(), tmp_path / "kept")
    np.testing.assert_array_equal(again.area_M, first.area_M)
    np.testing.assert_array_equal(again.image_M, first.image_M)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no zip"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    first = split_objects(shapes(), tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    np.testing.assert_array_equal(split_objects(shapes(), tmp_path).area_M, first.area_M)
    assert file.read_bytes() != damage


def test_a_folder_that_cannot_be_written_only_costs_the_search(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert len(split_objects(shapes(1), tmp_path / "file" / "kept").area_M)


def test_progress_is_told_image_by_image(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    split_objects(shapes(), tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    folder_tree(tmp_path, ["a", "b"])
    data = build_folder(tmp_path, **GLOBS)
    (tmp_path / "masks" / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"empty") as caught:
        split_objects(data, tmp_path / "kept")
    assert "b.png" in caught.value.where


def test_a_label_that_is_no_class_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = shapes(2)
    monkeypatch.setattr(data, "read", lambda index: (None, np.full((4, 4), 40, np.uint8)))
    with pytest.raises(DataError, match="label 40 is neither"):
        split_objects(data, tmp_path)


def test_the_mean_image_is_the_mean_of_the_pixels(tmp_path: Path) -> None:
    folder_tree(tmp_path, ["a", "b", "c"])
    expected = np.mean([image_of(seed).astype(float) for seed in range(3)], axis=0) / 255
    np.testing.assert_allclose(mean_image(build_folder(tmp_path, **GLOBS)), expected, atol=1e-6)


def test_images_of_other_sizes_are_brought_to_that_of_the_first(tmp_path: Path) -> None:
    for name, size, value in (("a", (800, 1600), 10), ("b", (30, 20), 30)):
        save(tmp_path / "images" / f"{name}.png", np.full((*size, 3), value, np.uint8))
        save(tmp_path / "masks" / f"{name}.png", ids_of(0, 1, size=size))
    found = mean_image(build_folder(tmp_path, **GLOBS))
    assert found.shape == (160, 320, 3)
    np.testing.assert_allclose(found, 20 / 255, atol=1e-6)


def test_at_most_200_images_are_read(tmp_path: Path) -> None:
    told: list[int] = []
    data = build_dataset("shapes", "train", size=(4, 4), train_images=450)
    mean_image(data, lambda done, total: told.append(total))
    assert len(told) == told[0] == 200
