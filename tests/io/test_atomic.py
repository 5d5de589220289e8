"""segsuite.io.atomic: a file is the old one or the new one, never half of one."""

import errno
import json
import os
import threading
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from segsuite.errors import SegsuiteError
from segsuite.io import atomic


def failing_writer(file: BinaryIO) -> None:
    file.write(b"half of the ne")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_as_a_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a.txt", "old")
    atomic.write_text(tmp_path / "a.txt", "new \u00e9")
    assert (tmp_path / "a.txt").read_bytes() == "new \u00e9".encode()
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_keeps_the_old_file_and_is_one_sentence(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(SegsuiteError, match="cannot write: No space left on device") as caught:
        atomic.write_with(tmp_path / "a.txt", failing_writer)
    assert caught.value.where == str(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOTDIR])
def test_a_folder_that_may_not_be_written_to_is_wrong_use(tmp_path: Path, number: int) -> None:
    def refused(file: BinaryIO) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(SegsuiteError) as caught:
        atomic.write_with(tmp_path / "a.txt", refused)
    assert caught.value.exit_code == 2


def test_a_writer_that_fails_by_itself_keeps_the_old_file(tmp_path: Path) -> None:
    def broken(file: BinaryIO) -> None:
        file.write(b"half")
        raise ZeroDivisionError

    atomic.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError):
        atomic.write_with(tmp_path / "a.txt", broken)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_reader_never_meets_half_a_file(tmp_path: Path) -> None:
    path, sizes = tmp_path / "a.json", (10, 200_000)
    atomic.write_json(path, [0] * sizes[0])
    done = threading.Event()

    def write() -> None:
        for index in range(16):
            atomic.write_json(path, [index] * sizes[index % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    while not done.is_set():
        value = json.loads(path.read_text())
        assert len(value) in sizes
        assert len(set(value)) == 1
        reads += 1
    writer.join()
    assert reads >= 1


def test_a_path_below_a_regular_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SegsuiteError, match="cannot write") as caught:
        atomic.write_text(tmp_path / "file" / "a.txt", "x")
    assert "runs_root" in caught.value.advice
    with pytest.raises(SegsuiteError, match="cannot write"):
        atomic.make_folder(tmp_path / "file" / "runs")


def test_json_has_null_for_what_is_not_finite(tmp_path: Path) -> None:
    atomic.write_json(tmp_path / "a.json", {"a": [float("nan"), 1.5], "b": (float("inf"),)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [None, 1.5], "b": [None]}


def test_a_duplicate_keeps_its_content_when_the_original_is_replaced(tmp_path: Path) -> None:
    last, best = tmp_path / "last", tmp_path / "best"
    atomic.write_text(best, "older")
    atomic.write_text(last, "1")
    atomic.duplicate(last, best)
    atomic.write_text(last, "2")
    assert (best.read_text(), last.read_text()) == ("1", "2")
    assert names(tmp_path) == ["best", "last"]


def test_a_duplicate_is_a_copy_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    atomic.write_text(tmp_path / "last", "1")
    atomic.duplicate(tmp_path / "last", tmp_path / "best")
    assert (tmp_path / "best").read_text() == "1"


def test_appended_lines_follow_each_other(tmp_path: Path) -> None:
    for line in ("a", "b"):
        atomic.append_line(tmp_path / "lines", line)
    assert (tmp_path / "lines").read_text() == "a\nb\n"


def test_only_the_first_creates_a_file(tmp_path: Path) -> None:
    assert atomic.create_exclusively(tmp_path / "claim", b"first")
    assert not atomic.create_exclusively(tmp_path / "claim", b"second")
    assert (tmp_path / "claim").read_bytes() == b"first"
    assert names(tmp_path) == ["claim"]


def test_stale_temporaries_go_and_young_ones_stay_when_asked(tmp_path: Path) -> None:
    for name in (".last.ckpt.0000000000000011.tmp", ".claim.json.0000000000000012.tmp", "kept.txt"):
        (tmp_path / name).write_text("")
    old = time.time() - 100
    os.utime(tmp_path / ".last.ckpt.0000000000000011.tmp", (old, old))
    atomic.remove_stale_temporaries(tmp_path, older_than=60)
    assert names(tmp_path) == [".claim.json.0000000000000012.tmp", "kept.txt"]
    atomic.remove_stale_temporaries(tmp_path)
    assert names(tmp_path) == ["kept.txt"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "ask its owner"),
        (errno.EIO, "look at this folder"),
        (errno.ENAMETOOLONG, "a shorter name"),
        (errno.EOPNOTSUPP, "look at this folder"),
    ],
)
def test_the_advice_goes_by_what_the_disk_says(
    number: int, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(SegsuiteError) as caught:
        atomic.write_text(tmp_path / "a", "")
    assert advice in caught.value.advice
    assert ("space" in caught.value.advice) == (advice == "free some space")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_claim_that_was_taken_away_comes_back_without_hard_links(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of files of another user, which the kernel lets nobody link."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.link", refuse)
    (tmp_path / "claim.json").write_text("of a living one")
    aside = atomic.take_away(tmp_path / "claim.json")
    assert aside is not None
    atomic.put_back(aside, tmp_path / "claim.json")
    assert (tmp_path / "claim.json").read_text() == "of a living one"
    aside = atomic.take_away(tmp_path / "claim.json")
    assert aside is not None
    (tmp_path / "claim.json").write_text("of a third one")
    atomic.put_back(aside, tmp_path / "claim.json")
    assert [path.name for path in tmp_path.iterdir()] == ["claim.json"]
    assert (tmp_path / "claim.json").read_text() == "of a third one"


def test_while_a_file_is_written_two_generations_lie_on_the_disk(tmp_path: Path) -> None:
    """A kill comes most often then; one file under two names would be lost by one bit."""
    path, previous = tmp_path / "last", tmp_path / "previous"

    def generations(file: BinaryIO) -> None:
        file.write(b"new")
        found.append((path.read_bytes(), previous.read_bytes(), path.samefile(previous)))

    found: list[tuple[bytes, bytes, bool]] = []
    atomic.write_bytes(path, b"1")
    atomic.write_with(path, lambda file: file.write(b"2"), previous)
    atomic.write_with(path, generations, previous)
    assert found == [(b"2", b"1", False)]
    assert (path.read_bytes(), previous.read_bytes()) == (b"new", b"2")
    assert names(tmp_path) == ["last", "previous"]


def test_a_file_whose_writing_fails_leaves_both_generations(tmp_path: Path) -> None:
    path, previous = tmp_path / "last", tmp_path / "previous"
    for content in (b"1", b"2"):
        atomic.write_with(path, lambda file, content=content: file.write(content), previous)  # type: ignore[misc]
    with pytest.raises(SegsuiteError):
        atomic.write_with(path, failing_writer, previous)
    assert (path.read_bytes(), previous.read_bytes()) == (b"2", b"1")
    assert names(tmp_path) == ["last", "previous"]
