"""The exclusive right to run a trial: a file that exactly one process can create."""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segsuite.errors import ClaimError
from segsuite.io import atomic

BEAT_SECONDS = 20.0
STALE_SECONDS = 180.0  # nine missed beats: a claimant on another host is taken for dead


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Holds `folder`/claim.json while the body runs; a thread renews its time stamp every 20 s.

    A claim is stale when its process is gone (same host) or its stamp is older than 180 s (another host); it is then
    taken over by exactly one of several takers. Raises ClaimError when a live process holds it.
    """
    path = folder / "claim.json"
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "boot": _boot_id(), "time": time.time()}
    content = json.dumps(owner).encode()
    while not atomic.create_exclusively(path, content):
        # Locked from the look to the removal: else a second taker would remove the claim of the first.
        with _locked(folder):
            holder = _parse(path)
            if holder and not is_stale(holder, path):
                raise ClaimError(
                    f"the trial is being run by process {holder.get('pid')} on {holder.get('host')}",
                    str(folder),
                    "wait for it, or end that process first",
                )
            if holder is not None:
                path.unlink(missing_ok=True)
    stop = threading.Event()
    beat = threading.Thread(target=_renew, args=(path, stop), daemon=True, name="claim")
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        with contextlib.suppress(OSError):
            if path.read_bytes() == content:  # not that of another host, which took this one for dead
                path.unlink()


def read(folder: Path) -> dict[str, Any] | None:
    """Who claims the run directory `folder` (host, pid, boot, time), or None."""
    return _parse(folder / "claim.json") or None


def _parse(path: Path) -> dict[str, Any] | None:
    """What a claim says; empty when it is damaged, None when there is none."""
    try:
        value = json.loads(path.read_text())
    except OSError:
        return None
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time into the body; the system frees the lock of a process that dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a network file system may not lock folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_live(folder: Path) -> bool:
    """Whether a live process holds the run directory `folder`."""
    holder = read(folder)
    return holder is not None and not is_stale(holder, folder / "claim.json")


def is_stale(holder: dict[str, Any], path: Path) -> bool:
    """Whether the claim `holder`, read from `path`, belongs to a process that is gone."""
    if holder.get("host") == socket.gethostname():
        # The boot id keeps a pid of before a restart from being taken for a live process of today.
        return holder.get("boot") != _boot_id() or not _alive(int(holder.get("pid", -1)))
    try:
        return time.time() - path.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return True


def _renew(path: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
