"""What waits and what grows while trials run: looks at claims of other launchers, logs."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from segsuite.errors import ConfigError
from segsuite.experiment import load
from segsuite.io import logs, store
from segsuite.launch import local
from segsuite.launch.display import Display
from segsuite.launch.sharing import Sharing
from segsuite.launch.slots import Slot
from segsuite.launch.slurm import reconcile
from segsuite.launch.slurm.profile import Profile
from tests.reliability.trials import write_experiment
from tests.results import whole_result


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_hundred_claims_of_others_are_looked_at_every_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a slot free beside a running trial they were looked at ten times a second."""
    trials = list(load(write_experiment(tmp_path, seeds=list(range(100)))).trials)
    clock, looks = Clock(), Counter[str]()

    def look(folder: Path) -> store.Look:
        looks[folder.name] += 1
        return store.Look("running")

    monkeypatch.setattr(local, "time", clock)
    monkeypatch.setattr(store, "look", look)
    running: list[Any] = [SimpleNamespace(trial=trials[0], slot=Slot("another"))]  # a trial of our own
    asleep = local.Asleep()
    for _ in range(100):  # ten seconds
        local._fill(Sharing([Slot()]), running, trials, local.Outcome(), Display(Console(quiet=True)), None, asleep)  # type: ignore[arg-type]
        clock.sleep(local.LOOK_SECONDS)
    assert len(trials) == 100
    assert set(looks.values()) == {5}


def test_an_outage_of_a_file_server_costs_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """90 seconds of it; one that may not be read is given up at once."""
    trials = list(load(write_experiment(tmp_path, seeds=[0, 1])).trials)
    forbidden, clock = trials[1].folder, Clock()

    def look(folder: Path) -> store.Look:
        if folder == forbidden:
            return store.Look("unreadable", "no", "ask")
        return store.Look("unreadable", is_away=True) if clock.now < 1090 else store.Look("finished")

    monkeypatch.setattr(local, "time", clock)
    monkeypatch.setattr(store, "look", look)
    outcome, asleep = local.Outcome(), local.Asleep()
    while trials and clock.now < 2000:
        local._fill(Sharing([Slot()]), [], trials, outcome, Display(Console(quiet=True)), None, asleep)  # type: ignore[arg-type]
    assert (outcome.finished, outcome.unreadable, trials) == (1, 1, [])


def test_without_a_free_slot_nothing_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = list(load(write_experiment(tmp_path, seeds=list(range(50)))).trials)
    sharing = Sharing([Slot("gpu"), Slot("gpu")])
    sharing.repeat_alone(trials[0])
    running: list[Any] = [SimpleNamespace(trial=trials[1], slot=Slot("gpu"))]
    monkeypatch.setattr(store, "look", lambda folder: pytest.fail("looked"))
    local._fill(sharing, running, trials, local.Outcome(), Display(Console(quiet=True)), None, local.Asleep())  # type: ignore[arg-type]
    assert len(trials) == 50


def test_one_that_another_launcher_has_finished_is_counted_when_it_is_seen(tmp_path: Path) -> None:
    trials = list(load(write_experiment(tmp_path, seeds=[0, 1])).trials)
    for trial in trials:
        store.RunDirectory(trial.folder).finish(whole_result())
    outcome = local.Outcome()
    local._fill(Sharing([Slot()]), [], trials, outcome, Display(Console(quiet=True)), None, local.Asleep())  # type: ignore[arg-type]
    assert (outcome.finished, trials) == (2, [])


def test_a_log_that_grows_without_end_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    with open(path, "ab", buffering=0) as log:  # as a trial holds it
        for number in range(3000):
            log.write(f"line {number:06d}\n".encode())
            logs.bound(path, most=10_000, kept=1000)
        log.write(b"the end\n")
    text = path.read_text()
    assert len(text) < 10_100
    assert text.startswith("line 000000\n")
    assert text.endswith("line 002999\nthe end\n")
    assert "bytes were dropped here" in text


def test_a_short_log_and_one_that_is_not_there_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("short")
    logs.bound(tmp_path / "log.txt")
    logs.bound(tmp_path / "nothing")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"log.txt": "short"}


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_colon_in_runs_root_is_refused_for_jobs(tmp_path: Path, dry_run: bool) -> None:
    experiment = load(write_experiment(tmp_path, runs_root=str(tmp_path / "a:b")))
    with pytest.raises(ConfigError, match="a folder whose path has a `:`") as caught:
        reconcile.submit(experiment, Profile(), [], dry_run)
    assert "a:b" in caught.value.where
    assert "runs_root=" in caught.value.advice
    assert not experiment.folder.exists()


@pytest.mark.parametrize("pid", ["12", None, -1, 0, 2**70, [1], 1.5, True, "x" * 100])
def test_a_claim_with_a_pid_that_is_no_number_is_no_traceback(tmp_path: Path, pid: object) -> None:
    from segsuite.io import claims

    own = {key: value for key, value in claims._identity().items() if key != "pid"}
    (tmp_path / "claim.json").write_text(json.dumps(own | {"pid": pid}))
    assert store.state(tmp_path) == "new"
    with claims.claim(tmp_path) as held:
        held.check()
