"""A training that the memory is too small for: once again with half the batch, from the start, and marked."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segsuite.io import atomic, store
from tests.reliability.memory import too_small_for_four
from tests.reliability.trials import (
    REPOSITORY,
    attempt,
    end_after_step,
    environment,
    frozen,
    outcome,
    segsuite,
    trials_of,
    write_experiment,
)

# Batches of 8 need 0.5 GB beside what is there when everything is imported, the rest of a trial less than 0.1 GB.
ROOM = 120_000_000
LARGE: dict[str, Any] = {
    "data__size": [192, 192], "data__train_images": 12, "data__val_images": 1, "augment__crop": [192, 192],
    "train__batch_size": 8, "train__epochs": 2,
}  # fmt: skip
LIMITED = """
import resource, sys
from pathlib import Path
import segsuite.encoders.library  # what a trial imports late
from segsuite.trial.__main__ import main
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[2]),) * 2)
sys.exit(main(Path(sys.argv[1])))
"""
HALF = {"batch_size": 4, "accumulate": 2, "overfit_batches": 0}
WHOLE = {"batch_size": 8, "accumulate": 1, "overfit_batches": 0}


def limited_attempt(folder: Path) -> int:
    """An attempt in a process that may have 120 MB more than its imports."""
    with open(folder / "log.txt", "a") as log:
        words = [sys.executable, "-c", LIMITED, str(folder), str(ROOM)]
        done = subprocess.run(words, env=environment(), stdout=log, stderr=log, timeout=300, check=False)
    return done.returncode


def trained_with(folder: Path, key: str) -> dict[str, Any]:
    record = store.read_json(folder / key)
    assert record is not None
    smaller: dict[str, Any] = record["smaller_batch"] if key == "result.json" else record
    return smaller


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_training_without_memory_begins_anew_with_half_the_batch_and_as_many_steps(tmp_path: Path) -> None:
    whole = frozen(write_experiment(tmp_path / "whole", **LARGE))
    assert attempt(whole) == 0, (whole / "log.txt").read_text()
    half = frozen(write_experiment(tmp_path / "half", **LARGE))
    atomic.write_json(half / "smaller_batch.json", {**HALF, "was": WHOLE, "begun": True})
    assert attempt(half) == 0, (half / "log.txt").read_text()
    short = frozen(write_experiment(tmp_path / "short", **LARGE))
    assert end_after_step(short, 1) == -9
    assert limited_attempt(short) == 77, (short / "log.txt").read_text()
    assert not (short / "failure.json").exists()
    assert attempt(short) == 0, (short / "log.txt").read_text()
    smaller = trained_with(short, "result.json")
    assert {name: smaller[name] for name in HALF} == HALF
    assert smaller["was"] == WHOLE
    assert outcome(short) == outcome(half)  # nothing of the batches of 8 is left
    steps = [(event["step"], event["learning_rate"]) for event in store.events(short)]
    assert steps == [(event["step"], event["learning_rate"]) for event in store.events(whole)]
    assert [step for step, _ in steps] == [1, 2]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_second_lack_of_memory_is_a_failure_with_advice(tmp_path: Path) -> None:
    folder = frozen(write_experiment(tmp_path, **LARGE))
    assert [limited_attempt(folder), limited_attempt(folder)] == [77, 1]
    failure = store.read_json(folder / "failure.json")
    assert failure is not None
    assert failure["kind"] == "OutOfMemory", (folder / "log.txt").read_text()
    assert "train.batch_size 4" in failure["reason"]
    assert "lower train.batch_size" in failure["advice"]
    assert trained_with(folder, "smaller_batch.json")["batch_size"] == 4


@pytest.mark.slow
def test_a_local_run_repeats_it_at_once(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, train__batch_size=4, train__max_steps=2)
    hook = too_small_for_four(tmp_path / "hook")
    ran = segsuite("run", path, env=environment(PYTHONPATH=f"{hook}:{REPOSITORY}"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "trained with batches of 2 x 2 instead of 4 x 1 a step" in ran.stdout
    (trial,) = trials_of(path)
    assert trained_with(trial.folder, "result.json")["was"]["batch_size"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--fresh",)], ids=["from the pool", "fresh"])
def test_a_lack_of_memory_beside_others_changes_no_trial_and_takes_none_down(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """Both lack memory while they run together; each is trained alone, with the batch that was asked for."""
    path = write_experiment(tmp_path, train__batch_size=4, train__max_steps=2, seeds=[0, 1])
    hook = too_small_for_four(tmp_path / "hook", beside_others=True)
    ran = segsuite("run", path, "--workers", "2", *options, env=environment(PYTHONPATH=f"{hook}:{REPOSITORY}"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "the memory was too small beside other trials; it goes on alone" in ran.stdout
    for trial in trials_of(path):
        assert store.state(trial.folder) == "finished"
        assert not (trial.folder / "smaller_batch.json").exists()
        manifest = store.read_json(trial.folder / "manifest.json")
        assert manifest is not None
        assert manifest["hardware"]["side_by_side"] is None
