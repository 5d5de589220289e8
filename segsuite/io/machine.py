"""What this machine has."""

import os

from segsuite.io.cgroup import cpu_limit, whole_cores


def cores() -> int:
    """CPU cores that this process may use: those it is bound to, and no more than a container's limit of CPU time."""
    return whole_cores(cpu_limit(), affinity())


def affinity() -> int:
    """CPU cores that this process may run on."""
    return len(bound_cores())


def bound_cores() -> set[int]:
    """Their numbers."""
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def given_threads() -> int | None:
    """OMP_NUM_THREADS, if it is set, which clusters and a launcher of several workers do."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) > 0 else None


def threads_by_default() -> int:
    """CPU threads for computing: OMP_NUM_THREADS if it is set, else all cores that this process may use."""
    return given_threads() or cores()


def side_by_side() -> int | None:
    """How many trials the launcher runs at a time on this machine; None when it is one."""
    given = os.environ.get("SEGSUITE_SIDE_BY_SIDE", "")
    return int(given) if given.isdecimal() else None


def packed() -> int | None:
    """How many trials share the job that this process is of, as trial.sbatch says; None when it is alone."""
    given = os.environ.get("SEGSUITE_PACKED", "")
    return int(given) if given.isdecimal() else None
