"""Signals, and a launcher that dies: the trial saves, leaves, and continues to the same end."""

import signal
import time
from pathlib import Path

import pytest

from segsuite.io import claims, store
from tests.reliability.trials import (
    attempt,
    end_after_step,
    frozen,
    kill,
    outcome,
    saved_step,
    segsuite,
    start,
    trials_of,
    wait_for,
    write_experiment,
)

pytestmark = pytest.mark.slow
LONG = {"train__epochs": 6}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = frozen(write_experiment(tmp_path_factory.mktemp("whole"), **LONG))
    assert attempt(folder) == 0
    return outcome(folder)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGINT"])
def test_a_launcher_that_is_asked_to_stop_exits_with_75_and_continues_when_called_again(
    name: str, tmp_path: Path, uninterrupted: dict[str, object]
) -> None:
    path = write_experiment(tmp_path, **LONG)
    (trial,) = trials_of(path)
    process = start("segsuite", "run", path)
    try:
        wait_for(lambda: process.poll() is not None or saved_step(trial.folder) >= 7, "step 7")
        process.send_signal(getattr(signal, name))
        output, errors = process.communicate(timeout=60)
    finally:
        kill(process)
    assert process.returncode == 75, output + errors
    assert errors == "stopped; the same command continues\n"
    assert store.state(trial.folder) == "unfinished"
    again = segsuite("run", path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert outcome(trial.folder) == uninterrupted


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGINT"])
def test_a_trial_that_is_asked_to_stop_itself_exits_with_75(name: str, tmp_path: Path) -> None:
    folder = frozen(write_experiment(tmp_path, **LONG))
    assert end_after_step(folder, 3, getattr(signal, name)) == 75
    assert store.state(folder) == "unfinished"
    assert saved_step(folder) >= 3


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_to_the_trial_and_its_workers_is_a_preemption_too(
    name: str, tmp_path: Path, uninterrupted: dict[str, object]
) -> None:
    """What a cluster does: the signal reaches every process of the job."""
    folder = frozen(write_experiment(tmp_path, **LONG, execution__workers=2))
    for step in (3, 20):
        assert end_after_step(folder, step, getattr(signal, name), group=True) == 75, (folder / "log.txt").read_text()
        assert store.state(folder) == "unfinished"
    assert attempt(folder) == 0
    assert outcome(folder) == uninterrupted


def test_a_signal_before_training_is_a_preemption_too(tmp_path: Path) -> None:
    folder = frozen(write_experiment(tmp_path, **LONG))
    process = start("segsuite.trial", folder)
    try:
        wait_for(lambda: claims.is_live(folder), "the claim")
        process.terminate()
        output, errors = process.communicate(timeout=60)
    finally:
        kill(process)
    assert process.returncode == 75, output + errors
    assert store.state(folder) == "new"


def test_a_trial_whose_launcher_was_killed_leaves_and_the_next_call_continues(
    tmp_path: Path, uninterrupted: dict[str, object]
) -> None:
    path = write_experiment(tmp_path, **LONG)
    (trial,) = trials_of(path)
    process = start("segsuite", "run", path)
    try:
        wait_for(lambda: process.poll() is not None or saved_step(trial.folder) >= 7, "step 7")
    finally:
        kill(process)
    killed = time.monotonic()
    wait_for(lambda: not claims.is_live(trial.folder), "the trial to leave", 20)
    assert time.monotonic() - killed < 60
    assert store.state(trial.folder) == "unfinished"
    assert not (trial.folder / "claim.json").exists()  # it left by itself: no dead claim stays behind
    again = segsuite("run", path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert outcome(trial.folder) == uninterrupted


def test_a_second_ctrl_c_ends_the_launcher_at_once(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **LONG)
    (trial,) = trials_of(path)
    process = start("segsuite", "run", path)
    try:
        wait_for(lambda: process.poll() is not None or saved_step(trial.folder) >= 3, "step 3")
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=15)
    finally:
        kill(process)
    assert process.returncode == 75
    wait_for(lambda: not claims.is_live(trial.folder), "the trial to end", 15)
