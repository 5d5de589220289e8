"""Twenty-four trials on four nodes: launched twice at once, a node lost, preempted, told to stop; nothing is lost and
nothing runs twice."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segsuite.experiment import Trial
from segsuite.io import claims, store
from tests.reliability.trials import kill, outcome, saved_step, segsuite, trials_of, wait_for, write_experiment
from tests.slurm.cluster import Cluster, attempts

pytestmark = pytest.mark.slow
TWENTY_FOUR: dict[str, Any] = {
    "compare": {"train.optimizer.learning_rate": [1e-3, 2e-3, 4e-3], "train.accumulate": [1, 2]},
    "seeds": [0, 1, 2, 3],
    "train__epochs": 8,  # long enough to be hit
}


def under_way(trials: tuple[Trial, ...]) -> list[Trial]:
    """Those that have trained a while and are still at it."""
    return [trial for trial in trials if store.state(trial.folder) == "running" and saved_step(trial.folder) >= 4]


def busy(cluster: Cluster, trials: tuple[Trial, ...], lost: str = "") -> tuple[Trial, str] | None:
    """A trial that is under way, and that SLURM holds for running, not on the lost node, and its node; or None."""
    running = cluster.call("squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i").split()
    found = [(trial, attempts(trial)[-1]) for trial in under_way(trials)]
    fit = [(trial, note["node"]) for trial, note in found if note["node"] != lost and note["job"] in running]
    return fit[0] if fit else None


def told_to_stop(cluster: Cluster, trials: tuple[Trial, ...], lost: str) -> tuple[Trial, str] | None:
    """The same, sent what SLURM sends before the time ends (scancel waits a minute while a node is lost); None where
    there is none, or where it ended before the signal could be sent."""
    found = busy(cluster, trials, lost)
    holder = claims.read(found[0].folder) if found else None
    if holder is None:
        return None
    try:
        os.kill(holder["pid"], signal.SIGUSR1)
    except ProcessLookupError:
        return None
    return found


class Night:
    """What happened when, in seconds."""

    def __init__(self) -> None:
        self._began = time.time()
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(f"{time.time() - self._began:6.0f} s  {text}")


def once(what: Callable[[], tuple[Trial, str] | None], description: str) -> tuple[Trial, str]:
    """What `what` says as soon as it says anything."""
    found: list[tuple[Trial, str]] = []

    def looked() -> bool:
        said = what()
        found.extend([said] if said is not None else [])
        return bool(found)

    wait_for(looked, description, 300)
    return found[0]


def test_a_bad_night_leaves_each_trial_one_result_with_the_bits_of_an_undisturbed_run(
    cluster: Cluster, tmp_path: Path
) -> None:
    quiet, path = write_experiment(tmp_path / "quiet", **TWENTY_FOUR), write_experiment(tmp_path, **TWENTY_FOUR)
    undisturbed, trials = trials_of(quiet), trials_of(path)
    assert segsuite("run", quiet, "--workers", "2").returncode == 0

    cluster.write_profile(partition="low", cpus=2)
    night = Night()
    launchers = [cluster.start(path), cluster.start(path)]
    try:
        said = sorted(launcher.communicate(timeout=300)[0].splitlines()[-1] for launcher in launchers)
    finally:
        for launcher in launchers:
            kill(launcher)
    night.note(f"two launchers at once: {said}")
    assert [launcher.returncode for launcher in launchers] == [0, 0]
    assert sum("nothing to submit" in line for line in said) == 1

    _, lost = once(lambda: busy(cluster, trials), "a trial under way")
    cluster.kill_node(lost)
    night.note(f"node {lost} is lost, its processes live on")
    _, preempted = once(lambda: busy(cluster, trials, lost), "a trial under way elsewhere")
    urgent = ("sbatch", "--partition=urgent", f"--nodelist={preempted}", "--exclusive", "--output=/dev/null")
    cluster.call(*urgent, "--wrap=sleep 3")
    night.note(f"node {preempted} is wanted by an urgent job: its trials are preempted")
    wait_for(lambda: sum(store.state(trial.folder) == "finished" for trial in trials) >= 8, "eight results", 600)
    told, _ = once(lambda: told_to_stop(cluster, trials, lost), "a trial under way that can be told to stop")
    night.note(f"the trial {told.id} is told that its time ends")
    cluster.mend()
    night.note(f"node {lost} is back")
    cluster.wait_until_idle()
    night.note("the queue is empty")

    noted = [note for trial in trials for note in attempts(trial)]
    begun = sum("begin" in note for note in noted)
    codes = Counter(note["code"] for note in noted if "code" in note)
    requeued = sum(note["restart"] > 0 for note in noted if "begin" in note)
    night.note(
        f"{begun} attempts for {len(trials)} trials, {requeued} of them after a requeue; exit codes {dict(codes)}"
    )
    night.lines += segsuite("status", path).stdout.splitlines()[-4:]
    print("\n".join(night.lines))
    assert [store.state(trial.folder) for trial in trials] == ["finished"] * 24
    assert begun > 24
    tables = (tmp_path / "runs" / "tiny" / "slurm" / "tables").iterdir()
    submitted = [trial for table in tables for trial in table.read_text().split()]
    assert sorted(submitted) == sorted(trial.id for trial in trials)  # none twice
    assert (tmp_path / "runs" / "tiny" / "report" / "report.html").exists()
    for trial, calm in zip(trials, undisturbed, strict=True):
        assert outcome(trial.folder) == outcome(calm.folder), trial.arm
