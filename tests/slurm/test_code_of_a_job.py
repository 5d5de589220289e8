"""Which code a job runs, and in which folder: slurm/*.sbatch by themselves, with a real Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segsuite.io import store
from segsuite.launch.causes import cause
from segsuite.launch.same_failure import failures_in_words
from segsuite.launch.slurm import hold
from segsuite.launch.slurm.arrays import Code, Layout, Place, array_command, report_command
from segsuite.launch.slurm.node import node_command, seen
from segsuite.launch.slurm.profile import Profile
from segsuite.launch.status import Status
from tests.reliability.trials import REPOSITORY
from tests.slurm.scripts import Node, attempt_lines, write_program


def other_code(folder: Path, content: str | None) -> Path:
    (folder / "segsuite").mkdir(parents=True)
    if content is not None:
        (folder / "segsuite" / "__init__.py").write_text(content)
    return folder


@pytest.mark.parametrize("content", ["", None, "raise ImportError('too old')"], ids=["package", "folder", "broken"])
def test_a_trial_refuses_to_run_other_code_than_that_of_its_job(content: str | None, tmp_path: Path) -> None:
    other = other_code(tmp_path / "other", content)
    container = ["env", f"PYTHONPATH={other}"]
    node = Node(tmp_path / "e", {"python": sys.executable, "container": container}, trials=3)
    table = node.table()
    assert node.run(table) == 2, node.log()
    (trial, *_) = node.trials
    assert attempt_lines(trial)[-1]["code"] == 2
    found = cause(trial.folder)
    expected = (
        "Python finds no segsuite (too old)" if content else f"Python imports segsuite from {other}, and not from"
    )
    assert found.reason.startswith(expected)
    assert str(REPOSITORY) in found.reason
    assert "`container` or `python` of the profile changes PYTHONPATH" in found.advice
    assert failures_in_words([trial.folder]) == [f"1 failed: {found.reason[:300]}"]
    assert not (trial.folder / "events.jsonl").exists()
    told = {one["id"]: one for one in Status(node.experiment).look()["trials"]}[trial.id]
    assert (told["state"], told["reason"]) == ("failed", found.reason)
    assert [node.run(table, index) for index in (1, 2)] == [2, 2]
    held = hold.read(node.place.folder)
    assert held is not None  # the rest of the array would be refused as well
    assert found.reason[:40] in held["reason"]


def test_a_container_that_passes_on_no_environment_is_refused_where_it_has_another_segsuite(tmp_path: Path) -> None:
    other = other_code(tmp_path / "other", "")
    write_program(tmp_path / "python", f'#!/bin/sh\nPYTHONPATH={other} exec {sys.executable} "$@"\n')
    profile = {"container": ["env", "-i"], "python": str(tmp_path / "python")}
    node = Node(tmp_path / "e", profile)
    assert node.run(node.table()) == 2, node.log()
    assert f"imports segsuite from {other}" in cause(node.trials[0].folder).reason


def test_the_trial_runs_where_its_code_is_reached_by_another_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(REPOSITORY)
    begun = tmp_path / "link" / "segsuite" / "launch" / "slurm" / "begun.py"
    words = [sys.executable, "-P", begun, tmp_path / "begun", "segsuite.io.numbers"]
    done = subprocess.run(words, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "begun").exists()


@pytest.mark.parametrize("path", ["", ":", "/mine", ":/mine", "/mine:", "/mine::/yours"])
def test_no_module_of_the_folder_of_submission_takes_the_place_of_a_librarys(path: str, tmp_path: Path) -> None:
    (tmp_path / "statistics.py").write_text("raise SystemExit('of the working folder')\n")
    script = f"""
    . {REPOSITORY}/slurm/environment.sh
    use_code {REPOSITORY}
    echo "$PYTHONPATH"
    exec {sys.executable} -m statistics
    """
    environment = {"PATH": "/usr/bin:/bin", **({"PYTHONPATH": path} if path else {})}
    done = subprocess.run(["bash", "-uc", script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    named = [folder for folder in path.split(":") if folder]
    assert done.stdout.splitlines()[0] == ":".join([str(REPOSITORY), *named])  # what is the user's own stays


def test_each_job_says_in_which_folder_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, place = Code(REPOSITORY, "python"), Place(tmp_path)
    commands = [
        array_command(place, "a", "1", 1, Profile(), code, Layout()),
        report_command(place, "a", ["1"], Profile(), code, ["report"]),
        node_command(Profile(), tmp_path, code),
    ]
    assert [f"--chdir={tmp_path}" in words for words in commands] == [True, True, True]


def test_relative_paths_begin_in_the_folder_of_the_call_wherever_slurm_starts_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path / "e")
    write_program(tmp_path / "e" / "python", '#!/bin/bash\ntouch "$4"\npwd >"$6/pwd"\necho "{}" >"$6/result.json"\n')
    (tmp_path / "called").mkdir()
    monkeypatch.chdir(tmp_path / "called")
    assert node.run(node.table()) == 0, node.log()  # starts in another folder, as slurmd does without --chdir
    assert (node.trials[0].folder / "pwd").read_text() == f"{tmp_path}/called\n"


def test_a_node_without_the_working_folder_is_a_failure_that_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path / "e")
    table = node.table()
    (tmp_path / "called").mkdir()
    monkeypatch.chdir(tmp_path / "called")
    words = node.command(table, REPOSITORY)
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(tmp_path / "called")
    with open(node.place.logs / "7_0.log", "wb") as log:
        done = subprocess.run(["bash", *words], env=node.variables(0, 7), stdout=log, stderr=log, check=False)
    assert done.returncode == 1
    found = cause(node.trials[0].folder)
    assert f"before Python began, at: cd {tmp_path}/called" in found.reason
    assert "nodes must see the folder that `segsuite run` is called in" in found.advice


@pytest.mark.slow
def test_doctor_looks_which_code_a_node_imports(tmp_path: Path) -> None:
    other = other_code(tmp_path / "other", "")
    shutil.copytree(REPOSITORY / "segsuite", other / "segsuite", dirs_exist_ok=True)
    probe = tmp_path / "probe"
    probe.mkdir()
    (probe / "mark").write_text("probe")
    code = Code(REPOSITORY, sys.executable)
    words = [sys.executable, "-P", "-m", "segsuite.launch.slurm.node", str(probe), str(code.folder)]
    environment = {**os.environ, "PYTHONPATH": str(other)}
    subprocess.run(words, env=environment, cwd=tmp_path, check=True)
    answer = store.read_json(probe / "answer.json")
    assert answer is not None
    checks = seen(answer, probe, False, code)
    (found,) = [check for check in checks if check.name.endswith(", code")]
    assert found.level == "problem"
    assert found.found == f"Python imports segsuite from {other}, and not from {REPOSITORY}"
