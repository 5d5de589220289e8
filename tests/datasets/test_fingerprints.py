"""segsuite.datasets.fingerprints: the same fingerprint as reading everything, without reading what has not changed."""

import os
from pathlib import Path

import pytest

from segsuite.datasets import base, build_dataset
from segsuite.datasets.fingerprints import quick_fingerprint, same_data, trial_fingerprint
from segsuite.datasets.folder import Folder
from segsuite.errors import DataError
from tests.datasets.trees import GLOBS, build_folder, folder_tree, ids_of, save

OLD = 1_600_000_000


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A dataset of three pairs whose files were written long ago."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = build_folder(folder_tree(tmp_path / "d", ["0", "1", "2"]), **GLOBS)
    for sample in found.samples:
        for path in (sample.image, sample.mask):
            os.utime(path, (OLD, OLD))
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read from now on."""
    from segsuite.datasets import fingerprints

    found: list[Path] = []
    monkeypatch.setattr(
        fingerprints, "file_digest", lambda path, true=base.file_digest: found.append(path) or true(path)
    )
    return found


def test_it_is_the_fingerprint(data: Folder) -> None:
    assert [quick_fingerprint(data, 100) for _ in range(2)] == [data.fingerprint()] * 2
    shapes = build_dataset("shapes", "val")
    assert quick_fingerprint(shapes, 0) == shapes.fingerprint()


def test_what_has_not_changed_is_not_read_again(data: Folder, reads: list[Path]) -> None:
    quick_fingerprint(data, 100)
    assert len(reads) == 6
    reads.clear()
    quick_fingerprint(data, 0)
    assert reads == []


def test_only_what_has_changed_is_read(data: Folder, reads: list[Path]) -> None:
    before = quick_fingerprint(data, 100)
    reads.clear()
    save(data.samples[1].mask, ids_of(1))
    assert quick_fingerprint(data, 100) == data.fingerprint() != before
    assert reads == [data.samples[1].mask]


def test_an_edit_that_keeps_size_and_time_is_seen_by_another_inode(data: Folder) -> None:
    before, mask = quick_fingerprint(data, 100), data.samples[0].mask
    content = bytearray(mask.read_bytes())
    content[-20] ^= 1
    (mask.parent / "new").write_bytes(content)
    os.utime(mask.parent / "new", (OLD, OLD))
    (mask.parent / "new").rename(mask)
    assert quick_fingerprint(data, 100) == data.fingerprint() != before


def test_a_file_that_was_just_written_is_read_each_time(data: Folder, reads: list[Path]) -> None:
    quick_fingerprint(data, 100)
    save(data.samples[1].mask, ids_of(1))
    for _ in range(2):
        reads.clear()
        quick_fingerprint(data, 100)
        assert reads == [data.samples[1].mask]


def test_more_files_than_may_be_read_are_not_compared(data: Folder, reads: list[Path]) -> None:
    assert quick_fingerprint(data, 5) is None
    assert reads == []


def test_damaged_memory_only_costs_reading(data: Folder, tmp_path: Path) -> None:
    quick_fingerprint(data, 100)
    (kept,) = (tmp_path / "cache" / "segsuite" / "file-digests").glob("*.json")
    for content in ("", "{", "[]", '{"a": 1}'):
        kept.write_text(content)
        assert quick_fingerprint(data, 100) == data.fingerprint()


def test_a_file_that_is_gone_is_told(data: Folder) -> None:
    quick_fingerprint(data, 100)
    data.samples[0].image.unlink()
    with pytest.raises(DataError, match="cannot read the file"):
        quick_fingerprint(data, 100)


def test_the_data_of_a_trial_are_all_splits_that_it_sees() -> None:
    assert trial_fingerprint("a", None, "b") == "a-b"
    assert trial_fingerprint("a", "v", "b") == "a-v-b"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a-b", "a-b", True),
        ("a-b", "a-c", False),
        ("a-v-b", "a-w-b", False),
        ("a-v-b", "a-b", True),
        ("a-v-b", "c-b", False),
    ],
)
def test_two_fingerprints_are_of_the_same_data(one: str, other: str, same: bool) -> None:
    assert same_data(one, other) == same_data(other, one) == same
