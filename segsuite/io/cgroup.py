"""What a container, a batch system or a service manager lets this process have, which the machine's own figures do not
say: Linux control groups, version 1 and 2. A limit of any group above the process holds as well."""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")
# Version 1 says "no limit" by a number near this one.
NO_LIMIT = 2**62


def cpu_limit(root: Path = ROOT) -> float | None:
    """Cores' worth of CPU time, such as 1.5; None where there is no limit."""
    found = []
    for folder in _folders("cpu", root):
        numbers = _words(folder / "cpu.max") or [_word(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        if len(numbers) == 2 and all(number.isdecimal() and int(number) for number in numbers):
            found.append(int(numbers[0]) / int(numbers[1]))
    return min(found, default=None)


def free_memory(root: Path = ROOT) -> int | None:
    """Bytes that may still be taken, not counting files that the system can drop; None where there is no limit."""
    found = []
    for folder in _folders("memory", root):
        for limit, used, file_pages in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most, taken = _word(folder / limit), _word(folder / used)
            if most.isdecimal() and taken.isdecimal() and int(most) < NO_LIMIT:
                stated = dict(zip(*[iter(_words(folder / "memory.stat"))] * 2, strict=False))
                found.append(max(0, int(most) - int(taken) + int(stated.get(file_pages, 0))))
    return min(found, default=None)


def whole_cores(limit: float | None, cores: int) -> int:
    """Threads that `cores` cores and a limit let compute without waiting for each other: the limit rounded down.

    >>> whole_cores(None, 8), whole_cores(2.5, 8), whole_cores(0.5, 8), whole_cores(16, 8)
    (8, 2, 1, 8)
    """
    return cores if limit is None else max(1, min(cores, math.floor(limit)))


def _folders(controller: str, root: Path) -> Iterator[Path]:
    """The process's group and all above it, as far as they can be seen."""
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = mounted / controller if controllers else mounted
        # In a container the path is often the host's, and what is mounted is the group itself.
        inner = PurePosixPath(path.lstrip("/"))
        for part in [inner, *inner.parents]:
            yield base / part


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _word(path: Path) -> str:
    return _text(path).strip()
