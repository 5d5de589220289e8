"""segsuite.trial.threads: how many CPU threads a trial takes, and what is said of it."""

from pathlib import Path

import pytest

from segsuite.config import Execution
from segsuite.io import atomic, cpu_load
from segsuite.io.store import RunDirectory
from segsuite.trial import threads
from segsuite.trial.threads import Threads, choose_threads, threads_so_far


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "cores", lambda: 8)
    monkeypatch.setattr(cpu_load, "cores", lambda: 8)
    monkeypatch.setattr(cpu_load, "bound_cores", lambda: set(range(8)))


def never() -> float:
    raise AssertionError("the machine was looked at")


def test_alone_on_an_idle_machine_a_trial_has_all_cores() -> None:
    assert choose_threads(Execution(), "cpu", busy=lambda: 0.2) == Threads(8)


def test_on_a_loaded_machine_it_takes_what_is_free_and_says_so() -> None:
    found = choose_threads(Execution(), "cpu", busy=lambda: 5.1)
    assert found.number == 3
    assert found.note is not None
    assert "takes 3 CPU threads of 8" in found.note
    assert "5.1 cores busy" in found.note
    assert found.warning is None
    assert choose_threads(Execution(), "cpu", busy=lambda: 30.0).number == 1


def test_what_a_person_or_a_launcher_has_given_is_taken_without_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_threads(Execution(threads=5), "cpu", busy=never) == Threads(5)
    assert choose_threads(Execution(), "cuda", busy=never) == Threads(8)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert choose_threads(Execution(), "cpu", busy=never) == Threads(2)
    assert choose_threads(Execution(threads=5), "cpu", busy=never) == Threads(5)


def test_a_continued_training_keeps_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the machine is idle now, or its launcher would give more: other sums, other bits."""
    found = choose_threads(Execution(), "cpu", earlier=3, busy=never)
    assert (found.number, found.warning) == (3, None)
    assert found.note == "continues with the 3 CPU threads it began with, of 8"
    assert choose_threads(Execution(), "cpu", earlier=8, busy=never) == Threads(8)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert choose_threads(Execution(), "cpu", earlier=3, busy=never).number == 3


def test_where_it_cannot_keep_it_a_warning_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = choose_threads(Execution(), "cpu", earlier=16, busy=never)
    assert found.number == 8
    assert found.warning is not None
    assert found.warning.startswith("continued with 8 CPU threads instead of 16: the numbers differ")
    chosen = choose_threads(Execution(threads=1), "cpu", earlier=2, busy=never)
    assert chosen.number == 1
    assert chosen.warning is not None
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert choose_threads(Execution(), "cpu", earlier=2, busy=never).warning is not None
    assert choose_threads(Execution(), "cuda", earlier=2, busy=never).warning is None


def test_the_number_is_that_of_the_training_to_be_continued(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    atomic.write_json(tmp_path / "manifest.json", {"hardware": {"device": "cpu", "threads": 3}})
    assert threads_so_far(run) is None  # nothing was saved: it begins anew
    run.last_checkpoint.parent.mkdir()
    run.last_checkpoint.write_bytes(b"")
    assert threads_so_far(run) == 3
    atomic.write_json(tmp_path / "manifest.json", {"hardware": {"device": "cuda", "threads": 3}})
    assert threads_so_far(run) is None
    (tmp_path / "manifest.json").unlink()
    assert threads_so_far(run) is None
