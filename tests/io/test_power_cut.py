"""What must survive a power cut is forced to the disk, file before name, before anything relies on it."""

import json
import os
from pathlib import Path

import pytest

from segsuite.experiment import load
from segsuite.io import atomic, claims, store
from segsuite.launch.slurm import reconcile, snapshot
from segsuite.launch.slurm.profile import Profile
from tests.power_cut import Disk
from tests.reliability.trials import frozen, write_experiment
from tests.slurm.checkouts import git, small_repository


def test_the_model_finds_what_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path, monkeypatch)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").write_text("a")
    assert disk.lost() == ["new: name", "new/file: name", "new/file: content"]
    with open(tmp_path / "new" / "file", "a") as file:
        os.fsync(file.fileno())
        assert disk.lost() == ["new: name", "new/file: name"]
        file.write("b")
    assert "new/file: content" in disk.lost()
    os.rename(tmp_path / "new" / "file", tmp_path / "renamed")
    assert disk.faults == [f"{tmp_path}/renamed before new/file: content"]


@pytest.mark.parametrize("write", [
    lambda path: atomic.write_json(path, {"a": 1}),
    lambda path: atomic.create_exclusively(path, b"a"),
    lambda path: atomic.make_folder(path),
    lambda path: atomic.write_with(path, lambda file: file.write(b"a" * 100_000)),
], ids=["write_json", "create_exclusively", "make_folder", "write_with"])  # fmt: skip
def test_what_is_written_is_on_the_disk_with_the_folders_that_were_made_for_it(
    write: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = Disk(tmp_path, monkeypatch)
    assert callable(write)
    write(tmp_path / "a" / "b" / "c.json")
    write(tmp_path / "a" / "b" / "d.json")
    assert (tmp_path / "a" / "b" / "d.json").exists()
    assert (disk.lost(), disk.faults) == ([], [])


def test_a_second_name_and_the_first_line_of_a_file_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(tmp_path, monkeypatch)
    atomic.append_line(tmp_path / "events.jsonl", "one")
    assert disk.lost() == []
    atomic.append_line(tmp_path / "events.jsonl", "two")
    atomic.duplicate(tmp_path / "events.jsonl", tmp_path / "copy")
    assert (disk.lost(), disk.faults) == ([], [])


def test_without_hard_links_it_is_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path, monkeypatch)

    def refused(source: object, target: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    atomic.create_exclusively(tmp_path / "claim.json", b"{}")
    atomic.duplicate(tmp_path / "claim.json", tmp_path / "copy")
    assert (disk.lost(), disk.faults) == ([], [])


def test_a_claim_that_was_taken_over_is_on_the_disk_before_it_is_held(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = Disk(tmp_path, monkeypatch)
    stale = {"host": "elsewhere", "pid": 1, "boot": "x", "namespace": "y", "start": "1"}
    atomic.create_exclusively(tmp_path / "claim.json", json.dumps(stale).encode())
    os.utime(tmp_path / "claim.json", (0, 0))
    moved = []
    take_away = atomic.take_away

    def looked_at(path: Path) -> Path | None:
        aside = take_away(path)
        moved.append(disk.lost())
        return aside

    monkeypatch.setattr(atomic, "take_away", looked_at)
    with claims.claim(tmp_path):
        assert disk.lost() == []
    assert moved == [[]]  # the old one's new name was, before it was removed
    assert disk.faults == []


def test_code_table_and_trials_are_on_the_disk_before_sbatch_is_called(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkout = small_repository(tmp_path / "checkout")
    (checkout / "segsuite" / "inner").mkdir()
    (checkout / "segsuite" / "inner" / "b.py").write_text("b\n")
    (checkout / "link").symlink_to("run.sh")
    git(checkout, "add", ".")
    monkeypatch.setattr(snapshot, "CHECKOUT", checkout)
    monkeypatch.setattr(reconcile, "live_tasks", lambda *place: [])
    monkeypatch.setattr(reconcile, "largest_array", lambda: 1001)
    experiment = load(write_experiment(tmp_path / "e", seeds=[0, 1]))
    (tmp_path / "e" / "runs").mkdir()
    disk = Disk(tmp_path, monkeypatch)  # all that the person has made is there
    calls = []

    def sbatch(words: list[str]) -> str:
        there = {path.name for path in experiment.folder.rglob("*")}
        assert {"b.py", "snapshot.json", "1.txt", "trial.yaml", "logs"} <= there
        calls.append(disk.lost())
        return "7"

    monkeypatch.setattr(reconcile, "call", sbatch)
    reconcile.submit(experiment, Profile(), ["report"], dry_run=False)
    assert calls == [[], []]  # the array and the report
    assert disk.faults == []


@pytest.mark.slow
def test_all_of_a_trial_is_on_the_disk_before_its_result_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segsuite.train.callbacks import StopRequest
    from segsuite.trial import run_trial

    folder = frozen(write_experiment(tmp_path, train__max_steps=2))
    disk = Disk(tmp_path, monkeypatch)
    replace, seen = os.replace, {}

    def looked_at(source: Path, target: Path) -> None:
        seen[Path(target).name] = [path for path in disk.lost() if ".tmp" not in path]
        replace(source, target)

    monkeypatch.setattr(os, "replace", looked_at)
    run_trial(folder, lambda event: None, StopRequest())
    there = store.names(folder)
    assert {"checkpoints", "counts.npz", "events.jsonl", "manifest.json", "samples", "result.json"} <= there
    assert seen["result.json"] == []
    assert disk.lost() == []
    assert disk.faults == []
