"""`segsuite bench torture` makes its faults with real processes and tells what was lost; and a loss is seen as one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability.trials import REPOSITORY, environment


@pytest.mark.slow
def test_the_small_form_loses_nothing() -> None:
    command = [
        sys.executable,
        "-m",
        "segsuite",
        "bench",
        "torture",
        "--small",
        "--json",
        "--only",
        "takeovers",
        "containers",
    ]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    takers, *others = found["rows"]
    assert found["lost"] == 0
    assert takers["tried"] == 25
    assert int(takers["happened"].split()[0]) >= 25
    assert all(row["tried"] or row["not_tried"] for row in others)


PROGRAM = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from torture_faults import Row, takeovers
row = Row("claims")
holders, late = takeovers.judge([Path(path) for path in sys.argv[2:]], row)
print(json.dumps([row.lost, row.faults, sum(holders.values()), late]))
"""


def judged(*folders: Path) -> tuple[int, list[str], int, int]:
    command = [sys.executable, "-c", PROGRAM, str(REPOSITORY / "benchmarks"), *map(str, folders)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=True)
    lost, faults, holders, late = json.loads(done.stdout)
    return lost, faults, holders, late


def written(folder: Path, *lines: str, done: bool = True, late: tuple[str, ...] = ()) -> Path:
    folder.mkdir()
    (folder / "written").write_text("".join(f"{line}\n" for line in lines))
    if late:
        (folder / "late").write_text("".join(f"{line}\n" for line in late))
    if done:
        (folder / "done").touch()
    return folder


def test_two_that_write_at_once_and_trials_that_nobody_ends_are_losses(tmp_path: Path) -> None:
    first, second = [f"a 1 1 {part}" for part in range(3)], [f"b 2 1 {part}" for part in range(3)]
    good = written(tmp_path / "good", *first[:2], *second)
    both = written(tmp_path / "both", *first[:2], *second[:1], first[2], *second[1:])
    left = written(tmp_path / "left", *first, done=False)
    lost, faults, holders, late = judged(good, both, left)
    assert (lost, holders, late) == (2, 5, 0)
    assert "two holders wrote in both" in faults[0]
    assert faults[1] == "nobody ended left"


def test_a_write_that_was_stopped_after_its_look_is_counted_apart(tmp_path: Path) -> None:
    first, second = [f"a 1 1 {part}" for part in range(3)], [f"b 2 1 {part}" for part in range(3)]
    folder = written(tmp_path / "late", *first[:2], second[0], first[2], *second[1:], late=(first[2],))
    assert judged(folder) == (0, [], 2, 1)
