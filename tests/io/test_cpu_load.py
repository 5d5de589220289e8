"""segsuite.io.cpu_load: how many cores others use."""

import itertools
from pathlib import Path

import pytest

from segsuite.io import cpu_load
from segsuite.io.cpu_load import busy_cores, free_cores

#            user nice system idle iowait irq softirq steal guest
BEFORE = """\
cpu  300 0 0 300 0 0 0 0 0 0
cpu0 100 0 0 100 0 0 0 0 0 0
cpu1 100 0 0 100 0 0 0 0 0 0
cpu2 100 0 0 100 0 0 0 0 0 0
intr 7
"""
AFTER = """\
cpu  450 0 0 375 25 0 0 0 0 0
cpu0 140 0 5 150 0 0 0 5 0 0
cpu1 100 0 0 175 25 0 0 0 0 0
cpu2 200 0 0 100 0 0 0 0 0 0
intr 9
"""


@pytest.fixture
def bound_to_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_load, "bound_cores", lambda: {0, 1})


def follow_each_other(path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The file holds the next text after each sleep."""
    given = itertools.chain(texts)
    path.write_text(next(given))
    monkeypatch.setattr(cpu_load.time, "sleep", lambda seconds: path.write_text(next(given)))


@pytest.mark.usefixtures("bound_to_two")
def test_what_is_used_of_the_cores_it_is_bound_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Core 0: half of its time, what the hypervisor takes included; core 1 waits for a disk; core 2 is another's."""
    follow_each_other(tmp_path / "stat", [BEFORE, AFTER], monkeypatch)
    assert busy_cores(1.0, tmp_path / "stat") == pytest.approx(0.5)


def test_where_the_system_does_not_say_all_cores_are_free(tmp_path: Path) -> None:
    assert busy_cores(0.0, tmp_path / "none") is None
    (tmp_path / "stat").write_text("nothing of interest\n")
    assert busy_cores(0.0, tmp_path / "stat") is None
    assert free_cores(None, 4, 4) == 4


def test_this_machine_says_something() -> None:
    found = busy_cores(0.05)
    assert found is None or 0 <= found <= len(cpu_load.bound_cores())


@pytest.mark.parametrize(
    ("busy", "allowed", "bound", "free"),
    [(0.3, 8, 8, 8), (3.4, 8, 8, 5), (20.0, 8, 8, 1), (10.0, 4, 64, 4), (62.0, 4, 64, 2)],
)
def test_free_cores_are_whole_at_least_one_and_within_a_containers_limit(
    busy: float, allowed: int, bound: int, free: int
) -> None:
    assert free_cores(busy, allowed, bound) == free
