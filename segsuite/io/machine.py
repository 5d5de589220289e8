"""What this machine has."""

import os


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def packed() -> int | None:
    """How many trials share the job that this process is of, as trial.sbatch says; None when it is alone."""
    given = os.environ.get("SEGSUITE_PACKED", "")
    return int(given) if given.isdecimal() else None
