"""`segsuite status` beside a real queue."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.trials import segsuite, trials_of, wait_for, write_experiment
from tests.slurm.cluster import Cluster, submitted

pytestmark = pytest.mark.slow


def status(path: Path) -> dict[str, Any]:
    ran = segsuite("status", path, "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert isinstance(found, dict)
    return found


def test_trials_are_seen_to_wait_to_run_and_to_end_and_what_they_cost(cluster: Cluster, tmp_path: Path) -> None:
    cluster.write_profile(throttle=1, gpus_per_node=1)
    path = write_experiment(tmp_path, seeds=[0, 1], train__epochs=2)
    job = submitted(cluster, path)
    one, two = trials_of(path)
    wait_for(lambda: (one.folder / "events.jsonl").exists(), "the first epoch", 300)
    found = status(path)
    runs, waits = found["trials"]
    assert (runs["state"], runs["job"], runs["node"][0]) == ("running", f"{job}_0", "n")
    assert (waits["state"], waits["waits_for"]) == ("queued", "throttle of the profile")
    assert found["cluster"]["queue"]["problem"] is None
    # What was asked is shared: a second look within 30 s has the first one's answer.
    kept = (one.folder.parent / "slurm" / "squeue.json").read_text()
    assert status(path)["cluster"]["queue"]["running"] == 1
    assert (one.folder.parent / "slurm" / "squeue.json").read_text() == kept

    cluster.wait_until_idle()
    found = status(path)
    assert found["counts"]["finished"] == 2
    cost = found["cluster"]["accounting"]
    assert (cost["source"], cost["attempts"], cost["lost_attempts"]) == ("attempts.jsonl", 2, 0)
    assert cost["seconds"] == sum(ended(trial.folder) for trial in (one, two))
    assert cost["gpu_hours"] == pytest.approx(cost["seconds"] / 3600)
    assert "accounting storage is disabled" in cost["problem"]


def ended(folder: Path) -> int:
    begin, end = (json.loads(line) for line in (folder / "attempts.jsonl").read_text().splitlines())
    return int(end["end"] - begin["begin"])
