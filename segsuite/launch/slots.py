"""How this machine is shared by trials that run side by side: a slot is the share of one trial at a time."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segsuite.errors import ConfigError, plural
from segsuite.io.cgroup import free_memory
from segsuite.io.machine import cores

# What a trial of photographs needs as a rule; only `--workers auto` on a machine without a GPU reckons with it.
BYTES_PER_WORKER = 4 * 1024**3
MOST_ON_A_GPU = 8
"""Trials under `--per-device auto`: with more they wait for each other, whatever the memory holds."""


@dataclass(frozen=True)
class Slot:
    """One trial at a time: on which GPU (None: none is given), with how many CPU threads (None: the trial decides)."""

    device: str | None = None
    threads: int | None = None
    of: int = 1
    """How many slots its device has, or the machine without devices."""

    def environment(self) -> dict[str, str]:
        """What a trial in this slot finds in its environment."""
        found = {}
        if self.device is not None:
            found["CUDA_VISIBLE_DEVICES"] = self.device
        if self.threads is not None:
            found["OMP_NUM_THREADS"] = str(self.threads)
        if self.of > 1:
            found["SEGSUITE_SIDE_BY_SIDE"] = str(self.of)
        return found


def workers_by_default(wants_gpu: bool) -> int | None:
    """On a CPU as many as suit the machine (None), where several trials are faster side by side; one where trials run
    on a GPU, or may do so on a Mac."""
    may_find_one = wants_gpu and (sys.platform == "darwin" or bool(visible_gpus(os.environ)))
    return 1 if may_find_one else None


def slots(
    workers: int | None, per_device: int, trials: int, wants_gpu: bool = True, threads_each: int = 1
) -> list[Slot]:
    """The shares of `workers` trials at a time, at most `trials`; None: as many as suit the machine.

    With GPUs, workers take turns on them, `per_device` on each (and with None exactly so many); CPU threads are
    divided evenly, at least one each. Without GPUs, None is a worker a core (or for every `threads_each` cores, where
    trials want so many threads) as far as memory reaches, since two trials with a thread each are faster than one with
    two threads after the other. One worker has the whole machine.
    Raises ConfigError when more workers are wanted than `per_device` lets the GPUs hold.
    """
    devices = visible_gpus(os.environ) if wants_gpu else []
    most = len(devices) * per_device
    if workers is not None and devices and workers > most:
        raise ConfigError(
            f"{workers} workers do not fit on {plural(len(devices), 'GPU')} with {per_device} on each",
            "--workers",
            f"at most {most}, or a larger --per-device",
        )
    wanted = workers or most or max(1, min(cores() // threads_each, available_memory() // BYTES_PER_WORKER))
    number = max(1, min(wanted, trials))
    if number == 1:
        return [Slot()]
    threads = max(1, cores() // number)
    on = [devices[at % len(devices)] if devices else None for at in range(number)]
    return [Slot(device, threads, on.count(device)) for device in on]


def in_words(found: Sequence[Slot], at_most: bool = False) -> str:
    """What was chosen for a person who has not said how many workers.

    >>> in_words([Slot(None, 2, 4)] * 4)
    'workers: 4 at a time, 2 CPU threads each'
    >>> in_words([Slot("GPU-a", 8, 2), Slot("GPU-b", 8, 2)])
    'workers: 2 at a time on 2 GPUs, 8 CPU threads each'
    >>> in_words([Slot("GPU-a", 2, 8)] * 8, at_most=True)
    'workers: at most 8 at a time on 1 GPU as its memory allows, 2 CPU threads each'
    >>> in_words([Slot()])
    'workers: 1, which has the whole machine'
    """
    if len(found) == 1:
        return "workers: 1, which has the whole machine"
    devices = {slot.device for slot in found} - {None}
    on = f" on {plural(len(devices), 'GPU')}" if devices else ""
    number, allowed = (f"at most {len(found)}", " as its memory allows") if at_most and on else (len(found), "")
    return f"workers: {number} at a time{on}{allowed}, {plural(found[0].threads or 1, 'CPU thread')} each"


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that CUDA_VISIBLE_DEVICES lets a process see, or all that nvidia-smi lists (MIG instances instead of
    a GPU that is divided into them); by the names that CUDA_VISIBLE_DEVICES takes."""
    given = environment.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        end = next((at for at, name in enumerate(names) if name in ("", "-1")), len(names))  # CUDA stops there too
        return names[:end]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False)
    return listed_gpus(listed.stdout.splitlines()) if listed.returncode == 0 else []


def listed_gpus(lines: Sequence[str]) -> list[str]:
    """The UUIDs in what `nvidia-smi -L` prints: its numbers need not be CUDA's.

    >>> listed_gpus(["GPU 0: A (UUID: GPU-1)", "  MIG 1g Device 0: (UUID: MIG-a)", "GPU 1: A (UUID: GPU-2)"])
    ['MIG-a', 'GPU-2']
    """
    found: list[str] = []
    for line in lines:
        uuid = re.search(r"UUID: ((?:GPU|MIG)-[^)\s]+)", line)
        if uuid is None:
            continue
        if uuid[1].startswith("MIG") and found and found[-1].startswith("GPU"):
            found.pop()
        found.append(uuid[1])
    return found


def available_memory() -> int:
    """Bytes of memory that are free now and may be taken; a worker's, where the system does not say."""
    limit = free_memory()
    try:
        with open("/proc/meminfo") as lines:
            free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = BYTES_PER_WORKER
    return free if limit is None else min(free, limit)
