"""segsuite.io: a file server that is away for a moment, files that cannot be read, and files that are damaged."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segsuite.errors import ConfigError, SegsuiteError
from segsuite.io import atomic, claims, reading, store, trial_warnings
from tests.results import whole_result

Flaky = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("segsuite.io.reading.time.sleep", waited.append)
    monkeypatch.setattr(reading, "_waited", 0.0)
    return waited


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Flaky:
    """Lets each named function of `os`, or `open`, fail `times` times for a path whose name begins so."""

    def making(name: str, times: int, begin: str = "", number: int = errno.ESTALE) -> list[str]:
        real: Any = open if name == "open" else getattr(os, name)
        failed: list[str] = []

        def fails(path: Any, *rest: Any, **more: Any) -> Any:
            if len(failed) < times and not isinstance(path, int) and Path(path).name.startswith(begin):
                failed.append(str(path))
                raise OSError(number, os.strerror(number), str(path))
            return real(path, *rest, **more)

        if name == "open":
            monkeypatch.setattr("builtins.open", fails)
        else:
            monkeypatch.setattr(os, name, fails)
        return failed

    return making


TRANSIENT = [errno.ESTALE, errno.EIO, errno.EAGAIN, errno.ETIMEDOUT]


@pytest.mark.parametrize("number", TRANSIENT, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["listdir", "open"])
def test_a_finished_trial_stays_finished_while_its_server_is_away(
    flaky: Flaky, tmp_path: Path, call: str, number: int
) -> None:
    store.RunDirectory(tmp_path).finish(whole_result())
    failed = flaky(call, 3, "result" if call == "open" else "", number)
    assert store.state(tmp_path) == "finished"
    assert len(failed) == 3


def test_one_whose_server_stays_away_is_not_taken_for_new(
    flaky: Flaky, tmp_path: Path, no_waiting: list[float]
) -> None:
    store.RunDirectory(tmp_path).finish(whole_result())
    flaky("listdir", 10**9)
    look = store.look(tmp_path)
    assert look.state == "unreadable"
    assert "Stale file handle" in look.why
    assert 3 < sum(no_waiting) < 10


def test_a_thousand_trials_on_a_server_that_is_gone_take_a_minute(
    flaky: Flaky, tmp_path: Path, no_waiting: list[float]
) -> None:
    flaky("listdir", 10**9)
    for _ in range(1000):
        assert store.state(tmp_path) == "unreadable"
    assert sum(no_waiting) < reading.MOST_WAITED + sum(reading.WAITS)


@pytest.mark.parametrize("call", ["replace", "fsync", "open"])
def test_what_is_written_arrives_once(flaky: Flaky, tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = _failing_fsync(monkeypatch, 3) if call == "fsync" else flaky(call, 3)
    atomic.write_json(tmp_path / "a.json", {"a": 1})
    assert len(failed) == 3
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_line_is_added_once_although_the_disk_said_no_after_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    atomic.append_line(path, "first")
    failed = _failing_fsync(monkeypatch, 3)
    atomic.append_line(path, "second")
    assert len(failed) == 3
    assert path.read_text() == "first\nsecond\n"


def test_a_claim_that_was_made_although_the_server_said_no_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, said = os.link, []

    def made_and_lost(source: Any, target: Any) -> None:
        link(source, target)
        if not said:
            said.append(1)
            raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "link", made_and_lost)
    with claims.claim(tmp_path) as held:
        held.check()
        assert not atomic.create_exclusively(tmp_path / claims.NAME, b"another")


def test_a_holder_checks_its_claim_through_a_short_absence(flaky: Flaky, tmp_path: Path) -> None:
    with claims.claim(tmp_path) as held:
        failed = flaky("open", 3, "claim")
        held.check()
        assert len(failed) == 3


def test_a_holder_that_cannot_know_stops_writing(flaky: Flaky, tmp_path: Path) -> None:
    with claims.claim(tmp_path) as held:
        flaky("open", 10, "claim")
        with pytest.raises(claims.ClaimLost, match="is not known"):
            held.check()


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
def test_what_waiting_does_not_mend_is_said_at_once(
    flaky: Flaky, tmp_path: Path, number: int, no_waiting: list[float]
) -> None:
    flaky("replace", 1, number=number)
    with pytest.raises((SegsuiteError, ConfigError)):
        atomic.write_text(tmp_path / "a", "")
    assert no_waiting == []


def test_a_damaged_line_is_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(
        b'{"epoch": 0, "loss": 1.0}\n{"epoch": 1, "arm": "\xff"}\n{"epoch": "two"}\n{"epoch": 3, "miou": NaN}\n[4]\n'
        b'{"epoch": 5, "iou": {"a": "b"}}\n{"epoch": 6}\n{"epoch": 7, "lo'
    )
    events, damage = store.events_and_damage(tmp_path)
    assert [event["epoch"] for event in events] == [0, 6]
    assert damage == "events.jsonl: 5 lines cannot be read, and left out"


def test_warnings_and_their_length_are_bounded(tmp_path: Path) -> None:
    for number in range(1000):
        trial_warnings.note(tmp_path, f"step {number} " + "x" * 10_000)
    found = trial_warnings.noted(tmp_path)
    assert len(found) == trial_warnings.MOST_WARNINGS + 1
    assert "further ones are not kept" in found[-1]
    assert (tmp_path / trial_warnings.FILE).stat().st_size < 300_000


def test_a_record_of_gigabytes_is_not_read_into_memory(tmp_path: Path) -> None:
    with open(tmp_path / "result.json", "wb") as file:
        file.truncate(10 * 1024**3)
    assert store.look(tmp_path).why == "result.json is damaged: it has more than 256 MiB"
    assert store.read_json(tmp_path / "result.json") is None


def test_what_is_set_aside_is_kept(tmp_path: Path) -> None:
    for text in ("one", "two"):
        (tmp_path / "result.json").write_text(text)
        atomic.set_aside(tmp_path / "result.json")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "result.json.damaged": "one",
        "result.json.damaged-2": "two",
    }
    assert atomic.set_aside(tmp_path / "result.json") is None


def _failing_fsync(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    real, failed = os.fsync, list[str]()

    def fails(descriptor: int) -> None:
        if len(failed) < times:
            failed.append(str(descriptor))
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    return failed


def test_a_pipe_in_the_place_of_a_record_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "result.json")
    with pytest.raises(ValueError, match="no file"):
        reading.read_bytes(tmp_path / "result.json")
    os.mkfifo(tmp_path / "claim.json")
    assert claims.read(tmp_path) is None


def test_successes_at_once_do_not_renew_the_patience(no_waiting: list[float]) -> None:
    def away() -> None:
        raise OSError(errno.EIO, "away")

    for _ in range(100):  # a damaged file in each of a hundred folders that can be listed
        with pytest.raises(OSError, match="away"):
            reading.patiently(away)
        reading.patiently(lambda: None)
    assert sum(no_waiting) < reading.MOST_WAITED + sum(reading.WAITS)
