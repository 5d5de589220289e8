"""A trial takes no module from the folder that `segsuite run` is called in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segsuite.launch.attempt import environment
from segsuite.launch.doctor.machine import answer_of
from segsuite.launch.slots import Slot
from tests.reliability.trials import REPOSITORY, customised, trials_of, write_experiment

SHADOW = "raise SystemExit('a module of the working folder')\n"
# In every Python process of the user: it notes what kind of process it is.
NOTE = """
import os, sys
with open(os.environ["NOTES"], "a") as notes:
    notes.write(f"{sys.orig_argv[1:4]} {sys.flags.safe_path}\\n")
"""


def test_the_environment_of_a_trial_keeps_the_working_folder_out_and_the_users_own_folders_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.py").write_text("print('mine')\n")
    monkeypatch.chdir(tmp_path)
    Path("statistics.py").write_text(SHADOW)
    for path in ("", ":", f"{tmp_path}/mine:", f":{tmp_path}/mine"):
        monkeypatch.setenv("PYTHONPATH", path)
        done = subprocess.run(
            [sys.executable, "-m", "statistics"], env=environment(Slot()), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
    words = [sys.executable, "-m", "mine"]
    assert subprocess.run(words, env=environment(Slot()), capture_output=True, text=True).stdout == "mine\n"


def test_doctor_asks_a_python_that_takes_nothing_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("statistics.py").write_text(SHADOW)
    program = "import json, statistics; print(json.dumps({'mean': statistics.mean([1, 3])}))"
    assert answer_of([sys.executable, "-c", program]) == ({"mean": 2}, "")


@pytest.mark.parametrize("option", ["--version", "schema"])
def test_the_command_itself_takes_nothing_from_the_working_folder(option: str, tmp_path: Path) -> None:
    for name in ("statistics", "argparse", "json", "difflib"):
        (tmp_path / f"{name}.py").write_text(SHADOW)
    words = [sys.executable, "-m", "segsuite", option]
    own = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(words, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_where_only_the_working_folder_has_segsuite_its_processes_find_it(tmp_path: Path) -> None:
    (tmp_path / "segsuite").symlink_to(REPOSITORY / "segsuite")
    program = """
import runpy, subprocess, sys
sys.argv = ["segsuite", "--version"]
try:
    runpy.run_module("segsuite", run_name="__main__", alter_sys=True)
except SystemExit:
    from segsuite.launch.attempt import environment
    from segsuite.launch.slots import Slot
    words = [sys.executable, "-S", "-c", "import segsuite; print(segsuite.__file__)"]
    subprocess.run(words, env=environment(Slot()), check=True)
"""
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=own, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "segsuite" / "__init__.py")


@pytest.mark.parametrize("place", ["", "."])
def test_a_notebook_that_has_segsuite_beside_it_starts_processes_that_find_it(place: str, tmp_path: Path) -> None:
    (tmp_path / "segsuite").symlink_to(REPOSITORY / "segsuite")
    program = f"""
import subprocess, sys
sys.path[0] = {place!r} and {str(tmp_path)!r}
from segsuite.launch.attempt import environment
from segsuite.launch.slots import Slot
words = [sys.executable, "-S", "-c", "import segsuite; print(segsuite.__file__)"]
subprocess.run(words, env=environment(Slot()), check=True, cwd="/")
"""
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=own, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == (f"{tmp_path}/segsuite/__init__.py\n", 0), done.stderr


@pytest.mark.slow
def test_trials_forked_and_fresh_run_beside_a_statistics_module_of_the_user(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "statistics.py").write_text(SHADOW)
    notes = tmp_path / "notes"
    python_path = customised(tmp_path / "customised", NOTE)
    own = {**os.environ, "PYTHONPATH": python_path, "NOTES": str(notes), "OMP_NUM_THREADS": "1"}
    for options, module in (([], "segsuite.trial.nursery"), (["--fresh"], "segsuite.trial")):
        path = write_experiment(tmp_path / module, seeds=[0, 1], train__max_steps=1)
        words = [sys.executable, "-m", "segsuite", "run", str(path), *options]
        done = subprocess.run(words, cwd=work, env=own, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert all((trial.folder / "result.json").exists() for trial in trials_of(path))
        assert f"['-m', '{module}'" in notes.read_text()
    trials = [line for line in notes.read_text().splitlines() if "segsuite.trial" in line]
    assert trials
    assert all(line.endswith(" True") for line in trials)
