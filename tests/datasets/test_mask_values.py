"""segsuite.datasets.mask_values: what raw values may mean, and each way to get it wrong."""

from typing import Any

import numpy as np
import pytest

from segsuite.datasets.mask_values import VOID, check_classes, mask_values
from segsuite.errors import ConfigError, DataError
from tests.datasets.trees import GLOBS, build_folder, folder_tree, ids_of, save

RANGES = {"0-99": "a", "100-254": "b", 255: "void"}


def test_without_values_a_value_is_its_class_and_255_is_void() -> None:
    assert mask_values(None, ["a", "b"]).intervals == [(0, 0, 0), (1, 1, 1), (255, 255, VOID)]


def test_a_range_has_both_its_ends() -> None:
    assert mask_values(RANGES, ["a", "b"]).intervals == [(0, 99, 0), (100, 254, 1), (255, 255, VOID)]


def test_a_range_may_be_negative() -> None:
    assert mask_values({"-5--1": "a", "0 - 7": "b"}, ["a", "b"]).intervals == [(-5, -1, 0), (0, 7, 1)]


def test_known_values_are_told_as_they_are_written() -> None:
    assert mask_values(RANGES, ["a", "b"]).known(colours=False) == "0-99, 100-254, 255"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({0: "a", 1: "B"}, "unknown class 'B'; did you mean 'b'"),
        ({0: "a"}, "no raw value is given to b"),
        ({"0-127": "a", "127-255": "b"}, 'the raw value 127 is in both "0-127" and "127-255"'),
        ({"0-127": "a", 5: "b"}, 'the raw value 5 is in both "0-127" and "5"'),
        ({"9-5": "a", 5: "b"}, 'the range "9-5" ends before it begins'),
        ({"7": "a", "07": "b"}, "the raw value 07 appears twice"),
        ({"#FF0000": "a", "#ff0000": "b"}, "the raw value #ff0000 appears twice"),
        ({"ff0000": "a", 1: "b"}, "write a colour as"),
        ({"(255, 0, 0)": "a", 1: "b"}, "write a colour as"),
        ({"red": "a", 1: "b"}, "raw value 'red' is no integer, range or colour"),
        ({"1.5": "a", 1: "b"}, "raw value '1.5' is no integer, range or colour"),
        ({True: "a", 2: "b"}, "raw value True is no integer"),
    ],
)
def test_a_wrong_meaning_is_told(values: dict[Any, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mask_values(values, ["a", "b"])
    assert said in f"{caught.value.what} {caught.value.advice}"
    assert caught.value.advice


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["a", "a"], "'a' appears twice"),
        (["void"], "void is no class"),
        (["a", ""], "is not one printable line"),
        (["a", "b\n"], "is not one printable line"),
        (["a", "\x1b[31m"], "is not one printable line"),
        ([], "0 classes"),
    ],
)
def test_wrong_classes_are_told(classes: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_classes(classes)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_soft_masks_are_read_by_ranges(tmp_path, kind) -> None:  # type: ignore[no-untyped-def]
    root = folder_tree(tmp_path, ["one"])
    save(root / "masks" / "one.tif", ids_of(0, 99, 100, 254, 255).astype(kind))
    data = build_folder(root, **{**GLOBS, "masks": "masks/*.tif"}, values=RANGES)
    np.testing.assert_array_equal(data.read(0)[1], ids_of(0, 0, 1, 1, 255))


def test_a_value_outside_of_all_ranges_is_told_with_them(tmp_path) -> None:  # type: ignore[no-untyped-def]
    data = build_folder(
        folder_tree(tmp_path, ["one"], lambda i: ids_of(0, 150)), **GLOBS, values={"0-9": "a", 200: "b"}
    )
    with pytest.raises(DataError, match="raw value 150 in 24 pixels") as caught:
        data.read(0)
    assert "known are 0-9, 200" in caught.value.advice


def test_a_jpeg_mask_is_taken_where_ranges_say_what_its_values_mean(tmp_path) -> None:  # type: ignore[no-untyped-def]
    root = folder_tree(tmp_path, ["one"])
    mask = np.kron(np.array([[0, 255]], np.uint8), np.ones((6, 4), np.uint8))
    save(root / "masks" / "one.jpg", mask)
    settings = {**GLOBS, "masks": "masks/*.jpg"}
    with pytest.raises(DataError, match="mask is a JPEG"):
        build_folder(root, **settings).read(0)
    label = build_folder(root, **settings, values={"0-127": "a", "128-255": "b"}).read(0)[1]
    np.testing.assert_array_equal(label, mask // 255)


def test_ranges_are_part_of_the_fingerprint(tmp_path) -> None:  # type: ignore[no-untyped-def]
    root = folder_tree(tmp_path, ["one"])
    one, other = (build_folder(root, **GLOBS, values={f"0-{end}": "a", 200: "b"}) for end in (8, 9))
    assert one.fingerprint() != other.fingerprint()


def test_colours_without_values_are_listed_as_values_wants_them(tmp_path) -> None:  # type: ignore[no-untyped-def]
    mask = np.array([(0, 0, 0), (128, 0, 64), (0, 0, 0)], dtype=np.uint8)[ids_of(0, 1, 2)]
    with pytest.raises(DataError, match="mask holds RGB colours, and values names none") as caught:
        build_folder(folder_tree(tmp_path, ["one"], lambda i: mask), **GLOBS).read(0)
    assert 'this mask has "#000000" (67 %), "#800040" (33 %)' in caught.value.advice
