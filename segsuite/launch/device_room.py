"""Whether another trial fits on a GPU, by the memory that trials were seen to take (`--per-device auto`)."""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsuite.experiment import Trial

# What CUDA, cuDNN and the kernels of a process take beside what torch's allocator knows of.
CONTEXT_BYTES = 700 * 2**20
# A validation of larger images, or fragments, may take more than what has been seen.
MARGIN = 1.2
USABLE = 0.95
STEPS = 50
"""After so many a training has taken what it takes; an epoch's end says so too."""


@dataclass(frozen=True)
class Memory:
    """Of a GPU, in bytes."""

    total: int
    used: int


class Room:
    """Knows what trials of each arm take at most, from what they tell of themselves while they run."""

    def __init__(self, devices: Mapping[str, Memory]) -> None:
        # What is used before anything was begun here belongs to others.
        self._free = {name: int(USABLE * memory.total) - memory.used for name, memory in devices.items()}
        self._taken: dict[str, int] = {}

    def hears(self, trial: Trial, event: Mapping[str, Any]) -> None:
        """Learns from the progress of a trial."""
        taken = event.get("memory_bytes")
        settled = event.get("phase") in ("epoch", "evaluate") or event.get("step", 0) >= STEPS
        if isinstance(taken, int) and settled:
            self._taken[trial.arm] = max(taken, self._taken.get(trial.arm, 0))

    def needs(self, trial: Trial) -> int | None:
        """Bytes: of its arm, else the most of any arm; None while none is known."""
        if not self._taken:
            return None
        taken = self._taken.get(trial.arm, max(self._taken.values()))
        return int(MARGIN * taken) + CONTEXT_BYTES

    def fits(self, device: str | None, trial: Trial, others: Sequence[Trial]) -> bool:
        """Whether `trial` fits on `device` beside `others`, which run there; always where there are none. One whose
        need is unknown has the device for itself until it is."""
        if not others:
            return True
        needs = [self.needs(one) for one in (trial, *others)]
        known = [need for need in needs if need is not None]
        started = {other.arm for other in others} <= self._taken.keys()
        free = self._free.get(device or "")
        return started and len(known) == len(needs) and free is not None and sum(known) <= free


def gpu_memory(run: Callable[[], str] | None = None) -> dict[str, Memory]:
    """Of every GPU, by its number and by its UUID; nothing where nvidia-smi does not say, as of MIG instances."""
    found: dict[str, Memory] = {}
    for line in (run or _listed)().splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) == 4 and words[2].isdecimal() and words[3].isdecimal():
            memory = Memory(int(words[2]) * 2**20, int(words[3]) * 2**20)
            found |= {words[0]: memory, words[1]: memory}
    return found


def _listed() -> str:
    if shutil.which("nvidia-smi") is None:
        return ""
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.total,memory.used", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else ""
