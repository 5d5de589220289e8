"""What an attempt records, and when it warns that it is not made as the one before it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segsuite.io import atomic, manifest, trial_warnings
from segsuite.io.store import RunDirectory
from segsuite.trial.attempts import record_attempt
from tests.reliability.trials import attempt, frozen, write_experiment

MADE: dict[str, Any] = {
    "started": "2026-09-21T10:00:00+0000",
    "host": "a",
    "code": {"commit": "0" * 40, "dirty": False, "sources_sha256": "feedfacefeedface"},
    "python": "3.11.7",
    "packages": {"torch": "2.11.0", "numpy": "2.3.0", "triton": None},
    "hardware": {"device": "cpu", "precision": "fp32", "threads": 2},
    "weights": {"resnet18.safetensors": "aa" * 32},
}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run directory whose first attempt has saved a checkpoint."""
    run = RunDirectory(tmp_path / "trial")
    run.folder.mkdir()
    record_attempt(run, MADE)
    atomic.write_bytes(run.last_checkpoint, b"saved")
    return run


def test_an_attempt_that_goes_on_as_before_warns_of_nothing(run: RunDirectory) -> None:
    record_attempt(run, MADE | {"host": "b", "hardware": {"device": "cpu", "precision": "fp32", "threads": 8}})
    assert trial_warnings.noted(run.folder) == []
    assert [record["continues"] for record in manifest.attempts(run.folder)] == [False, True]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"code": {"commit": "1" * 40, "dirty": True, "sources_sha256": "beefbeefbeefbeef"}},
            "code: commit 000000000000, sources feedfacefeedface before, "
            "commit 111111111111 with uncommitted changes, sources beefbeefbeefbeef now",
        ),
        ({"packages": {"torch": "2.12.0", "numpy": "2.3.0"}}, "torch: 2.11.0 before, 2.12.0 now"),
        ({"packages": MADE["packages"] | {"triton": "3.5"}}, "triton: not installed before, 3.5 now"),
        ({"python": "3.12.1"}, "python: 3.11.7 before, 3.12.1 now"),
        ({"hardware": {"device": "cpu", "precision": "bf16-mixed"}}, "precision: fp32 before, bf16-mixed now"),
        (
            {"weights": {"resnet18.safetensors": "bb" * 32}},
            "weights: resnet18.safetensors with SHA-256 aaaaaaaaaaaa... before, "
            "resnet18.safetensors with SHA-256 bbbbbbbbbbbb... now",
        ),
    ],
)
def test_what_has_changed_is_said_from_what_to_what(run: RunDirectory, change: dict[str, Any], said: str) -> None:
    told: list[dict[str, Any]] = []
    record_attempt(run, MADE | change, told.append)
    expected = f"continues its attempt of 2026-09-21T10:00:00+0000 with changes: {said}"
    assert trial_warnings.noted(run.folder) == [expected]
    assert told == [{"phase": "warning", "warning": expected}], "the terminal says it, too"


@pytest.mark.parametrize(
    "change",
    [
        {"code": {"commit": "1" * 40, "dirty": False, "sources_sha256": "feedfacefeedface"}},  # of something else
        {"weights": {"the-same-file.safetensors": "aa" * 32}},
        {"packages": {"torch": "2.11.0", "numpy": "2.3.0", "recorded-since": "1"}},
    ],
)
def test_what_is_the_same_is_no_change(run: RunDirectory, change: dict[str, Any]) -> None:
    record_attempt(run, MADE | change)
    assert trial_warnings.noted(run.folder) == []


def test_an_attempt_that_begins_anew_is_made_by_nothing_before_it(run: RunDirectory) -> None:
    run.last_checkpoint.unlink()
    record_attempt(run, MADE | {"python": "3.12.1"})
    assert trial_warnings.noted(run.folder) == []
    assert len(manifest.of_result(manifest.attempts(run.folder))) == 1


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text('["no record"]')])
def test_an_unknown_past_is_no_change(run: RunDirectory, spoil: Callable[[Path], object]) -> None:
    for name in (manifest.FILE, manifest.ATTEMPTS):
        spoil(run.folder / name)
    record_attempt(run, MADE)
    assert trial_warnings.noted(run.folder) == []


def test_a_run_directory_of_an_earlier_version_warns_too(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    atomic.write_json(tmp_path / manifest.FILE, MADE)
    atomic.write_bytes(run.last_checkpoint, b"saved")
    record_attempt(run, MADE | {"python": "3.12.1"})
    assert "python: 3.11.7 before, 3.12.1 now" in trial_warnings.noted(tmp_path)[0]


def test_the_warning_outlives_a_tracker_that_has_caught_up(run: RunDirectory) -> None:
    trial_warnings.note(run.folder, "logging failed")
    record_attempt(run, MADE | {"python": "3.12.1"})
    trial_warnings.settle(run.folder)
    (left,) = trial_warnings.noted(run.folder)
    assert "python: 3.11.7 before" in left


HUB = "timm/x@{}/model.safetensors"


@pytest.mark.parametrize(
    ("name", "beside", "digest", "said"),
    [
        ("w.pth", "w.pth", "bb" * 32, "w.pth has SHA-256 bbbbbbbbbbbb..., there aaaaaaaaaaaa..."),
        (
            HUB.format("1" * 40),
            HUB.format("0" * 40),
            "bb" * 32,
            "timm/x/model.safetensors has SHA-256 bbbbbbbbbbbb..., there",
        ),
        ("w.pth", "w.pth", "aa" * 32, ""),
        ("other.pth", "w.pth", "bb" * 32, ""),
    ],
)
def test_a_trial_names_the_neighbour_that_began_from_another_file(
    tmp_path: Path, name: str, beside: str, digest: str, said: str
) -> None:
    for folder, weights in (("beside", {beside: "aa" * 32}), ("trial", {name: digest})):
        (tmp_path / folder).mkdir()
        record_attempt(RunDirectory(tmp_path / folder), MADE | {"weights": weights})
    found = trial_warnings.noted(tmp_path / "trial")
    assert [text.startswith("began from other initial weights than beside: ") and said in text for text in found] == (
        [True] if said else []
    )
    assert trial_warnings.noted(tmp_path / "beside") == []


@pytest.mark.slow
def test_a_real_trial_that_continues_with_another_package_says_so(tmp_path: Path) -> None:
    few = {"tracker": "none", "train__epochs": 1, "train__max_steps": 2, "data__train_images": 4}
    folder = frozen(write_experiment(tmp_path, **few))
    assert attempt(folder) == 0, (folder / "log.txt").read_text()
    lines = folder / manifest.ATTEMPTS
    (first,) = manifest.attempts(folder)
    assert first["code"]["sources_sha256"]
    lines.write_text(json.dumps(first | {"packages": first["packages"] | {"numpy": "1.0"}}) + "\n")
    (folder / "result.json").unlink()
    assert attempt(folder) == 0, (folder / "log.txt").read_text()
    assert [record["continues"] for record in manifest.attempts(folder)] == [False, True]
    (warning,) = trial_warnings.noted(folder)
    assert warning.endswith(f"with changes: numpy: 1.0 before, {first['packages']['numpy']} now")
