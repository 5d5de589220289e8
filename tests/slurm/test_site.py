"""What a person asks of a real cluster: the doctor, estimates, and a way out when all trials fail alike."""

import json
import re
import sys
from pathlib import Path

import pytest

from segsuite.experiment import load
from segsuite.io import store
from segsuite.launch.slurm import hold
from segsuite.launch.slurm.arrays import Place
from tests.reliability.trials import kill, segsuite, start, trials_of, wait_for, write_experiment
from tests.results import whole_result
from tests.slurm.cluster import Cluster

pytestmark = pytest.mark.slow
SHORT = {"train__epochs": 1, "train__max_steps": 1}
ON_SLURM = ("--on", "slurm", "--profile")


def broken_python(folder: Path) -> Path:
    """A Python with which no trial begins, as long as folder/broken is there."""
    (folder / "broken").write_text("")
    script = folder / "python"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *segsuite.trial*) [ -e {folder}/broken ] && {{\n'
        "    echo \"ModuleNotFoundError: No module named 'lightly'\" >&2; exit 1; }; esac\n"
        f'exec {sys.executable} "$@"\n'
    )
    script.chmod(0o755)
    return script


def test_an_array_whose_first_trials_fail_alike_is_held_until_it_is_retried_with_the_mended_code(
    cluster: Cluster, tmp_path: Path
) -> None:
    # Two arrays, the second of which waits for the first.
    cluster.write_profile(throttle=1, array_size=6, python=str(broken_python(tmp_path)))
    path = write_experiment(tmp_path, **SHORT, seeds=list(range(8)))
    trials, place = trials_of(path), Place.of(load(path))
    assert cluster.run(path).returncode == 0
    wait_for(lambda: hold.read(place.folder), "slurm/held.json", 60)
    wait_for(lambda: not any(" RUNNING " in line or " COMPLETING " in line for line in cluster.queue()), "the hold", 60)
    assert [store.state(trial.folder) for trial in trials] == ["failed"] * 3 + ["new"] * 5
    assert sum("JobHeld" in line for line in cluster.queue()) == 3

    reason = "3 trials failed in the same way: the job ended with code 1 before Python began"
    assert f"held: {reason}" in segsuite("why", path).stdout
    refused = cluster.run(path)
    assert refused.returncode == 1
    assert f"5 tasks held: {reason}" in refused.stderr

    (tmp_path / "broken").unlink()
    one = segsuite("retry", path, trials[3].id, *ON_SLURM, cluster.profile)
    assert "submitted 1 trial as" in one.stdout, one.stdout + one.stderr
    assert sum("JobHeld" in line for line in cluster.queue()) == 2
    wait_for(lambda: store.state(trials[3].folder) == "finished", "the trial that was tried again", 120)
    rest = segsuite("retry", path, *ON_SLURM, cluster.profile)
    assert "to retry: 3 failed: the job ended with code 1 before Python began" in rest.stdout, rest.stdout + rest.stderr
    assert "ModuleNotFoundError: No module named 'lightly'" in rest.stdout
    assert "now: 4 tasks" in rest.stdout
    assert "submitted 7 trials as" in rest.stdout
    assert hold.read(place.folder) is None
    assert not any("JobHeld" in line for line in cluster.queue())


def test_who_keeps_going_is_not_held(cluster: Cluster, tmp_path: Path) -> None:
    cluster.write_profile(throttle=2, python=str(broken_python(tmp_path)))
    path = write_experiment(tmp_path, **SHORT, seeds=list(range(4)))
    assert cluster.run(path, "--keep-going").returncode == 0
    cluster.wait_until_idle()
    assert [store.state(trial.folder) for trial in trials_of(path)] == ["failed"] * 4


def test_the_estimate_has_a_start_and_the_hours_of_finished_neighbours(cluster: Cluster, tmp_path: Path) -> None:
    cluster.write_profile(gres="gpu:fake:2")
    path = write_experiment(tmp_path, seeds=[0, 1, 2])
    before = cluster.run(path, "--test-only").stdout
    assert "cost of 3 trials: unknown: no trial has finished yet" in before
    assert re.search(r"start: expected at 20\d\d-\S+, using 1 processors on nodes n1", before)
    assert "sbatch --parsable" not in before
    store.RunDirectory(trials_of(path)[0].folder).folder.mkdir(parents=True)
    store.RunDirectory(trials_of(path)[0].folder).finish(whole_result(cost={"attempt_seconds": 1800}))
    after = cluster.run(path, "--dry-run").stdout
    assert "cost of 2 trials: 1 h in all, 2 GPU-hours, 30 min 00 s each (median of 1 finished trial)" in after
    assert cluster.queue() == []


def test_cancel_says_what_it_cancelled(cluster: Cluster, tmp_path: Path) -> None:
    cluster.write_profile(throttle=1)
    path = write_experiment(tmp_path, train__epochs=200, seeds=[0, 1, 2])
    cluster.run(path)
    first, second, _ = trials_of(path)
    wait_for(lambda: store.state(first.folder) == "running", "the first trial", 60)
    one = segsuite("cancel", path, second.id[:6])
    assert one.stdout == "cancelled 1 trial that waited; `segsuite run` submits what is left\n"
    rest = segsuite("cancel", path)
    assert rest.stdout == (
        "cancelled 1 trial that ran (each saves first), 1 trial that waited, the report; "
        "`segsuite run` submits what is left\n"
    )
    cluster.wait_until_idle()
    assert segsuite("cancel", path).stdout == "nothing to cancel: no task is queued\n"


def test_logs_are_followed_across_a_requeue(cluster: Cluster, tmp_path: Path) -> None:
    path = write_experiment(tmp_path, train__epochs=4)
    (trial,) = trials_of(path)
    cluster.run(path)
    wait_for(lambda: store.events(trial.folder), "an epoch", 120)
    (task,) = [line.split()[0] for line in cluster.queue() if "report" not in line]
    follower = start("segsuite", "logs", path, trial.id, "--follow")
    try:
        cluster.call("scancel", "--signal=USR1", task)
        wait_for(lambda: any("BeginTime" in line for line in cluster.queue()), "the requeue", 60)
        assert follower.poll() is None

        def ended() -> bool:
            cluster.release()
            return follower.poll() is not None

        wait_for(ended, "the end of the log", 300)
        output, errors = follower.communicate(timeout=90)
    finally:
        kill(follower)
    assert follower.returncode == 0
    assert "requeue of" in output
    assert f"[waiting for {trial.id}: " in errors


def doctor(cluster: Cluster, *words: str | Path) -> list[dict[str, str]]:
    done = segsuite("doctor", "--profile", cluster.profile, "--json", *words)
    assert done.returncode in (0, 1), done.stderr
    found = [dict(check) for check in json.loads(done.stdout)]
    assert done.returncode == any(check["level"] == "problem" for check in found)
    return found


def test_the_doctor_finds_a_good_site_good_also_from_a_node(cluster: Cluster, tmp_path: Path) -> None:
    found = doctor(cluster, write_experiment(tmp_path), "--on-node")
    assert not [check for check in found if check["level"] != "ok" and check["name"] != "shared folder"]
    said = {check["name"]: check["found"] for check in found}
    assert said["limits"] == "MaxArraySize 101, MaxJobCount 20000; 1 trial in 1 array"
    assert [name.partition(", ")[2] for name in said if name.startswith("node ")] == ["", "locks", "clock", "torch"]
    assert cluster.queue() == []
    assert not list(tmp_path.glob("**/.doctor-*"))


def test_the_doctor_names_each_thing_that_the_site_will_not_do(cluster: Cluster) -> None:
    cluster.write_profile(partition="main,nowhere", time="02:00:00", gpus_per_node="a100:1")
    problems = [check for check in doctor(cluster) if check["level"] == "problem"]
    assert [(check["name"], check["found"].partition(";")[0]) for check in problems[:3]] == [
        ("partition", "main: UP, at most 01:00:00 a job, 4 nodes"),
        ("partition", "there is no nowhere"),
        ("GPU of a job", "the profile asks for gpu:a100:1, nodes have gpu:fake:2"),
    ]
    assert [check["name"] for check in problems[3:]] == ["sbatch --test-only"]
    assert problems[0]["advice"] == 'set time: "01:00:00"'
    assert "invalid partition specified" in problems[3]["found"]


def test_the_doctor_tells_why_its_job_on_a_node_failed(cluster: Cluster) -> None:
    cluster.write_profile(python="/no/python")
    (found,) = [check for check in doctor(cluster, "--on-node") if check["name"] == "node"]
    assert found["level"] == "problem"
    assert "execve(): /no/python: No such file" in found["found"]
