"""Several trials at a time: the same results, cores shared, one crash stays alone, Ctrl-C reaches all."""

import os
import signal
import time
from pathlib import Path

import pytest

from segsuite.experiment import Trial
from segsuite.io import claims, store
from tests.reliability.trials import (
    environment,
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
FOUR = {"compare": {"train.optimizer.learning_rate": [1e-3, 2e-3]}, "seeds": [0, 1]}


def free_threads(**more: str) -> dict[str, str]:
    """The environment of a person who has set no number of threads."""
    return {key: value for key, value in environment(**more).items() if key != "OMP_NUM_THREADS"}


def overlap(trials: tuple[Trial, ...]) -> int:
    """How many trials were trained at most at the same time, by their manifests and results."""
    spans = [
        ((trial.folder / "manifest.json").stat().st_mtime, (trial.folder / "result.json").stat().st_mtime)
        for trial in trials
    ]
    return max(sum(begin <= at <= end for begin, end in spans) for at, _ in spans)


def test_two_workers_give_the_results_of_one_and_share_the_cores(tmp_path: Path) -> None:
    alone, together = (write_experiment(tmp_path / name, **FOUR, execution__threads=None) for name in ("a", "b"))
    # one thread, as each of two workers on two cores
    one = segsuite("run", alone, "--workers", "1", env=environment())
    two = segsuite("run", together, "--workers", "2", env=free_threads())
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    assert ", 2 at a time" in two.stdout
    assert overlap(trials_of(alone)) == 1
    assert overlap(trials_of(together)) == 2
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    for first, second in zip(trials_of(alone), trials_of(together), strict=True):
        manifest = store.read_json(second.folder / "manifest.json")
        assert manifest is not None
        assert manifest["hardware"]["threads"] == share
        assert manifest["hardware"]["side_by_side"] == 2
        if share == 1:
            assert outcome(first.folder) == outcome(second.folder)


def test_a_worker_that_is_killed_takes_no_other_down(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **FOUR)
    first, *_ = trials_of(path)
    process = start("segsuite", "run", path, "--workers", "2")
    try:
        wait_for(lambda: process.poll() is not None or saved_step(first.folder) >= 3, "step 3")
        holder = claims.read(first.folder)
        assert holder is not None
        os.kill(holder["pid"], signal.SIGKILL)
        output, errors = process.communicate(timeout=300)
    finally:
        kill(process)
    assert process.returncode == 1, output + errors
    assert [store.state(trial.folder) for trial in trials_of(path)] == ["failed", *["finished"] * 3]
    assert "SIGKILL" in str(store.read_json(first.folder / "failure.json"))


def test_ctrl_c_lets_every_worker_save_and_the_same_command_continues(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **FOUR, train__epochs=6)
    trials = trials_of(path)
    process = start("segsuite", "run", path, "--workers", "2")
    try:
        running = trials[:2]
        wait_for(
            lambda: process.poll() is not None or all(saved_step(trial.folder) >= 3 for trial in running), "step 3"
        )
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    finally:
        kill(process)
    assert process.returncode == 75, output + errors
    assert [store.state(trial.folder) for trial in trials] == ["unfinished", "unfinished", "new", "new"]
    again = segsuite("run", path, "--workers", "4")
    assert again.returncode == 0, again.stdout + again.stderr
    assert all(store.state(trial.folder) == "finished" for trial in trials)


def test_a_second_ctrl_c_ends_every_worker_at_once(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **FOUR, train__epochs=200)
    process = start("segsuite", "run", path, "--workers", "2")
    try:
        wait_for(lambda: all(saved_step(trial.folder) >= 1 for trial in trials_of(path)[:2]), "step 1")
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        process.communicate(timeout=20)
    finally:
        kill(process)
    assert process.returncode == 75
    assert not any(claims.is_live(trial.folder) for trial in trials_of(path))


@pytest.mark.parametrize("workers", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_workers_is_one_sentence(workers: str, tmp_path: Path) -> None:
    ran = segsuite("run", write_experiment(tmp_path), f"--workers={workers}")
    assert ran.returncode == 2
    assert f"'{workers}' is no whole number of at least 1" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_workers_that_fight_for_cores_are_warned_of(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **FOUR, execution__threads=99, train__max_steps=1)
    ran = segsuite("run", path, "--workers", "2")
    assert ran.returncode == 0, ran.stderr
    assert "warning: 2 workers of execution.threads 99 fight for" in ran.stdout
