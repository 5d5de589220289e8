"""How much of the CPU other work uses now."""

import time
from pathlib import Path

from segsuite.io.machine import bound_cores, cores

SAMPLE_SECONDS = 1.0
"""Long enough for a training whose steps take some tenths of a second, and noticed by nobody."""


def busy_cores(seconds: float = SAMPLE_SECONDS, stat: Path = Path("/proc/stat")) -> float | None:
    """Cores' worth of time that is used, by anyone, of the cores that this process may run on: the mean of the next
    `seconds`, in which the caller does nothing. None where the system does not say (other than Linux)."""
    before = _used(stat)
    if before is None:
        return None
    time.sleep(seconds)
    after = _used(stat)
    if after is None:
        return None
    found = 0.0
    for core, (used, whole) in after.items():
        used_before, whole_before = before.get(core, (used, whole))
        if whole > whole_before:
            found += min(1.0, (used - used_before) / (whole - whole_before))
    return found


def free_cores(busy: float | None, allowed: int | None = None, bound: int | None = None) -> int:
    """Whole cores that a training may take where `busy` of the cores it is bound to are used by others: at least one,
    and no more than a container's limit of CPU time allows.

    >>> free_cores(0.2, 2, 2), free_cores(1.0, 2, 2), free_cores(7.9, 8, 8), free_cores(None, 4, 4)
    (2, 1, 1, 4)
    >>> free_cores(10.0, allowed=4, bound=64)  # 54 are free, and the container has the time of 4
    4
    """
    allowed = cores() if allowed is None else allowed
    bound = len(bound_cores()) if bound is None else bound
    return allowed if busy is None else max(1, min(allowed, bound - round(busy)))


def _used(stat: Path) -> dict[int, tuple[int, int]] | None:
    """(time used, time passed) of each core since the machine began, in ticks; waiting for a disk is not used."""
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return None
    bound, found = bound_cores(), {}
    for line in lines:
        name, *numbers = line.split()
        core = name.removeprefix("cpu")
        if name.startswith("cpu") and core.isdecimal() and int(core) in bound:
            # user nice system idle iowait irq softirq steal; guests are within user
            ticks = [int(number) for number in numbers[:8]]
            found[int(core)] = (sum(ticks) - sum(ticks[3:5]), sum(ticks))
    return found or None
