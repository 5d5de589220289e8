"""A tracker's failures are recorded in the run directory, shown by `status` and `why`, and forgotten once they are
mended."""

import json
from pathlib import Path
from typing import Any

import pytest

from segsuite.cli import main
from segsuite.commands import status_text
from segsuite.experiment import Experiment, load
from segsuite.io import atomic, trial_warnings
from segsuite.launch.freeze import freeze_all
from segsuite.launch.status import Status
from segsuite.train.tracking import Tracker
from tests.reliability.trials import write_experiment
from tests.results import whole_result
from tests.wandb.scenarios import subject

LOST = "W&B: making images failed (FileNotFoundError: /tmp/{number}.jpg)"


def fails(error: Exception) -> None:
    raise error


def test_the_first_failure_is_told_and_all_are_recorded(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    tracker = Tracker(subject(tmp_path), told.append)
    for doing in ("making images", "logging", "making images"):
        tracker.safely(doing, lambda: fails(OSError("gone")))
    assert [event["warning"].partition(" (")[0] for event in told] == ["making images failed"]
    assert trial_warnings.noted(tmp_path) == ["making images failed (OSError: gone)", "logging failed (OSError: gone)"]


def test_half_a_line_of_a_killed_process_is_no_warning(tmp_path: Path) -> None:
    trial_warnings.note(tmp_path, "one")
    with open(tmp_path / trial_warnings.FILE, "a") as file:
        file.write('{"time": 1, "warn')
    assert trial_warnings.noted(tmp_path) == ["one"]


def test_what_is_settled_is_no_longer_shown_but_what_comes_later_is(tmp_path: Path) -> None:
    trial_warnings.note(tmp_path, "one")
    trial_warnings.settle(tmp_path)
    assert trial_warnings.noted(tmp_path) == []
    trial_warnings.note(tmp_path, "one")
    assert trial_warnings.noted(tmp_path) == ["one"]


def test_a_folder_that_takes_no_file_is_no_reason_to_fail(tmp_path: Path) -> None:
    trial_warnings.note(tmp_path / "nowhere", "one")
    assert trial_warnings.noted(tmp_path / "nowhere") == []


@pytest.fixture
def warned(tmp_path: Path) -> Experiment:
    """Three finished trials, two of which lost their images."""
    experiment = load(write_experiment(tmp_path, seeds=[0, 1, 2]))
    freeze_all(experiment.trials)
    for number, trial in enumerate(experiment.trials):
        atomic.write_json(trial.folder / "result.json", whole_result())
        if number > 0:
            trial_warnings.note(trial.folder, LOST.format(number=number))
    return experiment


def test_status_shows_a_warning_once_a_kind(warned: Experiment) -> None:
    found = Status(warned).look()
    assert [trial["warnings"] for trial in found["trials"]] == [[], [LOST.format(number=1)], [LOST.format(number=2)]]
    (line,) = (line for line in status_text.lines(found) if line.startswith("warning: "))
    assert line == f"warning: {warned.trials[1].arm}, seed 1 and 1 more: {LOST.format(number=1)}"


def test_why_shows_the_trials_that_warned(warned: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", str(warned.path)]) == 0
    text = capsys.readouterr().out
    assert [line.strip() for line in text.splitlines() if "warning" in line] == [
        f"warning: {LOST.format(number=number)}" for number in (1, 2)
    ]
    assert warned.trials[0].id not in text
    assert main(["why", str(warned.path), "--json"]) == 0
    assert [trial["warnings"] for trial in json.loads(capsys.readouterr().out)] == [
        [LOST.format(number=number)] for number in (1, 2)
    ]
