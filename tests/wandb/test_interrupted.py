"""Trials that are killed, preempted or fail, processes that follow each other, and what launchers hand down."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segsuite.launch import attempt as attempts
from segsuite.launch.slots import Slot
from segsuite.launch.warm import Pool
from segsuite.train.wandb_tracker import WandbTracker, last_seconds
from tests.wandb import offline_log
from tests.wandb.scenarios import IDENTIFIER, REPOSITORY, RUN, command, environment, event, python, subject

BODY = """
from segsuite.train.tracking import tracked
from segsuite.errors import Preempted
folder = Path({folder!r})
folder.mkdir(parents=True, exist_ok=True)
with tracked(subject(folder, identifier=folder.name), lambda told: print(told, flush=True)) as tracker:
    epochs(tracker, folder, {first}, {last})
    {then}
"""


def attempt(folder: Path, first: int, last: int, then: str) -> str:
    """Code that tracks some epochs and then does something."""
    return BODY.format(folder=str(folder), first=first, last=last, then=then)


def logged_epochs(path: Path) -> list[int]:
    return [row["epoch"] for row in offline_log.read(path).history if "epoch" in row]


def test_a_killed_trial_loses_seconds_not_the_whole_log(folder: Path, tmp_path: Path) -> None:
    code = attempt(folder, 0, 4, "print('logged', flush=True); __import__('time').sleep(60)")
    process = subprocess.Popen(
        command(code), cwd=REPOSITORY, env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    time.sleep(3.0)  # wandb's own default would flush after 15 s
    kept = logged_epochs(offline_log.folders(folder)[0])
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert kept == [0, 1, 2, 3]


def test_what_a_kill_may_have_lost_is_told_again(folder: Path, tmp_path: Path) -> None:
    python(attempt(folder, 0, 3, "os.kill(os.getpid(), 9)"), tmp_path)  # at once: nothing is flushed
    python(attempt(folder, 3, 4, "tracker.finish(result())"), tmp_path)
    _, second = offline_log.folders(folder)
    assert offline_log.wait(second).id == RUN
    assert logged_epochs(second)[:4] == [0, 1, 2, 3]


def test_the_last_seconds_hold_at_least_one_epoch() -> None:
    assert [one["epoch"] for one in last_seconds([event(k) for k in range(5)], 0.1)] == [4]
    assert [one["epoch"] for one in last_seconds([event(k) for k in range(5)], 4.0)] == [2, 3, 4]
    assert last_seconds([], 4.0) == []


def test_a_preempted_trial_is_marked_and_not_finished(folder: Path, tmp_path: Path) -> None:
    done = python(attempt(folder, 0, 2, "raise Preempted('stopped')"), tmp_path)
    run = offline_log.wait(offline_log.folders(folder)[0])
    assert "Preempted" in done.stderr
    assert (run.exit_code, run.preempting, "complete" in run.summary) == (75, True, False)


def test_a_failed_trial_ends_its_run(folder: Path, tmp_path: Path) -> None:
    python(attempt(folder, 0, 2, "1 / 0"), tmp_path)
    run = offline_log.wait(offline_log.folders(folder)[0])
    assert (run.exit_code, run.preempting) == (1, False)


def test_two_trials_in_one_process_are_two_runs(folder: Path, tmp_path: Path) -> None:
    others = [folder.parent / (f"{k}" * 12) for k in (1, 2)]
    code = "".join(f"whole_trial(folder.parent / {other.name!r}, images=0)\n" for other in others)
    done = python(f"folder = Path({str(folder)!r})\n{code}", tmp_path)
    assert done.stdout == "", done.stdout
    for other in others:
        run = offline_log.wait(offline_log.folders(other)[0])
        assert (run.id, len({row["epoch"] for row in run.history if "epoch" in row})) == (f"tiny-{other.name}", 4)


def test_settings_are_new_each_time(tmp_path: Path) -> None:
    code = """
    from segsuite.io import wandb_environment
    first, second = wandb_environment.settings("offline"), wandb_environment.settings("offline")
    first.run_id = "changed"
    print(first is second, second.run_id, first.console, first.disable_git, first.x_transaction_log_flush_interval)
    """
    assert python(code, tmp_path).stdout == "False None off True 2.0\n"


def test_a_connection_of_a_dead_process_is_not_used(folder: Path, tmp_path: Path) -> None:
    code = f"whole_trial(Path({str(folder)!r}), images=0)"
    done = python(code, tmp_path, WANDB_SERVICE="3-1-unix-/tmp/no-such-socket")
    assert (done.returncode, done.stdout) == (0, "")
    assert offline_log.wait(offline_log.folders(folder)[0]).exit_code == 0


def test_a_launcher_hands_no_connection_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: dict[str, str] = {}

    class Started(Exception):
        pass

    def popen(*arguments: object, env: dict[str, str], **options: object) -> None:
        handed.update(env)
        raise Started

    monkeypatch.setenv("WANDB_SERVICE", "3-1-unix-/tmp/socket")
    monkeypatch.setattr(attempts.subprocess, "Popen", popen)
    trial = type("Trial", (), {"folder": tmp_path, "id": "x"})
    with pytest.raises(Started):
        attempts.Attempt(trial, Slot(), lambda event: None, Pool(print))  # type: ignore[arg-type]
    assert "WANDB_SERVICE" not in handed
    assert handed["PATH"] == os.environ["PATH"]


def test_launching_imports_no_wandb() -> None:
    code = "import sys, segsuite.cli, segsuite.launch.local, segsuite.launch.wandb_sync; print('wandb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_pickling_a_tracker_starts_no_run(tmp_path: Path) -> None:
    copy = pickle.loads(pickle.dumps(WandbTracker(subject(tmp_path), print)))
    assert (copy.subject.id, list(tmp_path.iterdir())) == (IDENTIFIER, [])
