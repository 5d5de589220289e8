"""segsuite.io.cgroup: limits of containers and services, from files as Linux has them."""

from pathlib import Path

import pytest

from segsuite.io import machine
from segsuite.io.cgroup import cpu_limit, free_memory
from segsuite.launch import slots

GIB = 2**30


def files(root: Path, **texts: str) -> Path:
    """A file system with these files; __ stands for a slash."""
    for name, text in texts.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_machine_without_control_groups_has_no_limits(tmp_path: Path) -> None:
    assert cpu_limit(tmp_path) is None
    assert free_memory(tmp_path) is None


def test_a_container_of_version_2_has_its_own_limit(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    files(tmp_path, proc__self__cgroup="0::/\n")
    group = tmp_path / "sys/fs/cgroup"
    (group / "cpu.max").write_text("250000 100000\n")
    (group / "memory.max").write_text(f"{4 * GIB}\n")
    (group / "memory.current").write_text(f"{3 * GIB}\n")
    (group / "memory.stat").write_text(f"anon {GIB}\ninactive_file {GIB}\nactive_file 5\n")
    assert cpu_limit(tmp_path) == 2.5
    assert free_memory(tmp_path) == 2 * GIB  # what is cached of files is given up when it is needed


def test_no_limit_is_told_from_one(tmp_path: Path) -> None:
    files(tmp_path, proc__self__cgroup="0::/user.slice\n")
    group = tmp_path / "sys/fs/cgroup/user.slice"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("max 100000\n")
    (group / "memory.max").write_text("max\n")
    assert cpu_limit(tmp_path) is None
    assert free_memory(tmp_path) is None


def test_the_smallest_limit_of_the_groups_above_holds(tmp_path: Path) -> None:
    files(tmp_path, proc__self__cgroup="0::/job/step\n")
    for path, quota in (("job", "400000 100000"), ("job/step", "max 100000")):
        folder = tmp_path / "sys/fs/cgroup" / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.max").write_text(quota)
    assert cpu_limit(tmp_path) == 4


def test_version_1_has_a_folder_a_controller(tmp_path: Path) -> None:
    files(tmp_path, proc__self__cgroup="4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n")
    # The path is the host's; what is mounted is the container's own group.
    for controller, name, text in (
        ("cpu", "cpu.cfs_quota_us", "150000"), ("cpu", "cpu.cfs_period_us", "100000"),
        ("memory", "memory.limit_in_bytes", str(2 * GIB)), ("memory", "memory.usage_in_bytes", str(GIB)),
        ("memory", "memory.stat", "total_inactive_file 0"),
    ):  # fmt: skip
        folder = tmp_path / "sys/fs/cgroup" / controller
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")
    assert cpu_limit(tmp_path) == 1.5
    assert free_memory(tmp_path) == GIB


def test_version_1_without_a_limit(tmp_path: Path) -> None:
    files(tmp_path, proc__self__cgroup="4:memory:/\n1:cpu:/\n")
    for controller, name, text in (
        ("cpu", "cpu.cfs_quota_us", "-1"), ("cpu", "cpu.cfs_period_us", "100000"),
        ("memory", "memory.limit_in_bytes", "9223372036854771712"), ("memory", "memory.usage_in_bytes", "5"),
    ):  # fmt: skip
        folder = tmp_path / "sys/fs/cgroup" / controller
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")
    assert cpu_limit(tmp_path) is None
    assert free_memory(tmp_path) is None


def test_a_limit_counts_where_threads_and_workers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "affinity", lambda: 64)
    monkeypatch.setattr(machine, "cpu_limit", lambda: 3.5)
    assert (machine.cores(), machine.threads_by_default()) == (3, 3)
    monkeypatch.setattr(slots, "free_memory", lambda: 2 * slots.BYTES_PER_WORKER)
    assert slots.available_memory() <= 2 * slots.BYTES_PER_WORKER
    assert len(slots.slots(None, 1, 9, wants_gpu=False)) <= 2
