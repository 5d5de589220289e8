"""segsuite.io.claims: one live process a run directory, whatever the others did or how they died."""

import getpass
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from segsuite.errors import ClaimError
from segsuite.io import atomic, claims, store
from tests.reliability.trials import REPOSITORY

# Waits for a common start, tries to claim every folder, and holds what it gets until all have tried.
RACER = """
import pathlib, sys, time
from segsuite.errors import ClaimError
from segsuite.io.claims import claim
root, name, racers = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
(root / f"ready-{name}").touch()
while len(list(root.glob("ready-*"))) < racers:
    time.sleep(0.001)
held, lost = [], 0
for folder in sorted(path for path in root.iterdir() if path.is_dir()):
    attempt = claim(folder)
    try:
        attempt.__enter__()
    except ClaimError:
        lost += 1
    else:
        held.append((folder.name, attempt))
(root / f"tried-{name}").touch()
print(*[folder for folder, _ in held])
while len(list(root.glob("tried-*"))) < racers:
    time.sleep(0.001)
for _, attempt in held:
    attempt.__exit__(None, None, None)
"""


def race(root: Path, racers: int) -> list[str]:
    """Folders won, over all racers."""
    command = [sys.executable, "-c", RACER, str(root)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    processes = [
        subprocess.Popen([*command, str(i), str(racers)], stdout=subprocess.PIPE, text=True, env=environment)
        for i in range(racers)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * racers
    return [name for output in outputs for name in output.split()]


def folders(root: Path, count: int) -> list[str]:
    names = [f"trial-{index:02d}" for index in range(count)]
    for name in names:
        (root / name).mkdir()
    return names


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def plant(folder: Path, age: float = 0.0, **changes: Any) -> None:
    """A claim of this process, changed."""
    with tempfile.TemporaryDirectory() as elsewhere, claims.claim(Path(elsewhere)):
        holder = {**json.loads((Path(elsewhere) / "claim.json").read_text()), **changes}
    (folder / "claim.json").write_text(json.dumps(holder))
    set_age(folder, age)


def set_age(folder: Path, age: float) -> None:
    stamp = time.time() - age
    os.utime(folder / "claim.json", (stamp, stamp))


def can_claim(folder: Path) -> bool:
    try:
        with claims.claim(folder):
            return True
    except ClaimError:
        return False


def test_eight_processes_win_each_of_25_folders_once(tmp_path: Path) -> None:
    names = folders(tmp_path, 25)
    assert sorted(race(tmp_path, 8)) == names


def test_eight_processes_take_over_each_of_25_dead_claims_once(tmp_path: Path) -> None:
    names, pid = folders(tmp_path, 25), dead_pid()
    for name in names:
        plant(tmp_path / name, pid=pid)
    assert sorted(race(tmp_path, 8)) == names


def test_the_claim_names_its_process_and_goes_with_the_body(tmp_path: Path) -> None:
    with claims.claim(tmp_path):
        found = claims.read(tmp_path)
        assert found is not None
        assert found["pid"] == os.getpid()
        assert claims.is_live(tmp_path)
    assert not claims.is_live(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_live_claim_is_refused_with_its_process_and_host(tmp_path: Path) -> None:
    with claims.claim(tmp_path):
        with pytest.raises(ClaimError, match=rf"run by process {os.getpid()} on "), claims.claim(tmp_path):
            pass
        assert claims.is_live(tmp_path)


def test_the_claim_is_released_when_the_body_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), claims.claim(tmp_path):
        raise ZeroDivisionError
    assert can_claim(tmp_path)


def test_a_dead_process_of_this_host_is_stale_at_once(tmp_path: Path) -> None:
    plant(tmp_path, pid=dead_pid())
    assert not claims.is_live(tmp_path)
    assert can_claim(tmp_path)


def test_a_process_that_has_the_pid_of_a_dead_one_is_not_taken_for_it(tmp_path: Path) -> None:
    plant(tmp_path, start="1")
    assert can_claim(tmp_path)


# Of the same name may be another machine, this one before a restart, or another container.
UNSEEN = [{"host": "another-host", "pid": 1}, {"boot": "of-yesterday"}, {"namespace": "pid:[1]"}, {"namespace": None}]


@pytest.mark.parametrize("changes", UNSEEN, ids=str)
@pytest.mark.parametrize(("age", "claimable"), [(claims.STALE_SECONDS - 30, False), (claims.STALE_SECONDS + 30, True)])
def test_a_process_that_cannot_be_seen_is_stale_by_the_age_of_its_stamp(
    tmp_path: Path, changes: dict[str, Any], age: float, claimable: bool
) -> None:
    plant(tmp_path, age=age, **changes)
    assert can_claim(tmp_path) == claimable
    assert claims.is_live(tmp_path) != claimable


def test_the_age_of_a_stamp_is_of_the_clock_of_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, host="another-host")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)  # this machine's clock is wrong
    assert not can_claim(tmp_path)


def test_a_damaged_claim_locks_the_trial_only_while_it_may_be_new(tmp_path: Path) -> None:
    (tmp_path / "claim.json").write_text('{"host": "a')
    with pytest.raises(ClaimError, match="not whole"), claims.claim(tmp_path):
        pass
    set_age(tmp_path, claims.STALE_SECONDS + 30)
    assert can_claim(tmp_path)


@pytest.mark.parametrize("pid", ["17", None, -1, 2**70, 1.5])
def test_a_claim_whose_pid_is_no_number_of_a_process_is_stale(tmp_path: Path, pid: object) -> None:
    plant(tmp_path, pid=pid)
    assert can_claim(tmp_path)


def test_a_claim_that_cannot_be_read_is_an_error_and_names_its_owner(tmp_path: Path) -> None:
    (tmp_path / "claim.json").symlink_to(tmp_path / "nowhere")
    begun = time.monotonic()
    with pytest.raises(ClaimError, match=rf"cannot be read .*it is {getpass.getuser()}'s"), claims.claim(tmp_path):
        pass
    assert time.monotonic() - begun < 1
    assert claims.read(tmp_path) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
def test_a_claim_of_another_user_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    plant(tmp_path)
    (tmp_path / "claim.json").chmod(0o600)
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == 0 and folder.name.startswith(("pytest-", "test_")):
            folder.chmod(folder.stat().st_mode | 0o055)
    pid = os.fork()
    if pid == 0:  # the other user
        os.setgid(65534)
        os.setuid(65534)
        try:
            with claims.claim(tmp_path):
                os._exit(2)
        except ClaimError as error:
            os._exit(0 if "Permission denied" in error.what and "it is root's" in error.what else 3)
        except BaseException:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_holder_that_lost_its_claim_is_told_before_it_writes(tmp_path: Path) -> None:
    with claims.claim(tmp_path) as held:
        held.check()
        os.rename(tmp_path / "claim.json", tmp_path / "old")
        plant(tmp_path, host="another-host", pid=7)
        stamp = (tmp_path / "claim.json").stat().st_mtime_ns
        with pytest.raises(claims.ClaimLost, match="taken over this trial: process 7 on another-host"):
            held.check()
        run = store.RunDirectory(tmp_path, held)
        for write in (lambda: run.finish({}), lambda: run.add_event({"epoch": 0}), lambda: run.rewind(0)):
            with pytest.raises(claims.ClaimLost):
                write()
    assert (tmp_path / "claim.json").stat().st_mtime_ns == stamp  # neither renewed nor removed
    assert not (tmp_path / "result.json").exists()
    assert not (tmp_path / "events.jsonl").exists()


def test_the_stamp_is_renewed_while_the_body_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.02)
    with claims.claim(tmp_path):
        os.utime(tmp_path / "claim.json", (0, 0))
        deadline = time.monotonic() + 5
        while (tmp_path / "claim.json").stat().st_mtime < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - (tmp_path / "claim.json").stat().st_mtime < 60


def test_a_claim_that_another_host_took_over_is_not_removed(tmp_path: Path) -> None:
    with claims.claim(tmp_path):
        plant(tmp_path, host="another-host")
    assert claims.is_live(tmp_path)


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_claim_that_is_lost_before_it_is_held_is_asked_for_again(
    is_taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was stopped right after it had created the claim, and another one has taken it over: it is still
    there, or has ended. Renewing it would keep the other's claim alive."""
    create, stopped = atomic.create_exclusively, []

    def create_and_stop(path: Path, content: bytes) -> bool:
        created = create(path, content)
        if not stopped:
            stopped.append(path.rename(tmp_path / "aside"))
            if is_taken:
                plant(tmp_path, host="another-host", pid=7)
        return created

    monkeypatch.setattr(atomic, "create_exclusively", create_and_stop)
    if is_taken:
        with pytest.raises(ClaimError, match="run by process 7 on another-host"), claims.claim(tmp_path):
            pass
    else:
        with claims.claim(tmp_path) as held:
            held.check()
    assert stopped


def test_a_holder_whose_start_is_hidden_lives_while_its_stamp_is_young(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clusters mount /proc so that a user sees nothing of other users' processes (hidepid)."""
    with claims.claim(tmp_path):
        monkeypatch.setattr(claims, "_start_of", lambda pid: "")
        assert claims.is_live(tmp_path)
        with pytest.raises(ClaimError, match="is being run by"), claims.claim(tmp_path):
            pass
        os.utime(tmp_path / "claim.json", (1, 1))
        assert not claims.is_live(tmp_path)


def test_a_lock_that_a_stopped_process_holds_is_not_waited_for_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    (tmp_path / "claim.json").write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    os.utime(tmp_path / "claim.json", (1, 1))
    monkeypatch.setattr(claims, "LOCK_SECONDS", 0.2)
    other = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with claims.claim(tmp_path):
            assert claims.is_live(tmp_path)
    finally:
        os.close(other)
