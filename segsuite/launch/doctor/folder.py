"""Whether runs can lie in a folder: space, speed, clock, and what claims and results rest on, from two processes."""

import contextlib
import fcntl
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from segsuite.errors import plural
from segsuite.io import atomic, claims, disk_errors, users
from segsuite.io.imports import of_a_child
from segsuite.io.numbers import significant
from segsuite.launch.doctor import Check, ok, problem, warning
from segsuite.launch.doctor.features import features
from segsuite.launch.doctor.neighbour import LENGTH, NAMES, see, win

WRITTEN_BYTES, READ_SECONDS = 64 * 2**20, 1.0
SLOW_BYTES_PER_SECOND = 20e6
SLOW_FSYNC_SECONDS = 0.2  # each epoch's line, each claim and each checkpoint waits for some
SKEW_SECONDS = 2.0
ASSUMED_CHECKPOINT_BYTES = 2**30
CHECKPOINTS = 3  # last and best, and the one that is being written
SHARED = ("nfs", "lustre", "gpfs", "beegfs", "ceph", "panfs", "wekafs", "gluster", "orangefs", "cifs", "smb", "afs")


def check_folder(folder: Path, trials: int = 1) -> Iterator[Check]:
    """`folder`: of an experiment, or runs_root; it need not exist. `trials`: those that still have no result."""
    above = (folder.absolute(), *folder.absolute().parents)
    there = next(path for path in above if path.is_dir())
    in_the_way = next((path for path in above if path.exists() and not path.is_dir()), None)
    if in_the_way is not None:
        yield problem("runs folder", f"{in_the_way} is a file", "choose another: --set runs_root=FOLDER")
        return
    try:
        probe = Path(tempfile.mkdtemp(dir=there, prefix=".doctor-"))
    except OSError as error:
        whose = f"; it is {users.owner(there)}'s" if error.errno in disk_errors.FORBIDDEN else ""
        yield problem("runs folder", f"{there}: {error.strerror}{whose}", "choose another: --set runs_root=FOLDER")
        return
    try:
        yield ok("runs folder", f"{folder.absolute()} ({file_system(there)})")
        yield _space(there, folder, trials)
        yield from _speed(probe)
        yield from features(probe)
        yield from _neighbours(probe)
    except OSError as error:
        yield problem("runs folder", f"{there}: {error}", "choose another: --set runs_root=FOLDER")
    finally:
        shutil.rmtree(probe, ignore_errors=True)


def file_system(folder: Path) -> str:
    """The type of the file system of an existing folder, as /proc/mounts names it; `unknown` where there is none."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    resolved = folder.resolve()
    found = [(place, kind) for place, kind in mounts if resolved.is_relative_to(place.replace("\\040", " "))]
    return max(found, key=lambda mount: len(mount[0]), default=("", "unknown"))[1]


def is_shared(kind: str) -> bool:
    """Whether a type of file system is one that other machines see.

    >>> [is_shared(kind) for kind in ("nfs4", "fuse.ceph", "ext4", "tmpfs")]
    [True, True, False, False]
    """
    return any(name in kind for name in SHARED)


def _space(there: Path, folder: Path, trials: int) -> Check:
    sizes = [path.stat().st_size for path in folder.glob("*/checkpoints/*.ckpt")]
    size, known = (max(sizes), "as here") if sizes else (ASSUMED_CHECKPOINT_BYTES, "assumed")
    free, one, whole = shutil.disk_usage(there).free, CHECKPOINTS * size, CHECKPOINTS * size * max(1, trials)
    found = f"{free / 2**30:.1f} GiB free; a checkpoint of {significant(size / 2**30)} GiB {known}"
    if free < one:
        return problem("space", found, f"a trial keeps up to {CHECKPOINTS}: free {(one - free) / 2**30:.1f} GiB")
    if free < whole:
        want = "wants" if trials == 1 else "want"
        return warning("space", found, f"{plural(trials, 'trial')} {want} up to {whole / 2**30:.0f} GiB")
    return ok("space", found)


def _speed(probe: Path) -> Iterator[Check]:
    block, begun = os.urandom(2**20), time.monotonic()
    with open(probe / "big", "wb") as file:
        for _ in range(WRITTEN_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    speed = WRITTEN_BYTES / (time.monotonic() - begun)
    latencies = []
    for number in range(10):
        begun = time.monotonic()
        atomic.append_line(probe / "lines", str(number))
        latencies.append(time.monotonic() - begun)
    latency = statistics.median(latencies)
    found = f"{speed / 1e6:.0f} MB/s, a line forced to the disk takes {latency * 1000:.1f} ms"
    if speed < SLOW_BYTES_PER_SECOND or latency > SLOW_FSYNC_SECONDS:
        yield warning("write speed", found, "saving will hold the training up: raise execution.checkpoint_minutes")
    else:
        yield ok("write speed", found)


def _neighbours(probe: Path) -> Iterator[Check]:
    words = [sys.executable, "-m", "segsuite.launch.doctor.neighbour", str(probe)]
    pipe = subprocess.PIPE
    # A session of its own: Ctrl-C in the terminal reaches only this process; the other one ends with its input.
    environment = of_a_child(os.environ)
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, bufsize=0, env=environment, start_new_session=True) as other:

        def ask(what: str) -> None:
            assert other.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # the answer will be missing
                other.stdin.write(f"{what}\n".encode())

        def answer() -> object:
            assert other.stdout is not None
            line = other.stdout.readline()
            if not line:
                raise OSError("a second process could not look into it")
            return json.loads(line)

        yield _renames(probe, ask, answer)
        ask("win")
        own, others = win(probe), answer()
        fair = isinstance(others, list) and sorted([*own, *others]) == list(range(NAMES))
        advice = "claims rest on it, and two processes could run one trial: choose another folder"
        yield _verdict("exclusive names", fair, "each name has one winner", "a name had two winners, or none", advice)
        with held(probe):
            ask("lock")
            locked = answer() is False
        yield locks(locked)
        yield clock(float(see(probe)["skew"]))


def _renames(probe: Path, ask: Callable[[str], None], answer: Callable[[], object]) -> Check:
    atomic.write_bytes(probe / "replaced", b"a" * LENGTH)
    ask("replace")
    whole, deadline = True, time.monotonic() + READ_SECONDS
    while time.monotonic() < deadline:
        try:
            content = (probe / "replaced").read_bytes()
        except FileNotFoundError:
            content = b""
        whole = whole and len(content) == LENGTH and content == content[:1] * LENGTH
    answer()
    advice = "results and checkpoints could be read half-written: choose another folder"
    return _verdict("atomic renames", whole, "a reader always met a whole file", "a reader met half a file", advice)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds a folder's lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # no locks here: the other process will get it
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def locks(keep_out: bool, name: str = "locks") -> Check:
    """`keep_out`: whether a lock of a folder that one process held kept another one out."""
    if keep_out:
        return ok(name, "a lock of a folder keeps another process out")
    # Without them a stale claim is still taken over by an exclusive name: two takers at once are the only danger.
    advice = "a claim left by a dead node could be taken over twice: mount with locks (NFS: without `nolock`)"
    return warning(name, "a lock of a folder keeps nobody out", advice)


def clock(skew: float, name: str = "clock") -> Check:
    """`skew`: seconds by which the times of files written there are ahead of this machine's clock."""
    found = f"times of files differ from it by {abs(skew):.2f} s"
    if abs(skew) > claims.STALE_SECONDS / 3:
        advice = "set the clock (NTP): a trial that runs could be taken for dead, and be run twice"
        return problem(name, found, advice)
    if abs(skew) > SKEW_SECONDS:
        return warning(name, found, "set the clock (NTP)")
    return ok(name, found)


def _verdict(name: str, good: bool, found: str, bad: str, advice: str) -> Check:
    return ok(name, found) if good else problem(name, bad, advice)
