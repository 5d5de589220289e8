"""slurm/trial.sbatch by itself: what a site asks for, and what is noted when Python never begins."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from segsuite.io import store
from segsuite.launch.causes import cause
from segsuite.launch.same_failure import failures_in_words
from segsuite.launch.slurm import hold
from segsuite.launch.slurm.profile import Profile
from segsuite.launch.status import Status
from tests.reliability.trials import REPOSITORY
from tests.results import whole_result
from tests.slurm.scripts import Node, attempt_lines, later, write_program


def module_program(folder: Path) -> str:
    """An exported function `module` as a site has it; it knows demo/1 alone."""
    return '() { [ "$2" = demo/1 ] && export DEMO=loaded && return; echo "module: $2 is unknown" >&2; return 1; }'


MODULE = {"BASH_FUNC_module%%": module_program(Path())}


@pytest.mark.parametrize(
    ("profile", "code", "words"),
    [
        ({"modules": ["cuda/99"]}, 1, ["at: module load cuda/99", "module: cuda/99 is unknown", "`modules`"]),
        ({"prologue": [["nonesuch", "on"]]}, 127, ["at: prologue nonesuch on", "command not found", "`prologue`"]),
        ({"prologue": "/no/such/file"}, 1, ["at: prologue source /no/such/file", "No such file"]),
        ({"container": ["apptainer-x", "exec"]}, 2, ["code 2 before Python", "apptainer-x: No such", "`container`"]),
        ({"python": "/no/python"}, 2, ["code 2 before Python", "/no/python: No such file", "`python`"]),
    ],
)
def test_what_fails_before_python_begins_is_noted_and_explained(
    profile: dict[str, Any], code: int, words: list[str], tmp_path: Path
) -> None:
    node = Node(tmp_path, profile)
    assert node.run(node.table(), **MODULE) == code
    (trial,) = node.trials
    begin, end = attempt_lines(trial)
    assert (begin["job"], begin["node"], end["code"], end["python"]) == ("7_0", "n1", code, False)
    assert store.state(trial.folder) == "failed"
    found = cause(trial.folder)
    assert found.reason.startswith(f"the job ended with code {code} before Python began")
    assert [word for word in words if word not in f"{found.reason} {found.advice}"] == []
    (told,) = Status(node.experiment).look()["trials"]
    assert (told["state"], told["reason"]) == ("failed", found.reason)
    assert failures_in_words([trial.folder]) == [f"1 failed: {found.reason[:300]}"]


def test_a_site_without_module_in_a_jobs_shell_is_told_so(tmp_path: Path) -> None:
    node = Node(tmp_path, {"modules": ["cuda/12"]})
    assert node.run(node.table()) == 127
    assert "a job's shell has no command `module` here: source its init file" in cause(node.trials[0].folder).reason


def test_a_site_script_that_ends_the_shell_is_a_failure_that_is_noted(tmp_path: Path) -> None:
    script = tmp_path / "site.sh"
    script.write_text("echo 'no licence today'\nexit 0\n")
    node = Node(tmp_path / "e", {"prologue": str(script)})
    assert node.run(node.table()) == 1
    assert "no licence today" in cause(node.trials[0].folder).reason


def test_modules_and_prologue_change_the_environment_of_a_trial_and_words_stay_words(tmp_path: Path) -> None:
    script = tmp_path / "my site.sh"
    script.write_text('set -e\nexport FROM_SCRIPT="$# words"; unset_is_no_error=$NOT_SET; false || true\n')
    commands = [["export", "A=b c;$(touch x)", "B='\""], ["source", str(script)], ["cd", "/"]]
    node = Node(tmp_path / "e", {"modules": ["demo/1"], "prologue": commands, "srun": ["--cpu-bind=cores", "--label"]})
    assert node.run(node.table(), **MODULE) == 0, node.log()
    found = node.environment(node.trials[0])
    assert (found["DEMO"], found["A"], found["B"]) == ("loaded", "b c;$(touch x)", "'\"")
    assert found["FROM_SCRIPT"] == "0 words"
    assert found["PYTHONPATH"].split(":")[0] == str(REPOSITORY)
    assert {"--cpu-bind=cores", "--label"} <= set((node.folder / "srun.words").read_text().splitlines())
    assert not list(tmp_path.rglob("x"))
    assert attempt_lines(node.trials[0])[-1].get("python") is None
    assert not (node.trials[0].folder / "begun").exists()


def test_where_sbatch_exports_nothing_a_trial_still_has_its_code(tmp_path: Path) -> None:
    node = Node(tmp_path)
    assert node.run(node.table(), SLURM_EXPORT_ENV="NONE") == 0, node.log()
    found = node.environment(node.trials[0])
    assert found["PYTHONPATH"] == str(REPOSITORY)
    assert found["OMP_NUM_THREADS"] == "1"
    assert found["PYTHONSAFEPATH"] == "1"


def test_a_trial_takes_the_code_of_its_submission_where_it_is_submitted_from_the_checkout(tmp_path: Path) -> None:
    node = Node(tmp_path / "e")
    for name in ("copy", "checkout"):
        (tmp_path / name / "segsuite").mkdir(parents=True)
        (tmp_path / name / "segsuite" / "__init__.py").write_text(f"print({name!r})\n")
    shutil.copytree(REPOSITORY / "slurm", tmp_path / "copy" / "slurm", ignore=shutil.ignore_patterns("local-cluster"))
    python = f'#!/bin/bash\ntouch "$4"\ncd {tmp_path}/checkout\n{sys.executable} -m segsuite\n'
    write_program(node.folder / "python", python)
    node.run(node.table(), code=tmp_path / "copy")
    assert "copy\n" in node.log()
    assert "checkout\n" not in node.log()


def test_equal_failures_before_python_hold_what_waits_and_are_said_once(tmp_path: Path) -> None:
    node = Node(tmp_path, {"python": "/no/python"}, trials=5)
    table = node.table()
    assert [node.run(table, index) for index in (0, 1)] == [2, 2]
    assert hold.read(node.place.folder) is None
    assert node.run(table, 2) == 2
    held = hold.read(node.place.folder)
    assert held is not None
    assert held["job"] == "7"
    assert held["reason"].startswith("3 trials failed in the same way: the job ended with code 2 before Python began")
    assert node.run(table, 3) == 2  # had begun meanwhile
    assert (tmp_path / "scontrol.words").read_text() == "hold 7\n"


def test_failures_of_different_kinds_of_before_the_submission_or_beside_a_result_hold_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path, {"python": "/no/python"}, trials=4)
    first = node.table()
    assert [node.run(first, index) for index in (0, 1)] == [2, 2]
    second = node.table()
    assert node.run(second, 2, job=8) == 2  # the two before are being repeated
    assert hold.read(node.place.folder) is None
    (node.trials[3].folder / "result.json").write_text(json.dumps(whole_result()))
    assert [node.run(second, index, job=8) for index in (0, 1)] == [2, 2]
    assert hold.read(node.place.folder) is None


def test_packed_trials_are_all_noted(tmp_path: Path) -> None:
    node = Node(tmp_path, {"prologue": [["nonesuch"]]}, trials=2)
    assert node.run(node.table(pack=2)) == 127
    for trial in node.trials:
        assert [line.get("code") for line in attempt_lines(trial)] == [None, 127]
        assert "nonesuch" in cause(trial.folder).reason


def test_a_failure_of_before_is_forgotten_when_the_trial_begins(tmp_path: Path) -> None:
    node = Node(tmp_path, {"python": "/no/python"})
    table = node.table()
    assert node.run(table) == 2
    node.profile = Profile(python=str(node.folder / "python"))
    assert node.run(table, job=8) == 0
    assert store.state(node.trials[0].folder) == "finished"


def test_a_table_that_a_slow_file_system_shows_later_is_waited_for(tmp_path: Path) -> None:
    node = Node(tmp_path)
    number = node.table()
    table = node.place.tables / f"{number}.txt"
    shutil.move(table, tmp_path / "hidden")
    showing = threading.Thread(target=later, args=(2.0, lambda: shutil.move(tmp_path / "hidden", table)))
    showing.start()
    assert node.run(number) == 0, node.log()
    showing.join()
    assert store.state(node.trials[0].folder) == "finished"


def test_the_wait_for_a_table_has_an_end(tmp_path: Path) -> None:
    node = Node(tmp_path)
    assert node.run(5, SEGSUITE_WAIT_SECONDS="1") == 2
    assert "task 7_0 has no trial in table 5, or no code: waited" in node.log()


def test_code_that_a_node_does_not_see_is_a_failure_of_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    node = Node(tmp_path)
    words = [word if word != str(REPOSITORY) else "/no/code" for word in node.command(node.table(), REPOSITORY)]
    environment = {**node.variables(0, 7), "SEGSUITE_WAIT_SECONDS": "0"}
    done = subprocess.run(["bash", *words], env=environment, stderr=subprocess.DEVNULL, check=False)
    assert done.returncode == 2
    assert "at: reading the code" in cause(node.trials[0].folder).reason


def test_environment_modules_3_that_only_print_an_error_have_failed(tmp_path: Path) -> None:
    node = Node(tmp_path, {"modules": ["cuda/99"]})
    old = {"BASH_FUNC_module%%": '() { echo "ModuleCmd_Load.c(213):ERROR:105: Unable to locate $2" >&2; }'}
    assert node.run(node.table(), **old) == 1
    assert "ERROR:105: Unable to locate cuda/99" in cause(node.trials[0].folder).reason


def test_the_report_has_modules_prologue_and_container(tmp_path: Path) -> None:
    from segsuite.launch.slurm.arrays import Code, Place, report_command

    node = Node(tmp_path)
    container = write_program(tmp_path / "container", f'#!/bin/bash\nenv >{tmp_path}/found\nprintf "%s\\n" "$@"\n')
    profile = Profile(
        modules=("demo/1",), prologue=(("export", "A=b"),), container=(str(container), "--nv"), gres="gpu:1",
        options={"mail-type": "END", "gpu-bind": "none", "exclusive": True}, sbatch=("--constraint=ib",), account="x",
    )  # fmt: skip
    code = Code(REPOSITORY, "python")
    words = report_command(Place(node.place.folder), "name", ["5"], profile, code, ["report", "a b.yaml"])
    script = words.index(str(REPOSITORY / "slurm" / "report.sbatch"))
    options = words[:script]
    assert {"--account=x", "--mail-type=END", "--constraint=ib", "--time=00:30:00"} <= set(options)
    assert not [word for word in options if "gpu" in word or "gres" in word or "exclusive" in word]
    environment = {"PATH": "/usr/bin:/bin", **MODULE}
    done = subprocess.run(
        ["bash", *words[script:]], env=environment, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.splitlines() == ["--nv", "python", "-P", "-m", "segsuite", "report", "a b.yaml"], done.stderr
    found = (tmp_path / "found").read_text()
    assert "DEMO=loaded" in found
    assert "A=b\n" in found


# In the place of python: it begins, then breaks on an import, the trial's and that of what looks at failures.
WITHOUT_PACKAGES = """#!/bin/bash
[ "${3##*/}" = begun.py ] && touch "$4"
echo "ModuleNotFoundError: No module named 'cv2'" >&2
exit 1
"""


def test_a_python_without_the_packages_is_a_failure_that_is_noted_and_holds_what_waits(tmp_path: Path) -> None:
    node = Node(tmp_path, trials=4)
    write_program(tmp_path / "python", WITHOUT_PACKAGES)
    table = node.table()
    assert [node.run(table, index) for index in (0, 1, 2)] == [1, 1, 1]
    for trial in node.trials[:3]:
        assert store.state(trial.folder) == "failed"
        why = cause(trial.folder).reason
        assert "the job ended with code 1 before the trial could say why" in why
        assert "No module named 'cv2'" in why
    held = hold.read(node.place.folder)
    assert held is not None
    assert held["reason"].startswith("3 trials failed in the same way")


def test_what_a_trial_said_of_its_failure_stays_in_a_container_without_an_environment(tmp_path: Path) -> None:
    node = Node(tmp_path, {"container": ["env", "-i", "PATH=/usr/bin:/bin"]})
    write_program(
        tmp_path / "python",
        """#!/bin/bash
[ "${3##*/}" = begun.py ] || exit 0
touch "$4"
sleep 0.1
echo '{"kind": "NonFiniteError", "reason": "the loss became nan in epoch 12", "time": 1}' >"$6/failure.json"
exit 1
""",
    )
    assert node.run(node.table()) == 1
    assert "the loss became nan in epoch 12" in cause(node.trials[0].folder).reason


@pytest.mark.parametrize(
    ("program", "said"),
    [("exit 0", "ended with code 0 before Python began"), ("kill -SEGV $$", "ended with code 139 before Python began")],
)
def test_a_program_that_is_no_python_is_a_failure(tmp_path: Path, program: str, said: str) -> None:
    node = Node(tmp_path)
    write_program(tmp_path / "python", f"#!/bin/bash\n{program}\n")
    assert node.run(node.table()) != 0
    assert said in cause(node.trials[0].folder).reason
    assert store.state(node.trials[0].folder) == "failed"
