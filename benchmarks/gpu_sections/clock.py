"""Times and memory of a device."""

import statistics
import time
from collections.abc import Callable

import torch


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def milliseconds(step: Callable[[], object], device: str, steps: int, rounds: int = 3, warmup: int = 3) -> float:
    """A step's time when `steps` follow each other, the device waited for at the end alone: the median of rounds."""
    for _ in range(warmup):
        step()
    found = []
    for _ in range(rounds):
        wait(device)
        start = time.perf_counter()
        for _ in range(steps):
            step()
        wait(device)
        found.append(1e3 * (time.perf_counter() - start) / steps)
    return statistics.median(found)


def peak_mebibytes(step: Callable[[], object], device: str) -> float | None:
    """How far one step raises the allocator's peak; None on a CPU (benchmarks/timing.py measures it there)."""
    if device != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20
