"""What the command line does where its output, its terminal or its folder is not what one expects."""

import subprocess
import sys
from pathlib import Path

import pytest

from segsuite.cli import main
from segsuite.errors import EXIT_FAILED, EXIT_WRONG_USE
from tests.reliability.trials import REPOSITORY, environment
from tests.report.runs import experiment_in, finish

QUESTION = "Gr\u00f6\u00dfe \u2192 \u03a9 \u753b\u50cf?"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = experiment_in(tmp_path, compare={}, seeds=(0,), images=2, size=(32, 48), question=QUESTION)
    finish(made)
    return made.path


def call(words: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """`segsuite` with its output redirected as a shell's `words` say."""
    return subprocess.run(
        ["bash", "-c", f'"$0" -m segsuite "$@" {words}', sys.executable, *map(str, arguments)],
        capture_output=True, check=False, cwd=REPOSITORY, env=environment(**variables), encoding="utf-8",
    )  # fmt: skip


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_full_disk_behind_standard_output_is_one_sentence(path: Path, buffered: str) -> None:
    ran = call(">/dev/full", "status", path, PYTHONUNBUFFERED=buffered)
    assert ran.returncode == EXIT_FAILED
    assert ran.stderr.startswith("error: what is printed cannot be written: No space left on device\n")
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr


@pytest.mark.parametrize("words", [">&-", "<&- >&-", ">&- 2>&-"])
def test_a_command_does_its_work_with_closed_streams(path: Path, words: str) -> None:
    """And what it would have printed does not land in a file that it writes."""
    ran = call(words, "report", path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    page = next(path.parent.glob("runs/*/report/report.html")).read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "written to" not in page[:1000]


def test_a_question_that_the_terminal_cannot_show_is_shown_in_other_letters(path: Path) -> None:
    ran = call("", "run", path, PYTHONIOENCODING="ascii")
    assert ran.returncode == 0, ran.stderr
    assert r"question: Gr\xf6\xdfe \u2192 \u03a9 \u753b\u50cf?" in ran.stdout


@pytest.mark.parametrize("command", ["status", "plan", "run", "report", "why", "clean"])
@pytest.mark.parametrize("root", ["loop", "loop/inside", "a" * 300, "file", "file/inside", "a/../" + "b" * 300])
def test_a_runs_root_that_is_no_folder_is_one_sentence(
    path: Path, command: str, root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(path.parent)
    Path("loop").symlink_to("loop2")
    Path("loop2").symlink_to("loop")
    Path("file").write_text("")
    Path("a").mkdir()
    assert main([command, str(path), "--set", f"runs_root={root}"]) == EXIT_WRONG_USE
    said = capsys.readouterr().err
    assert said.startswith("error: runs_root ")
    assert "is no folder: " in said
    assert "--set runs_root=" in said
