"""`segsuite doctor`: what is right is said to be, and each thing that is wrong is found."""

import errno
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from segsuite.cli import main
from segsuite.io import atomic, wandb_environment
from segsuite.launch.doctor import Check, features, folder, machine, neighbour
from segsuite.launch.doctor.folder import check_folder, clock, file_system
from segsuite.launch.doctor.needs import check_needs
from segsuite.launch.slurm import doctor as site
from segsuite.launch.slurm.profile import Profile
from tests.reliability.trials import REPOSITORY, trials_of, write_experiment
from tests.results import whole_result

TORCH = {"torch": "2.9", "lightning": "2.6", "cuda": "13.0", "gpus": ["H200", "H200"]}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "READ_SECONDS", 0.1)
    monkeypatch.setattr(folder, "WRITTEN_BYTES", 2**20)


def levels(checks: object) -> dict[str, str]:
    assert isinstance(checks, list)
    return {check.name: check.level for check in checks}


def test_a_good_folder_is_found_good_and_left_as_it_was(tmp_path: Path) -> None:
    found = levels(list(check_folder(tmp_path / "runs" / "tiny")))
    assert set(found) == {
        *("runs folder", "space", "write speed", "atomic renames", "exclusive names", "locks", "clock"),
        *("hard links", "time stamps", "names", "modes"),
    }
    assert "problem" not in found.values()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_the_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (found,) = check_folder(tmp_path / "file" / "runs")
    assert (found.level, found.found) == ("problem", f"{tmp_path / 'file'} is a file")


def test_names_that_two_processes_can_both_create_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "win", lambda _: list(range(neighbour.NAMES)))  # as a file system that lets both
    assert levels(list(check_folder(tmp_path)))["exclusive names"] == "problem"


def test_a_lock_that_keeps_nobody_out_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", lambda *_: None)  # in this process only: the other one gets the lock
    assert levels(list(check_folder(tmp_path)))["locks"] == "warning"


def test_a_file_system_without_locks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert neighbour.lock(tmp_path)


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    checks = list(check_folder(tmp_path))
    found = levels(checks)
    assert found["hard links"] == "warning"
    assert "problem" not in found.values()
    (said,) = [check.advice for check in checks if check.name == "hard links"]
    assert said.startswith("none is needed: claims are made by exclusive creation instead")


@pytest.mark.parametrize(
    ("check", "level"),
    [
        (features.time_stamps(0.0), "ok"),
        (features.time_stamps(1e-7), "ok"),
        (features.time_stamps(1.12), "warning"),  # FAT keeps even seconds
        (features.names(True, True), "ok"),
        (features.names(False, True), "warning"),  # 143 bytes are left by eCryptfs
        (features.names(True, False), "warning"),  # macOS
        (features.modes(0o644, 0o644), "ok"),
        (features.modes(0o777, 0o644), "warning"),  # exFAT, SMB
    ],
)
def test_what_a_file_system_cannot_do_is_a_warning(check: Check, level: str) -> None:
    assert check.level == level
    assert bool(check.advice) == (level == "warning")


def test_a_second_process_that_does_not_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    *_, last = check_folder(tmp_path)
    assert (last.level, last.found) == ("problem", f"{tmp_path}: a second process could not look into it")


def test_half_a_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"a" * 10 + b"b" * (neighbour.LENGTH - 10))
    assert levels(list(check_folder(tmp_path)))["atomic renames"] == "problem"


def test_space_is_reckoned_in_checkpoints_of_this_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic.write_bytes(tmp_path / "0123" / "checkpoints" / "last.ckpt", b"x" * 1000)
    for free, level in ((2999, "problem"), (3000, "warning"), (29_999, "warning"), (30_000, "ok")):
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr("shutil.disk_usage", lambda _, usage=usage: usage)
        assert levels(list(check_folder(tmp_path, trials=10)))["space"] == level


def test_a_folder_that_cannot_be_written_to_is_a_problem() -> None:
    assert levels(list(check_folder(Path("/proc/runs")))) == {"runs folder": "problem"}


@pytest.mark.parametrize(("skew", "level"), [(0.1, "ok"), (-3.0, "warning"), (3.0, "warning"), (-90.0, "problem")])
def test_a_clock_is_judged_by_how_far_it_is_off(skew: float, level: str) -> None:
    assert clock(skew).level == level


def test_the_time_of_a_file_is_compared_with_this_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr("segsuite.launch.doctor.neighbour.time.time", lambda: now() + 90)
    assert levels(list(check_folder(tmp_path)))["clock"] == "problem"


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = f"a / ext4 rw\nb {tmp_path} nfs4 rw\nc {tmp_path}/other lustre rw\n"
    monkeypatch.setattr(Path, "read_text", lambda _: mounts)
    assert (file_system(tmp_path), file_system(Path("/"))) == ("nfs4", "ext4")


@pytest.mark.parametrize(
    ("listed", "seen", "device", "level"),
    [
        (2, 2, "auto", "ok"),
        (3, 2, "auto", "warning"),
        (2, 0, "auto", "problem"),
        (0, 0, "auto", "ok"),
        (0, 0, "cuda", "problem"),
    ],
)
def test_nvidia_smi_and_torch_must_agree(
    monkeypatch: pytest.MonkeyPatch, listed: int, seen: int, device: str, level: str
) -> None:
    monkeypatch.setattr(machine, "answer_of", lambda *_: (TORCH | {"gpus": ["H200"] * seen}, ""))
    monkeypatch.setattr(machine, "visible_gpus", lambda _: ["x"] * listed)
    assert levels(list(machine.check_machine([device])))["GPU"] == level


def test_a_torch_that_cannot_be_imported_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PROGRAM", "raise ImportError('libcudnn is missing')")
    *_, last = machine.check_machine()
    assert (last.name, last.level) == ("torch", "problem")
    assert "ImportError: libcudnn is missing" in last.found


def needs(path: Path) -> list[Check]:
    from segsuite.experiment import load

    return list(check_needs(load(path)))


def test_missing_data_and_weights_are_named(tmp_path: Path) -> None:
    data = {"name": "camvid", "root": str(tmp_path / "none")}
    found = needs(write_experiment(tmp_path, data=data, model__weights=str(tmp_path / "w.safetensors")))
    assert [(check.name, check.level) for check in found[:2]] == [("data", "problem"), ("settings", "problem")]
    assert [str(tmp_path / name) in check.found for check, name in zip(found, ("none", "w.safetensors"), strict=False)]


@pytest.mark.parametrize(
    ("mode", "key", "answers", "level", "words"),
    [
        ("disabled", True, True, "ok", "off"),
        ("offline", True, True, "ok", "offline"),
        ("auto", False, True, "ok", "no API key"),
        ("online", False, True, "problem", "no API key"),
        ("online", True, False, "problem", "does not answer"),
        ("online", True, True, "ok", "online"),
    ],
)
def test_wandb_is_judged_by_what_the_experiment_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, key: bool, answers: bool, level: str, words: str
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    for name, value in (("has_key", key), ("base_url", "https://server"), ("reachable", answers)):
        monkeypatch.setattr(wandb_environment, name, lambda *_, value=value: value)
    found = needs(write_experiment(tmp_path, wandb__mode=mode, tracker="wandb"))[-1]
    assert (found.name, found.level) == ("W&B", level)
    assert words in found.found


def test_the_api_key_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "canary" * 6 + "1234")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(machine, "answer_of", lambda *_: (TORCH, ""))
    monkeypatch.setattr(site, "is_here", lambda: False)
    main(["doctor", str(write_experiment(tmp_path)), "--json"])
    captured = capsys.readouterr()
    assert "canary" not in captured.out + captured.err
    assert json.loads(captured.out)[-1]["found"].startswith("offline: http://127.0.0.1:9 does not answer")


def test_a_problem_is_exit_code_1_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "answer_of", lambda *_: (None, "broken"))
    monkeypatch.setattr(site, "is_here", lambda: False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == [
        "problem  torch: cannot be imported: broken",
        "         to do: install segsuite into this Python again: see README.md",
    ]
    assert lines[-1].startswith("1 problem, ")
    assert os.listdir(tmp_path) == []


def test_a_profile_where_there_is_no_slurm_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = site.check_site(Profile(), tmp_path, ["sbatch"], 1)
    assert (found.level, found.advice) == ("problem", "call this on a login node of the cluster")


def test_what_is_needed_of_finished_trials_is_not_reckoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_experiment(tmp_path, seeds=[0, 1, 2])
    atomic.write_json(trials_of(path)[0].folder / "result.json", whole_result())
    asked: list[int] = []

    def check(_: Path, trials: int) -> list[Check]:
        asked.append(trials)
        return []

    monkeypatch.setattr(machine, "answer_of", lambda *_: (TORCH, ""))
    monkeypatch.setattr(folder, "check_folder", check)
    monkeypatch.setattr(site, "is_here", lambda: False)
    main(["doctor", str(path)])
    assert asked == [2]


def test_the_last_line_counts_in_plurals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Check("a", level, "", "") for level in ("problem", "problem", "warning", "ok", "ok")]  # type: ignore[arg-type]
    monkeypatch.setattr("segsuite.commands.doctor._checks", lambda *_: found)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2 problems, 1 warning, 2 ok"
