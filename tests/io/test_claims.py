"""segsuite.io.claims: one live process a run directory, whatever the others did or how they died."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from segsuite.errors import ClaimError
from segsuite.io import claims
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


def holder(**changes: Any) -> dict[str, Any]:
    """A claim of this process, changed."""
    with_claim: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid(), "boot": claims._boot_id()}
    return {**with_claim, "time": time.time(), **changes}


def plant(folder: Path, age: float = 0.0, **changes: Any) -> None:
    (folder / "claim.json").write_text(json.dumps(holder(**changes)))
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
    plant(tmp_path)
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


def test_a_process_of_before_a_restart_is_stale_though_its_pid_lives(tmp_path: Path) -> None:
    plant(tmp_path, boot="of-yesterday")
    assert can_claim(tmp_path)


@pytest.mark.parametrize(("age", "claimable"), [(claims.STALE_SECONDS - 30, False), (claims.STALE_SECONDS + 30, True)])
def test_another_host_is_stale_by_the_age_of_its_stamp(tmp_path: Path, age: float, claimable: bool) -> None:
    plant(tmp_path, age=age, host="another-host", pid=1)
    assert can_claim(tmp_path) == claimable


def test_a_damaged_claim_does_not_lock_the_trial_for_ever(tmp_path: Path) -> None:
    (tmp_path / "claim.json").write_text('{"host": "a')
    assert can_claim(tmp_path)


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
