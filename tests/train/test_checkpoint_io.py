"""segsuite.train.checkpoint_io: checkpoints hold data, never code, and are whole or refused."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from segsuite.errors import SegsuiteError
from segsuite.io.reading import Unreadable
from segsuite.io.store import RunDirectory
from segsuite.train import checkpoint_io
from segsuite.train.checkpoint_io import AtomicCheckpointIO

GOOD: dict[str, Any] = {
    "state_dict": {"network.a": torch.arange(4.0), "loss.b": torch.ones(1)},
    "epoch": 3,
    "names": ["x", None],
}


class Planted:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    checkpoint_io.save(GOOD, tmp_path / "a.ckpt")
    loaded = checkpoint_io.load(tmp_path / "a.ckpt")
    assert torch.equal(loaded["state_dict"]["network.a"], torch.arange(4.0))
    assert (loaded["epoch"], loaded["names"]) == (3, ["x", None])


def test_a_planted_pickle_is_refused_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"state_dict": {}, "evil": Planted(tmp_path / "owned")}, tmp_path / "a.ckpt")
    for load in (checkpoint_io.load, AtomicCheckpointIO().load_checkpoint):
        with pytest.raises(SegsuiteError, match="cannot be read"):
            load(tmp_path / "a.ckpt")
    with pytest.raises(SegsuiteError, match="cannot be read"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "a.ckpt", weights_only=False)
    assert not (tmp_path / "owned").exists()
    # The plant is a real one: an unsafe load does run it.
    torch.load(tmp_path / "a.ckpt", weights_only=False)
    assert (tmp_path / "owned").exists()


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_damaged_file_is_one_sentence_that_names_it(tmp_path: Path, kept: int) -> None:
    checkpoint_io.save(GOOD, tmp_path / "a.ckpt")
    content = (tmp_path / "a.ckpt").read_bytes()
    (tmp_path / "a.ckpt").write_bytes(content[:kept])
    with pytest.raises(SegsuiteError, match="cannot be read") as caught:
        checkpoint_io.load(tmp_path / "a.ckpt")
    assert caught.value.where == str(tmp_path / "a.ckpt")
    assert caught.value.advice


def test_a_bit_that_a_disk_has_turned_never_reaches_a_weight(tmp_path: Path) -> None:
    checkpoint_io.save(GOOD, tmp_path / "a.ckpt")
    content = (tmp_path / "a.ckpt").read_bytes()
    refused = 0
    for at in range(0, len(content), 7):
        (tmp_path / "a.ckpt").write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        try:
            loaded = checkpoint_io.load(tmp_path / "a.ckpt")
        except SegsuiteError:
            refused += 1
        else:  # a byte between the records
            assert all(torch.equal(loaded["state_dict"][name], value) for name, value in GOOD["state_dict"].items())
            assert (loaded["epoch"], loaded["names"]) == (3, ["x", None])
    assert refused > 20


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_text("<html>not found</html>")
    with pytest.raises(SegsuiteError, match="cannot be read"):
        checkpoint_io.load(tmp_path / "a.ckpt")


def test_a_missing_file_stays_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        checkpoint_io.load(tmp_path / "a.ckpt")


def test_a_save_that_fails_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint_io.save(GOOD, tmp_path / "a.ckpt")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SegsuiteError, match="No space left on device"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 4}, tmp_path / "a.ckpt")
    assert checkpoint_io.load(tmp_path / "a.ckpt")["epoch"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


def test_the_networks_weights_are_those_under_its_name(tmp_path: Path) -> None:
    assert set(checkpoint_io.network_weights(GOOD)) == {"a"}


@pytest.mark.parametrize("error", [OSError(errno.EIO, "away"), PermissionError(errno.EACCES, "no"), MemoryError()])
@pytest.mark.parametrize("place", ["zipfile.ZipFile.testzip", "torch.load", "zipfile._EndRecData"])
def test_a_checkpoint_that_cannot_be_read_now_is_not_taken_for_a_damaged_one(
    error: Exception, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an older one would take its place, for good."""
    run = RunDirectory(tmp_path)
    run.last_checkpoint.parent.mkdir()
    checkpoint_io.save(GOOD, run.previous_checkpoint)
    checkpoint_io.save({**GOOD, "epoch": 4}, run.last_checkpoint)
    before = run.last_checkpoint.read_bytes()

    def fails(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("segsuite.io.reading.time.sleep", lambda seconds: None)
        patched.setattr(place, fails)
        with pytest.raises(Unreadable if isinstance(error, OSError) else MemoryError):
            checkpoint_io.load_newest_whole(run)
    assert run.last_checkpoint.read_bytes() == before
    loaded = checkpoint_io.load_newest_whole(run)
    assert loaded is not None
    assert loaded["epoch"] == 4


def test_a_damaged_last_checkpoint_is_kept_beside_the_one_that_takes_its_place(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.last_checkpoint.parent.mkdir()
    checkpoint_io.save({**GOOD, "global_step": 6}, run.previous_checkpoint)
    run.last_checkpoint.write_bytes(b"half")
    loaded = checkpoint_io.load_newest_whole(run)
    assert loaded is not None
    assert loaded["global_step"] == 6
    assert run.last_checkpoint.with_name("last.ckpt.damaged").read_bytes() == b"half"
