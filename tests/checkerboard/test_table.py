"""The table of measures: readable without torch, complete."""

import subprocess
import sys

import pytest

from segsuite.checkerboard import MEASURES


def test_the_table_is_read_without_torch_or_numpy() -> None:
    program = "import sys, segsuite.checkerboard; sys.exit(str({'torch', 'numpy'} & set(sys.modules) or ''))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr.strip() == ""


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_says_what_it_is(name: str) -> None:
    measure = MEASURES[name]
    assert measure.better in ("lower", "higher", "nearer to 1")
    assert measure.definition.endswith(".")
    assert measure.definition.count(". ") == 0
    assert all((measure.title, measure.unit, measure.source))
