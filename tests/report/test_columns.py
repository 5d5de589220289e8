"""Tables that fit a terminal."""

import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from segsuite.cli import main
from segsuite.experiment import Experiment
from segsuite.report.columns import in_columns
from segsuite.report.tables import result_table
from tests.report.runs import GRID, GRID_BASELINE, experiment_in, finish

BAR, HEAVY = "\N{BOX DRAWINGS LIGHT VERTICAL}", "\N{BOX DRAWINGS HEAVY VERTICAL}"
CELL = st.text("abcdefgh ,=_", max_size=30).map(str.strip)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=5), st.integers(40, 90))
def test_folding_loses_no_word(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = in_columns(("one", "two", "three"), rows, width)
    assert max(map(len, lines)) <= max(width, 12 + 30 + 30 + 4)
    wide = in_columns(("one", "two", "three"), rows)
    assert sorted("".join(lines).replace(" ", "")) == sorted("".join(wide).replace(" ", ""))


def test_an_unnamed_column_goes_with_the_one_before() -> None:
    lines = in_columns(("a", "b", "", "c"), [("1", "2" * 20, "3", "4")], 10, ("b",))
    assert lines == ["a  c", "1  4", "left out at 10 columns: b"]


def shown(experiment: Experiment, width: int | None) -> str:
    console = Console(file=io.StringIO(), width=width or 200)
    console.print(result_table(experiment, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("grid", [False, True])
def test_the_result_table_keeps_names_and_headings_whole_at_80_columns(tmp_path: Path, grid: bool) -> None:
    """Arm names took five lines and headings ended in `accur...`."""
    experiment = experiment_in(tmp_path, GRID if grid else None, baseline=GRID_BASELINE if grid else None, images=2)
    finish(experiment)
    text = shown(experiment, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    rows = re.findall(rf"{BAR} (\S.*?) +{BAR} +0\.\d+ {BAR}", text)
    of_grid = ["nearest_conv, 0.0", "nearest_conv, 0.1", "bilinear_conv, 0.0 (baseline)"]
    assert rows[:3] == (of_grid if grid else ["nearest_conv", "bilinear_conv (baseline)", "transposed_k4"])
    assert "left out at 80 columns:" in text
    assert all(re.search(rf"[{BAR}{HEAVY}] +{name}", text) for name in ("background", "spot"))


def test_in_a_pipe_the_result_table_is_whole(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, images=2)
    finish(experiment)
    text = shown(experiment, None)
    assert "left out" not in text
    assert "upsampler=bilinear_conv (baseline)" in text
    assert "pixel accuracy" in text


@pytest.mark.parametrize("command", [["encoders"], ["bench"], ["inspect", "unet"]])
def test_listings_fit_the_terminal(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80 and "  " in line.strip()] == []
