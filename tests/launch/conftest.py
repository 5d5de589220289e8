"""An experiment to show, a clock that a test moves, a pipe and a terminal."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from segsuite.experiment import Experiment, load
from segsuite.launch import display as display_module
from tests.launch.displays import Clock

TEXT = """\
name: small
question: 'Which [bold]one[/bold] of [/these]?'
data: {name: shapes}
model: {name: unet}
compare:
  budget: {"[red]short[/red]": {train.epochs: 2}, "long [/x]": {train.epochs: 4}}
seeds: [0, 1]
"""


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(TEXT)
    return load(Path("small.yaml"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(display_module, "time", clock)
    return clock


@pytest.fixture
def pipe() -> Console:
    return Console(file=io.StringIO(), highlight=False, width=60)


@pytest.fixture
def terminal() -> Console:
    return Console(file=io.StringIO(), highlight=False, force_terminal=True, width=120, color_system=None)
