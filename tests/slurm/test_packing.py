"""Several trials in a job, on a real cluster; requeues that are refused, and memory that is too small."""

import sys
from pathlib import Path
from typing import Any

import pytest

from segsuite.io import store
from segsuite.launch.slurm.arrays import Place
from tests.reliability.memory import too_small_for_four
from tests.reliability.trials import attempt, frozen, outcome, trials_of, write_experiment
from tests.slurm.cluster import Cluster, attempts, codes, log, started, submitted

pytestmark = pytest.mark.slow
LONG: dict[str, Any] = {"train__epochs": 5}
RATE = "train.optimizer.learning_rate"


def test_one_of_two_in_a_job_fails_and_the_other_goes_on_to_the_same_bits(cluster: Cluster, tmp_path: Path) -> None:
    alone = frozen(write_experiment(tmp_path / "alone", **LONG, train__optimizer__learning_rate=1e-3))
    assert attempt(alone) == 0
    cluster.write_profile(pack=2, gpus_per_node=2)
    path = write_experiment(tmp_path, **LONG, compare={RATE: [1e30, 1e-3]})
    failing, good = trials_of(path)
    job = submitted(cluster, path)
    started(good, 10)
    assert store.state(failing.folder) == "failed"
    cluster.call("scancel", "--signal=USR1", f"{job}_0")
    cluster.wait_until_idle()
    assert codes(failing) == [1], log(failing)
    assert codes(good) == [75, 0], log(good)
    assert outcome(good.folder) == outcome(alone)
    assert "NonFiniteError" in log(failing)
    assert "NonFiniteError" not in log(good)
    of_job = (tmp_path / "runs" / "tiny" / "slurm" / "logs" / f"{job}_0.log").read_text()
    assert f"not repeated, since it failed: {failing.id}" in of_job
    manifest = store.read_json(good.folder / "manifest.json")
    assert manifest is not None
    assert manifest["hardware"]["packed"] == 2
    assert manifest["environment"]["CUDA_VISIBLE_DEVICES"] == "1"  # the first has the other one


def test_three_trials_packed_by_two_are_two_tasks_and_the_third_is_alone(cluster: Cluster, tmp_path: Path) -> None:
    cluster.write_profile(pack=2)
    path = write_experiment(tmp_path, seeds=[0, 1, 2], train__max_steps=2)
    submitted(cluster, path)
    cluster.wait_until_idle()
    trials = trials_of(path)
    assert [codes(trial) for trial in trials] == [[0], [0], [0]]
    for begin, end in map(attempts, trials):
        assert abs(end["end"] - begin["begin"] - end["seconds"]) <= 1
    results = [store.read_json(trial.folder / "result.json") or {} for trial in trials]
    assert [result.get("packed") for result in results] == [2, 2, None]
    assert (Place(path.parent / "runs" / "tiny").tables / "1.txt").read_text() == (
        f"{trials[0].id} {trials[1].id}\n{trials[2].id}\n"
    )


def test_a_refused_requeue_is_told_and_the_next_call_submits_it(cluster: Cluster, tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **LONG)
    (trial,) = trials_of(path)
    job = submitted(cluster, path)
    started(trial)
    cluster.call("scontrol", "update", f"JobId={job}_0", "Requeue=0")
    cluster.call("scancel", "--signal=USR1", f"{job}_0")
    cluster.wait_until_idle()
    assert codes(trial) == [75]
    assert "SLURM did not queue it again" in log(trial)
    submitted(cluster, path)
    cluster.wait_until_idle()
    assert codes(trial) == [75, 0]


def test_a_training_without_memory_is_queued_again_with_half_the_batch(cluster: Cluster, tmp_path: Path) -> None:
    hook = too_small_for_four(tmp_path / "hook")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/bash\nPYTHONPATH={hook}:$PYTHONPATH exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    cluster.write_profile(python=str(python))
    path = write_experiment(tmp_path, train__batch_size=4, train__max_steps=2)
    (trial,) = trials_of(path)
    submitted(cluster, path)
    cluster.wait_until_idle()
    assert codes(trial) == [77, 0], log(trial)
    assert (store.read_json(trial.folder / "result.json") or {})["smaller_batch"]["batch_size"] == 2
