"""`segsuite run --on slurm` on a real cluster: nothing lost, nothing twice, and the same bits as an undisturbed run."""

import re
from pathlib import Path
from typing import Any

import pytest

from segsuite.experiment import load
from segsuite.io import claims, store
from segsuite.launch.slurm.arrays import Place
from tests.reliability.trials import (
    attempt,
    frozen,
    kill,
    outcome,
    trials_of,
    wait_for,
    write_experiment,
)
from tests.slurm.cluster import Cluster, attempts, codes, log, started, submitted, told_that_its_time_ends

pytestmark = pytest.mark.slow
LONG: dict[str, Any] = {"train__epochs": 8}
FOUR: dict[str, Any] = {"compare": {"train.optimizer.learning_rate": [1e-3, 2e-3]}, "seeds": [0, 1]}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = frozen(write_experiment(tmp_path_factory.mktemp("whole"), **LONG))
    assert attempt(folder) == 0
    return outcome(folder)


def test_two_launchers_at_once_submit_each_trial_once_and_the_report_comes_by_itself(
    cluster: Cluster, tmp_path: Path
) -> None:
    path = write_experiment(tmp_path, **FOUR)
    launchers = [cluster.start(path), cluster.start(path)]
    try:
        texts = [launcher.communicate(timeout=300) for launcher in launchers]
    finally:
        for launcher in launchers:
            kill(launcher)
    assert [launcher.returncode for launcher in launchers] == [0, 0], texts
    assert sorted("nothing to submit" in output for output, _ in texts) == [False, True], texts
    cluster.wait_until_idle()
    for trial in trials_of(path):
        assert store.state(trial.folder) == "finished", log(trial)
        assert codes(trial) == [0]
        assert (trial.folder / "manifest.json").exists()
    assert (tmp_path / "runs" / "tiny" / "report" / "report.html").exists()
    again = cluster.run(path)
    assert again.returncode == 0
    assert again.stdout.splitlines()[-2:] == ["tiny: 4 finished", "nothing to submit"]


def test_a_trial_told_to_save_before_its_time_limit_goes_on_by_itself_to_the_same_bits(
    cluster: Cluster, tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    path = write_experiment(tmp_path, **LONG)
    (trial,) = trials_of(path)
    told_that_its_time_ends(cluster, path, trial)
    assert codes(trial) == [75, 0], log(trial)
    assert "requeue of" in log(trial)
    assert outcome(trial.folder) == undisturbed


def test_a_preempted_trial_goes_on_to_the_same_bits(
    cluster: Cluster, tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    cluster.write_profile(partition="low")
    path = write_experiment(tmp_path, **LONG)
    (trial,) = trials_of(path)
    submitted(cluster, path)
    started(trial)
    cluster.call("sbatch", "--partition=urgent", "--nodes=4", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
    cluster.wait_until_idle()
    assert codes(trial)[-1] == 0, log(trial)
    assert len([line for line in attempts(trial) if "begin" in line]) == 2, attempts(trial)
    assert outcome(trial.folder) == undisturbed


def test_a_cancelled_trial_is_not_queued_again_by_itself_but_by_the_next_call(
    cluster: Cluster, tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    path = write_experiment(tmp_path, **LONG)
    (trial,) = trials_of(path)
    job = submitted(cluster, path)
    started(trial)
    cluster.call("scancel", f"{job}_0")
    cluster.wait_until_idle()
    assert store.state(trial.folder) == "unfinished", log(trial)
    planned = cluster.run(path, "--dry-run")
    assert "tiny: 1 to retry" in planned.stdout
    submitted(cluster, path)
    cluster.wait_until_idle()
    assert outcome(trial.folder) == undisturbed


def test_a_dead_node_whose_processes_live_on_gives_one_result(
    cluster: Cluster, tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    path = write_experiment(tmp_path, **LONG)
    (trial,) = trials_of(path)
    submitted(cluster, path)
    started(trial)
    twin = claims.read(trial.folder)
    assert twin is not None
    (begun,) = attempts(trial)
    try:
        cluster.kill_node(begun["node"])
        wait_for(lambda: any("PENDING" in line for line in cluster.queue()), "the requeue", 120)
        cluster.wait_until_idle()
    finally:
        cluster.mend()
    assert store.state(trial.folder) == "finished", log(trial)
    assert outcome(trial.folder) == undisturbed


def test_a_trial_that_fails_is_not_repeated_by_itself(cluster: Cluster, tmp_path: Path) -> None:
    path = write_experiment(tmp_path, train__optimizer__learning_rate=1e30)
    (trial,) = trials_of(path)
    submitted(cluster, path)
    cluster.wait_until_idle()
    assert codes(trial) == [1]
    assert store.state(trial.folder) == "failed"
    assert "NonFiniteError" in log(trial)


def test_attempts_are_bounded(cluster: Cluster, tmp_path: Path) -> None:
    cluster.write_profile(attempts=1)
    path = write_experiment(tmp_path, **LONG)
    (trial,) = trials_of(path)
    told_that_its_time_ends(cluster, path, trial)
    assert codes(trial) == [75]
    assert "no attempt left" in log(trial)
    assert store.state(trial.folder) == "unfinished"


def test_more_trials_than_an_array_holds_are_several_arrays(cluster: Cluster, tmp_path: Path) -> None:
    path = write_experiment(tmp_path, seeds=list(range(230)))
    planned = cluster.run(path, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert re.findall(r"--array=0-(\d+)", planned.stdout) == ["100", "100", "27"]
    assert "tiny: 230 new" in planned.stdout
    assert not (tmp_path / "runs").exists()
    assert cluster.queue() == []


def test_the_throttle_bounds_how_many_run_at_a_time(cluster: Cluster, tmp_path: Path) -> None:
    cluster.write_profile(throttle=1)
    path = write_experiment(tmp_path, **FOUR, train__max_steps=2)
    submitted(cluster, path)
    most = 0

    def ended() -> bool:
        nonlocal most
        running = [line for line in cluster.queue() if " RUNNING " in line and "report" not in line]
        most = max(most, len(running))
        return not cluster.queue()

    wait_for(ended, "the end", 600)
    assert most == 1
    assert all(store.state(trial.folder) == "finished" for trial in trials_of(path))


def test_a_second_call_while_trials_run_submits_only_what_is_new(cluster: Cluster, tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **LONG)
    submitted(cluster, path)
    started(trials_of(path)[0], 1)
    wider = write_experiment(tmp_path, **LONG, seeds=[0, 1])
    ran = cluster.run(wider)
    assert "tiny: 1 running, 1 new" in ran.stdout, ran.stdout + ran.stderr
    assert "submitted 1 trial as" in ran.stdout
    assert (Place.of(load(wider)).tables / "2.txt").read_text() == f"{trials_of(wider)[1].id}\n"


def test_what_sbatch_refuses_is_told_in_its_own_words(cluster: Cluster, tmp_path: Path) -> None:
    cluster.write_profile(partition="nowhere")
    ran = cluster.run(write_experiment(tmp_path))
    assert ran.returncode == 1
    assert "sbatch refused" in ran.stderr
    assert "invalid partition specified: nowhere" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_job_around_the_launcher_does_not_reach_the_trials(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_CPU_BIND", "quiet,mask_cpu:0x1")
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    path = write_experiment(tmp_path, train__max_steps=1)
    submitted(cluster, path)
    cluster.wait_until_idle()
    assert store.state(trials_of(path)[0].folder) == "finished"


def test_an_edit_of_the_experiment_changes_no_trial_that_waits(cluster: Cluster, tmp_path: Path) -> None:
    path = write_experiment(tmp_path, train__max_steps=2)
    (trial,) = trials_of(path)
    for node in ("n1", "n2", "n3", "n4"):
        cluster.call("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    try:
        submitted(cluster, path)
        write_experiment(tmp_path, train__max_steps=3)
    finally:
        for node in ("n1", "n2", "n3", "n4"):
            cluster.call("scontrol", "update", f"NodeName={node}", "State=RESUME")
    cluster.wait_until_idle()
    assert store.events(trial.folder)[-1]["step"] == 2
