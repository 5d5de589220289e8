"""The exclusive right to run a trial: a file that exactly one process can create.

Whether a holder lives is known of processes of this machine that this one can see (same boot, same pid namespace): by
pid and start time. Of all others, of another machine or container, it is known by the file's time stamp, which the
holder renews. A holder that was paused for longer than that has lost its claim, and must look before it writes.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from segsuite.errors import ClaimError
from segsuite.io import atomic, reading, users
from segsuite.io.reading import patiently

BEAT_SECONDS = 20.0
STALE_SECONDS = 180.0  # nine missed beats: a claimant that cannot be seen is taken for dead
LOCK_SECONDS = 5.0  # after which a taker goes on without the lock of this machine
TRIES = 100  # rounds in which others are quicker, before it is given up
NAME = "claim.json"


class ClaimLost(ClaimError):
    """Another process has taken over what this one held, since it was paused for too long."""


class Claim:
    """The held claim of `folder`, until `claim` releases it."""

    def __init__(self, folder: Path, content: bytes) -> None:
        """Raises FileNotFoundError when what this process has just created is there no more: it was stopped for so
        long that another one has taken it over."""
        self._path, self._content = folder / NAME, content
        self._open = patiently(lambda: os.open(self._path, os.O_RDONLY))
        if os.pread(self._open, len(content) + 1, 0) != content:
            os.close(self._open)
            raise FileNotFoundError(self._path)
        self._stop = threading.Event()
        self._beat = threading.Thread(target=self._renew, daemon=True, name="claim")
        self._beat.start()

    def check(self) -> None:
        """To be called before what only the holder may write. Raises ClaimLost when another process holds the claim, or
        that cannot be known."""
        try:
            is_own = self._is_own()
        except reading.Unreadable as error:
            what = f"whether this process may still write is not known: {error.what}"
            raise ClaimLost(what, error.where, "call `segsuite run` again: it goes on") from error
        if not is_own:
            holder = _parse(self._path) or {}
            raise ClaimLost(
                f"another process has taken over this trial: {in_words(holder)}",
                str(self._path.parent),
                f"nothing: it goes on there. This process was stopped for over {STALE_SECONDS:.0f} s, or could not "
                "reach the folder",
            )

    def _is_own(self) -> bool:
        try:
            return reading.read_bytes(self._path) == self._content
        except (FileNotFoundError, ValueError):
            return False

    def _renew(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self._open)  # by its descriptor: never the claim of one that has taken over

    def release(self) -> None:
        """Removes the claim, but not that of another."""
        self._stop.set()
        self._beat.join()
        with contextlib.suppress(OSError, reading.Unreadable):
            if self._is_own():
                patiently(lambda: self._path.unlink())
        os.close(self._open)


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[Claim]:
    """Holds `folder`/claim.json while the body runs; a thread renews its time stamp every 20 s.

    A claim is stale when its process is gone, or, of another machine or container, when its stamp is older than 180 s;
    it is then taken over by exactly one of several takers. Raises ClaimError when a live process holds it, or when it
    cannot be read.
    """
    path = folder / NAME
    told = {"user": users.name(), "time": time.time(), "token": secrets.token_hex(8)}
    content = json.dumps(_identity() | told).encode()
    for _ in range(TRIES):
        if atomic.create_exclusively(path, content):
            with contextlib.suppress(FileNotFoundError):
                held = Claim(folder, content)
                break
        else:
            with _locked(folder):
                _remove_if_stale(path)
    else:
        raise ClaimError(f"others were quicker {TRIES} times", str(folder), "try again")
    try:
        yield held
    finally:
        held.release()


def _remove_if_stale(path: Path) -> None:
    """Frees the name of a claim whose process is gone. Raises ClaimError when it lives, or that cannot be known."""
    holder = _parse(path)
    if holder is None:
        return
    own = users.name()
    if not _is_stale(holder, path, lambda: atomic.now_in(path.parent)):
        if holder:
            raise ClaimError(
                f"the trial is being run by {in_words(holder)}",
                str(path.parent),
                "wait for it, or end that process first" if holder.get("user", own) == own else "wait for it",
            )
        raise ClaimError(
            "its claim is not whole", str(path), f"try again in {STALE_SECONDS / 60:.0f} minutes: it may be new"
        )
    # Takes exactly one file away; where locks do not reach (NFS), that may by now be a claim of another taker.
    aside = atomic.take_away(path)
    if aside is None:
        return
    if _parse(aside) == holder:
        aside.unlink(missing_ok=True)
    else:  # unless a third one is there by now: `check` says so to its owner then
        atomic.put_back(aside, path)


def in_words(holder: Mapping[str, Any]) -> str:
    """Who holds a claim.

    >>> in_words({"pid": 7, "host": "a", "user": "anna"}), in_words({"pid": 7, "host": "a"}), in_words({})
    ("process 7 on a, anna's", 'process 7 on a', 'an unknown process')
    """
    if not holder:
        return "an unknown process"
    whose = f", {holder['user']}'s" if "user" in holder else ""
    return f"process {holder.get('pid')} on {holder.get('host')}{whose}"


def read(folder: Path) -> dict[str, Any] | None:
    """Who claims the run directory `folder` (user, host, pid, time, ...), or None."""
    try:
        return _parse(folder / NAME) or None
    except ClaimError:
        return None


def _parse(path: Path) -> dict[str, Any] | None:
    """What a claim says; empty when it is damaged, None when there is none. Raises ClaimError when it is there and
    cannot be read."""
    try:
        value = json.loads(patiently(lambda: reading.content(path)))
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return None
        raise ClaimError(
            f"its claim cannot be read ({error.strerror or error}){reading.owner(path)}",
            str(path),
            "ask its owner, or remove it when no process runs the trial",
        ) from error
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lets one process of this machine at a time into the body; the system frees the lock of a process that dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a network file system may not lock folders
            _lock_for_a_while(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock_for_a_while(descriptor: int) -> None:
    # What is done under the lock is right without it, and only saves rounds: a stopped process may hold it for ever.
    end = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.05)


def is_live(folder: Path) -> bool:
    """Whether a live process holds the run directory `folder`, as far as this machine's clock tells; one whose claim
    cannot be read counts as live while its stamp is young."""
    path = folder / NAME
    try:
        holder = _parse(path)
    except ClaimError:
        holder = {}
    return holder is not None and not _is_stale(holder, path, time.time)


def _is_stale(holder: dict[str, Any], path: Path, now: Callable[[], float]) -> bool:
    """Whether the claim `holder`, read from `path`, belongs to a process that is gone."""
    own = _identity()
    if all(holder.get(key) == own[key] for key in ("host", "boot", "namespace")):
        start = _start_of(holder.get("pid"))
        if start or start is None or not holder.get("start"):
            return start is None or start != holder.get("start")  # another process may have that number by now
        # There is such a process, and when it began is hidden from other users (hidepid): its stamp tells.
    try:
        return now() - patiently(path.lstat).st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return True


def _identity() -> dict[str, Any]:
    """This process, told from all others on all machines and in all containers."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "boot": _boot_id(),
        "namespace": _pid_namespace(),
        "start": _start_of(os.getpid()),
    }


def _start_of(pid: object) -> str | None:
    """When a process of this machine began, in whatever its system counts; None when there is no such process."""
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""  # not Linux: a process with that number is all that is known
    state, *fields = text.rpartition(")")[2].split()
    return None if state in ("Z", "X") else fields[18]


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
