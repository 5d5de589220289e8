"""With how many CPU threads a trial computes, and what is said of it.

Sums are taken in another order with another number of threads, so that a training's numbers differ by rounding, and
after some steps by more. That number is therefore recorded, and kept when a training is continued.
"""

from collections.abc import Callable
from dataclasses import dataclass

from segsuite.config import Execution
from segsuite.errors import plural
from segsuite.io.cpu_load import busy_cores, free_cores
from segsuite.io.machine import cores, given_threads
from segsuite.io.store import RunDirectory, read_json


@dataclass(frozen=True)
class Threads:
    """How many; `note`: what a person is told who has not chosen them, `warning`: what is no longer repeatable."""

    number: int
    note: str | None = None
    warning: str | None = None


def choose_threads(
    execution: Execution,
    device: str,
    earlier: int | None = None,
    busy: Callable[[], float | None] = busy_cores,
) -> Threads:
    """execution.threads; or as many as the training had `earlier`, as far as OMP_NUM_THREADS or the machine has them;
    or OMP_NUM_THREADS; or, on a CPU, the cores that are free now; or all."""
    given = execution.threads or given_threads()
    most = given or cores()
    if earlier is not None and device == "cpu":
        number = most if execution.threads else min(earlier, most)
        if number != earlier:
            return Threads(number, warning=_changed(earlier, number))
        note = f"continues with the {plural(number, 'CPU thread')} it began with, of {most}"
        return Threads(number, note if number < most and not execution.threads else None)
    if given is not None or device != "cpu" or most == 1:
        return Threads(most)
    used = busy()
    number = free_cores(used)
    if number == most:
        return Threads(most)
    return Threads(
        number,
        f"takes {plural(number, 'CPU thread')} of {most}: other work keeps {used:.1f} cores busy; the trial keeps to "
        "that number, which execution.threads sets",
    )


def threads_so_far(run: RunDirectory) -> int | None:
    """With how many the training began that is to be continued on a CPU; None where there is nothing to continue."""
    if not run.last_checkpoint.exists():
        return None
    noted = (read_json(run.folder / "manifest.json") or {}).get("hardware")
    hardware = noted if isinstance(noted, dict) else {}
    number = hardware.get("threads")
    return number if hardware.get("device") == "cpu" and isinstance(number, int) and number > 0 else None


def _changed(earlier: int, number: int) -> str:
    return (
        f"continued with {plural(number, 'CPU thread')} instead of {earlier}: the numbers differ from those of a "
        "training that was not interrupted, by rounding at first"
    )
