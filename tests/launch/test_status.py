"""What `segsuite status` tells of an experiment on a cluster, from run directories and a listing of squeue."""

import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from segsuite.cli import main
from segsuite.commands import status_text
from segsuite.errors import SegsuiteError
from segsuite.experiment import load
from segsuite.io import atomic, store
from segsuite.launch.freeze import freeze, freeze_all
from segsuite.launch.slurm import queue
from segsuite.launch.status import Status
from tests.launch.queues import HELD, RUNS, WAITS, Cluster
from tests.reliability.trials import REPOSITORY, kill, start, write_experiment
from tests.results import whole_result


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(load(write_experiment(tmp_path, seeds=[0, 1, 2])), monkeypatch)


def look(cluster: Cluster) -> dict[str, Any]:
    return Status(cluster.experiment).look()


def test_an_experiment_that_was_not_submitted_asks_nothing(tmp_path: Path) -> None:
    found = Status(load(write_experiment(tmp_path))).look()
    assert found["cluster"] is None


def test_what_the_queue_knows_is_told_of_each_trial(cluster: Cluster) -> None:
    cluster.has(WAITS, RUNS, HELD)
    waits, runs, held = look(cluster)["trials"]
    assert (waits["state"], waits["waits_for"]) == ("queued", "other jobs come first")
    assert (runs["state"], runs["node"], runs["job"]) == ("running", "n3", "7_1")
    assert runs["elapsed_seconds"] == pytest.approx(65, abs=5)
    assert (held["state"], held["waits_for"]) == ("held", "held by its user")


def test_a_trial_whose_claim_is_stale_runs_while_its_task_does(cluster: Cluster) -> None:
    trial = cluster.experiment.trials[0]
    claim = freeze(trial) / "claim.json"
    atomic.write_json(claim, {"host": "another", "pid": 1, "boot": "", "time": 0})
    os.utime(claim, (0, 0))
    assert store.state(trial.folder) == "new"
    cluster.has(RUNS)
    assert look(cluster)["trials"][0]["state"] == "running"


def test_a_result_counts_more_than_a_task_that_is_still_there(cluster: Cluster) -> None:
    atomic.write_json(freeze(cluster.experiment.trials[0]) / "result.json", whole_result())
    cluster.has(RUNS)
    assert look(cluster)["trials"][0]["state"] == "finished"


@pytest.mark.parametrize(("ago", "state"), [(10, "failed"), (3600, "running")])
def test_a_failure_is_shown_unless_it_is_of_an_earlier_attempt(cluster: Cluster, ago: float, state: str) -> None:
    trial = cluster.experiment.trials[0]
    record = {"kind": "Died", "reason": "x", "time": time.time() - ago}
    atomic.write_json(freeze(trial) / "failure.json", record)
    cluster.has(RUNS)  # for 65 s
    assert look(cluster)["trials"][0]["state"] == state


def test_all_looks_of_thirty_seconds_share_one_call_of_squeue(cluster: Cluster) -> None:
    for _ in range(3):
        look(cluster)
    assert cluster.calls == 1


def test_a_look_after_a_change_of_the_queue_asks_again(cluster: Cluster) -> None:
    look(cluster)
    queue.forget_look(cluster.experiment.folder)
    look(cluster)
    assert cluster.calls == 2


def test_what_is_held_and_why_is_shown(cluster: Cluster) -> None:
    atomic.write_json(cluster.place.folder / "slurm" / "held.json", {"reason": "the first 3 failed alike"})
    found = look(cluster)
    assert found["cluster"]["held"]["reason"] == "the first 3 failed alike"
    assert "held: the first 3 failed alike; mend it, then call `segsuite retry`" in status_text.lines(found)


def test_trials_with_smaller_batches_are_marked(cluster: Cluster) -> None:
    atomic.write_json(freeze(cluster.experiment.trials[1]) / "smaller_batch.json", {})
    found = look(cluster)
    assert [trial["smaller_batch"] for trial in found["trials"]] == [False, True, False]
    assert [("smaller batch" in line) for line in status_text.lines(found)[1:4]] == [False, True, False]


def test_the_age_and_the_reasons_of_the_queue_are_shown(cluster: Cluster) -> None:
    cluster.has(WAITS, WAITS, RUNS)
    (line,) = [line for line in status_text.lines(look(cluster)) if line.startswith("queue")]
    assert line == "queue as of 0 s ago: 1 running, 2 queued (2 other jobs come first)"


def test_without_squeue_the_run_directories_are_told_and_that_it_is_so(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    atomic.write_json(freeze(cluster.experiment.trials[0]) / "result.json", whole_result())
    found = look(cluster)
    assert found["counts"]["finished"] == 1
    (line,) = [line for line in status_text.lines(found) if line.startswith("the queue")]
    assert line == (
        "the queue is not known: there is no program squeue on this machine; shown is what the run directories say"
    )


def test_while_squeue_refuses_its_last_answer_is_used_for_ten_minutes(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.has(WAITS)
    look(cluster)

    def refuse(words: list[str], patience: float) -> str:
        raise SegsuiteError("squeue gave no answer for 15 s")

    monkeypatch.setattr(queue, "call", refuse)
    path, now = cluster.place.folder / "slurm" / "squeue.json", time.time()
    for age, state in ((60, "queued"), (601, "new")):
        kept = json.loads(path.read_text())
        atomic.write_json(path, kept | {"asked": 0, "time": now - age})
        found = look(cluster)
        assert found["trials"][0]["state"] == state
        assert found["cluster"]["queue"]["problem"] == "squeue gave no answer for 15 s"
        assert (found["cluster"]["queue"]["age_seconds"] is None) == (state == "new")


def test_attempts_tell_the_cost(cluster: Cluster) -> None:
    trial = cluster.experiment.trials[0]
    lines = [
        {"job": "7_0", "restart": 0, "begin": 1000, "gpus": 2},
        {"job": "7_0", "restart": 0, "end": 4600, "code": 75},
        {"job": "7_0", "restart": 1, "begin": 5000, "gpus": 2},
        {"job": "7_0", "restart": 1, "end": 6800, "code": 1},
    ]
    (freeze(trial) / "attempts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = look(cluster)
    assert found["trials"][0]["attempts"] == 2
    (line,) = [line for line in status_text.lines(found) if line.startswith("cost")]
    assert line == (
        "cost (attempts.jsonl): 2 attempts, 1 h 30 min, at most 50 % of the attempts and 33 % of the time lost "
        "(1 failure); 3.0 GPU-hours, at most 33 % of them lost"
    )


def test_one_attempt_without_an_end_is_told_as_one(cluster: Cluster) -> None:
    trial = cluster.experiment.trials[0]
    (freeze(trial) / "attempts.jsonl").write_text('{"job": "7_0", "restart": 0, "begin": 1000, "gpus": 2}\n')
    text = "\n".join(status_text.lines(look(cluster)))
    assert "1 attempt" in text
    assert "1 attempts" not in text


def test_json_has_everything_and_a_trial_a_line(cluster: Cluster) -> None:
    cluster.has(WAITS, RUNS)
    found = look(cluster)
    text = status_text.as_json(found)
    assert json.loads(text) == json.loads(json.dumps(found))
    assert sum(line.lstrip().startswith('{"id"') for line in text.splitlines()) == 3


def test_a_small_window_shows_what_is_urgent_and_how_much_more_there_is(cluster: Cluster) -> None:
    atomic.write_json(freeze(cluster.experiment.trials[0]) / "result.json", whole_result())
    cluster.has("", WAITS, RUNS)
    shown = status_text.lines(look(cluster), most_rows=2)
    assert [line.split()[0] for line in shown[1:3]] == [trial.id for trial in cluster.experiment.trials[1:]]
    assert shown[3] == "... and 1 more"


def test_watching_ends_when_all_have_ended(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    for trial in cluster.experiment.trials:
        atomic.write_json(freeze(trial) / "result.json", whole_result())
    assert main(["status", str(cluster.experiment.path), "--watch"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("3 finished, in ")


def test_watching_into_a_pipe_prints_a_line_again_only_when_it_has_changed(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *rest = cluster.experiment.trials
    for trial in rest:
        atomic.write_json(freeze(trial) / "result.json", whole_result())
    monkeypatch.setattr("time.sleep", lambda _: atomic.write_json(freeze(first) / "result.json", whole_result()))
    main(["status", str(cluster.experiment.path), "--watch"])
    shown = capsys.readouterr().out
    assert [shown.count(trial.id) for trial in cluster.experiment.trials] == [2, 1, 1]


def test_ctrl_c_ends_watching_without_a_traceback(tmp_path: Path) -> None:
    process = start("segsuite", "status", write_experiment(tmp_path), "--watch", stdin=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("id")
        process.send_signal(2)
        _, errors = process.communicate(timeout=60)
    finally:
        kill(process)
    assert (process.returncode, errors) == (0, "")


def test_on_a_terminal_it_is_redrawn_in_place(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich import console

    terminal = console.Console(file=io.StringIO(), force_terminal=True, width=100, height=30, color_system=None)
    monkeypatch.setattr(console, "Console", lambda **_: terminal)
    first, *rest = cluster.experiment.trials
    for trial in rest:
        atomic.write_json(freeze(trial) / "result.json", whole_result())
    monkeypatch.setattr("time.sleep", lambda _: atomic.write_json(freeze(first) / "result.json", whole_result()))
    status_text.watch(Status(cluster.experiment), as_lines_of_json=False)
    assert isinstance(terminal.file, io.StringIO)
    assert "\x1b[1A" in terminal.file.getvalue()  # the cursor goes up


COUNTER = """
import collections, json, sys
looks = collections.Counter()
def count(event, arguments):
    # `open` with an opener tells of itself and of the opener's os.open, which has no mode.
    if event in ("os.listdir", "os.scandir") or (event == "open" and arguments[1] is not None):
        looks[event] += str(arguments[0]).startswith(sys.argv[1])
sys.addaudithook(count)
from pathlib import Path
import os
stat = os.stat
def counted(path, *rest, **more):
    looks["os.stat"] += str(path).startswith(sys.argv[1])
    return stat(path, *rest, **more)
os.stat = counted
from segsuite.experiment import load
from segsuite.launch.status import Status
Status(load(Path(sys.argv[2]))).look()
print(json.dumps(looks))
"""


def test_looks_at_files_are_few_for_each_trial(tmp_path: Path) -> None:
    """On a network file system they are what a status of thousands of trials waits for."""
    path = write_experiment(tmp_path, seeds=list(range(200)))
    trials = load(path).trials
    begun = trials[:150]
    freeze_all(begun)
    for trial in trials[:50]:
        atomic.write_json(trial.folder / "result.json", whole_result())
    for trial in trials[50:100]:
        store.record_failure(trial.folder, "Died", "x")
    root = str(tmp_path / "runs")
    ran = subprocess.run(
        [sys.executable, "-c", COUNTER, root, str(path)], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    looks = Counter(json.loads(ran.stdout))
    assert looks["os.listdir"] == 1 + len(begun)
    assert looks["open"] == 100  # results and failures
    assert 50 <= looks["os.stat"] <= 60  # which log a failed trial has, and whether the experiment was submitted
