"""Run directories of other people, which may not be read or not be written to: real processes without root's rights."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segsuite.experiment import Experiment, Trial
from segsuite.io import store
from tests.reliability.trials import REPOSITORY, environment, trials_of, write_experiment
from tests.report.runs import experiment_in, finish

ANOTHER = 54321
"""A user whom nobody here is: the owner of what may not be read."""
RIGHTLESS = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
"""Still root by number, so that Python and the checkout can be read, but without its power over files of others."""
COMMANDS = """
import sys
from segsuite.cli import main
for command in sys.argv[2:]:
    code = main([command, sys.argv[1]])
    print(f"exit code of {command}: {code}", flush=True)
"""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, to make files of another user"
)


def call(path: Path, *commands: str) -> str:
    """What the commands print, called one after the other by a process without root's rights."""
    ran = subprocess.run(
        [*RIGHTLESS, sys.executable, "-c", COMMANDS, str(path), *commands],
        capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment(),
    )  # fmt: skip
    assert "Traceback" not in ran.stdout + ran.stderr, ran.stderr
    return ran.stdout + ran.stderr


def lock(trial: Trial, mode: int = 0o700) -> None:
    """Makes the run directory another person's."""
    trial.folder.mkdir(parents=True, exist_ok=True)
    for path in (*trial.folder.rglob("*"), trial.folder):
        os.chown(path, ANOTHER, ANOTHER)
    trial.folder.chmod(mode)


@pytest.fixture
def made(tmp_path: Path) -> Experiment:
    experiment = experiment_in(tmp_path, compare={}, seeds=(0, 1, 2), images=3, size=(32, 48))
    finish(experiment)
    return experiment


def test_one_that_may_not_be_read_stops_no_command(made: Experiment) -> None:
    lock(made.trials[1])
    told = call(made.path, "status", "plan", "why", "report")
    for command, code in {"status": 1, "plan": 0, "why": 0, "report": 0}.items():
        assert f"exit code of {command}: {code}" in told
    assert told.count(f"cannot be read: Permission denied; it is {ANOTHER}'s") == 3  # status, why, report
    assert "2 finished, 1 unreadable" in told
    assert "n = 2" in (made.folder / "report" / "report.html").read_text()


def test_nor_does_a_result_that_may_not_be_read(made: Experiment) -> None:
    """A umask of 077 within a folder that all may read: it is not damaged, and not to be run again."""
    result = made.trials[1].folder / "result.json"
    os.chown(result, ANOTHER, ANOTHER)
    result.chmod(0o600)
    told = call(made.path, "status", "report", "run")
    assert f"result.json cannot be read: Permission denied; it is {ANOTHER}'s; it is not run" in told
    assert "exit code of run: 1" in told
    assert "1 trial not run" in told
    assert store.state(made.trials[1].folder) == "finished"


def test_an_experiment_that_may_not_be_read_is_one_sentence(made: Experiment) -> None:
    os.chown(made.folder, ANOTHER, ANOTHER)
    made.folder.chmod(0o700)
    told = call(made.path, "status", "plan", "why", "report", "run")
    for command in ("status", "plan", "report", "run"):
        assert f"exit code of {command}: 0" not in told
    assert f"made cannot be read: Permission denied; it is {ANOTHER}'s" in told


@pytest.mark.slow
def test_run_goes_on_with_the_others(tmp_path: Path) -> None:
    """One may not be read, one may not be written to, one is free."""
    path = write_experiment(tmp_path, seeds=[0, 1, 2], train__epochs=1, train__max_steps=1)
    trials = trials_of(path)
    lock(trials[0])
    lock(trials[1], 0o755)
    told = call(path, "run")
    assert f"unreadable: tiny, seed 0: {trials[0].id} cannot be read: Permission denied; it is {ANOTHER}'s" in told
    assert "FAILED: tiny, seed 1: cannot write: Permission denied" in told
    assert "finished: tiny, seed 2" in told
    assert "exit code of run: 1" in told
    assert store.state(trials[2].folder) == "finished"
    assert os.listdir(trials[0].folder) == []
