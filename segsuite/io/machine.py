"""What this machine has."""

import os

from segsuite.io.cgroup import cpu_limit, whole_cores


def cores() -> int:
    """CPU cores that this process may use: those it is bound to, and no more than a container's limit of CPU time."""
    return whole_cores(cpu_limit(), affinity())


def affinity() -> int:
    """CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_by_default() -> int:
    """CPU threads for computing: OMP_NUM_THREADS if it is set, which clusters and a launcher of several workers do;
    else all cores that this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) > 0 else cores()


def packed() -> int | None:
    """How many trials share the job that this process is of, as trial.sbatch says; None when it is alone."""
    given = os.environ.get("SEGSUITE_PACKED", "")
    return int(given) if given.isdecimal() else None
