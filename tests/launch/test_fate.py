"""What became of an attempt without an end: it is about to begin, was cancelled, or is gone."""

import json
import time
from pathlib import Path

import pytest

from segsuite.cli import main
from segsuite.commands import status_text
from segsuite.errors import SegsuiteError
from segsuite.experiment import Trial, load
from segsuite.launch.freeze import freeze
from segsuite.launch.slurm import cancelled, hold, queue
from segsuite.launch.status import Status
from tests.launch.queues import RUNS, WAITS, Cluster
from tests.reliability.trials import write_experiment


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(load(write_experiment(tmp_path, seeds=[0, 1, 2])), monkeypatch)


def began(trial: Trial, seconds_ago: float, job: str = "7_0") -> None:
    begin = {"job": job, "restart": 0, "node": "n3", "begin": int(time.time() - seconds_ago), "gpus": 0}
    (freeze(trial) / "attempts.jsonl").write_text(json.dumps(begin) + "\n")


def test_an_attempt_that_is_about_to_begin_has_not_lost_its_node(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = cluster.experiment.trials[0]
    began(trial, 3)
    cluster.has(RUNS)
    assert Status(cluster.experiment).look()["cluster"]["accounting"]["lost_by"] == {}
    assert main(["why", str(cluster.experiment.path), trial.id]) == 0
    assert "why: its job runs on n3, and its Python is about to begin" in capsys.readouterr().out
    assert main(["why", str(cluster.experiment.path)]) == 0
    assert capsys.readouterr().out.startswith("no trial has ended without a result")


def test_an_attempt_that_began_after_the_queue_was_asked_is_alive(cluster: Cluster) -> None:
    cluster.has(WAITS)
    Status(cluster.experiment).look()
    began(cluster.experiment.trials[0], -1)
    assert Status(cluster.experiment).look()["cluster"]["accounting"]["lost_by"] == {}


def test_what_was_cancelled_is_told_to_have_been(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, waits, _ = cluster.experiment.trials
    began(runs, 60)
    cluster.has(RUNS, WAITS)
    called = []
    monkeypatch.setattr(queue, "call", lambda words, patience=0.0: cluster.lines)
    monkeypatch.setattr(hold, "call", lambda words: called.append(words))
    assert main(["cancel", str(cluster.experiment.path)]) == 0
    assert called == [["scancel", "7"]]
    cluster.has()
    capsys.readouterr()
    found = Status(cluster.experiment).look()
    assert [trial["cancelled"] is not None for trial in found["trials"]] == [True, True, False]
    assert found["cluster"]["accounting"]["lost_by"] == {"cancelled": 1}
    assert sum("cancelled by" in line for line in status_text.lines(found)) == 2
    for trial, end in ((runs, ""), (waits, " before it began")):
        assert main(["why", str(cluster.experiment.path), trial.id]) == 0
        said = capsys.readouterr().out
        assert "why: it was cancelled by" in said
        assert (" before it began" in said) == bool(end)
    cluster.has("", WAITS)  # submitted again
    queue.forget_look(cluster.experiment.folder)
    assert Status(cluster.experiment).look()["trials"][1]["cancelled"] is None


def test_a_cancellation_that_slurm_refuses_is_none(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.has(RUNS, WAITS)

    def refuse(words: list[str]) -> None:
        raise SegsuiteError("scancel: error: Kill job error: Access/permission denied")

    monkeypatch.setattr(queue, "call", lambda words, patience=0.0: cluster.lines)
    monkeypatch.setattr(hold, "call", refuse)
    assert main(["cancel", str(cluster.experiment.path)]) == 1
    assert cancelled.read(cluster.experiment.folder) == {}
