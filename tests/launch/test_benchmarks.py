"""The benchmarks of the checkout: every script is listed, and runs."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from segsuite.cli import main
from segsuite.errors import ConfigError
from segsuite.launch.benchmarks import FOLDER, benchmarks, run_benchmark

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = {path.stem for path in (REPOSITORY / "benchmarks").glob("*.py") if "\ndef main()" in path.read_text("utf-8")}
SCRIPT = '"""Says what it was given.\n\nMore."""\nimport sys\ndef main():\n    print(sys.argv[1:])\nmain()\n'


def test_every_benchmark_of_the_checkout_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == SCRIPTS
    assert {"losses", "full_resolution_loss", "upsamplers", "overhead", "precision", "startup"} <= SCRIPTS


def test_the_list_is_json_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in found} == SCRIPTS
    assert all(one["what"].endswith(".") for one in found)


def test_an_unknown_name_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "loses"]) == 2
    assert "did you mean 'losses'" in capsys.readouterr().err


def test_without_a_checkout_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as found:
        benchmarks(tmp_path / "benchmarks")
    assert "pip install -e" in found.value.advice


def test_arguments_reach_the_script(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "echo.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "shared.py").write_text("VALUE = 1\n", encoding="utf-8")
    assert benchmarks(tmp_path) == {"echo": "Says what it was given."}
    assert run_benchmark("echo", ["--rounds", "3"], tmp_path) == 0
    assert capfd.readouterr().out == "['--rounds', '3']\n"


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["losses", "--rounds", "3"], ["--rounds", "3"]),
        (["losses", "--threads", "2", "--json"], ["--threads", "2", "--json"]),
        (["--json", "losses", "--rounds", "3"], ["--rounds", "3", "--json"]),
        (["losses", "--", "--layout", "channels_last"], ["--layout", "channels_last"]),
        (["losses", "--help"], ["--help"]),
    ],
)
def test_what_follows_the_name_is_for_the_script(
    given: list[str], passed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[str, list[str]]] = []

    def record(name: str, words: list[str]) -> int:
        called.append((name, words))
        return 0

    monkeypatch.setattr("segsuite.launch.benchmarks.run_benchmark", record)
    assert main(["bench", *given]) == 0
    assert called == [("losses", passed)]


def test_the_exit_code_is_that_of_the_script(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def main():\n    raise SystemExit(3)\nmain()\n", encoding="utf-8")
    assert run_benchmark("bad", [], tmp_path) == 3


def run(name: str, *arguments: str) -> str:
    """What a benchmark prints, started as a user does."""
    command = [sys.executable, "-m", "segsuite", "bench", name, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SCRIPTS - {"gpu", "quality", "sampling", "step", "torture"}))
def test_every_benchmark_runs_with_its_smallest_settings(name: str) -> None:
    assert FOLDER == REPOSITORY / "benchmarks"
    found = json.loads(run(name, "--small", "--rounds", "1", "--json"))
    assert found["benchmark"] == name
    assert found["tables"]


@pytest.mark.slow
def test_the_one_for_gpus_runs_on_a_cpu(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    found = json.loads(run("gpu", "--small", "--device", "cpu", "--minutes", "20", "--json", "--out", str(out)))
    assert {section["section"]: section["ended"] for section in found["sections"]} == dict.fromkeys(
        ("peaks", "cuda_tests", "training", "losses", "sweep", "scoring", "upsamplers", "profile", "compiled"), "done"
    )
    assert all(section["records"] for section in found["sections"])
    assert found["left_out"] == []
    assert json.loads(out.read_text()) == found


@pytest.mark.slow
def test_the_ratios_of_a_step_are_all_there(tmp_path: Path) -> None:
    """Every goal has a figure and says whether it was met, and why not."""
    out = tmp_path / "step.json"
    found = json.loads(run("step", "--small", "--minutes", "20", "--json", "--out", str(out)))
    assert json.loads(out.read_text()) == found
    assert {section["section"]: section["ended"] for section in found["sections"]} == dict.fromkeys(
        ("training", "inference", "counting", "precision", "sweep", "sharing"), "done"
    )
    records = [record for section in found["sections"] for record in section["records"]]
    goals = [record["columns"] for record in records if record["table"] == "Goals"]
    assert len(goals) >= 10
    assert all(goal["measured"] > 0 and goal["goal"] for goal in goals)
    assert all(goal["met"] == "yes" or goal["why"] for goal in goals)
    (row, *_) = [record["columns"] for record in records if record["table"] == "A training step, ms"]
    assert row.keys() <= {"stock", "bare loop", "segsuite", "floor of the arithmetic", "rounds", "threads"}


@pytest.mark.slow
def test_a_fast_path_that_is_the_same_by_construction_costs_no_quality() -> None:
    """Images from the cache are those that were decoded."""
    found = json.loads(run("quality", "--small", "--only", "2", "--json"))
    (row,) = found["tables"]
    assert row["path"] == "cached / decoded"
    assert row["equal_counts"]
    assert (row["difference"], row["low"], row["high"]) == (0.0, 0.0, 0.0)


def test_goals_say_whether_they_are_met(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(FOLDER)!r})
from section_records import Records, read
from pathlib import Path
from step_sections.goals import at_least, at_most, ratio
path = Path({str(tmp_path / "goals.jsonl")!r})
with Records(path) as records:
    at_least(records, "faster", ratio([6.0, 8.0, 40.0], [2.0, 2.0, 2.0]), 5, "the arithmetic")
    at_most(records, "share", 1.2, 1.3, "two people")
print([record["columns"] for record in read(path)])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ast.literal_eval(done.stdout) == [
        {"measured": 4.0, "goal": "at least 5", "met": "no", "why": "the arithmetic"},
        {"measured": 1.2, "goal": "at most 1.3", "met": "yes"},
    ]


def test_a_section_that_fails_or_lasts_too_long_leaves_the_others(tmp_path: Path) -> None:
    """Sections are processes: here one that raises, one that hangs and one that is well."""
    (tmp_path / "raises.py").write_text("def main(context, records):\n    raise ValueError('broken')\n")
    hangs = "import time\ndef main(context, records):\n    records.add('t', 'r', x=1)\n    time.sleep(60)\n"
    (tmp_path / "hangs.py").write_text(hangs)
    (tmp_path / "well.py").write_text("def main(context, records):\n    records.add('t', 'r', x=2)\n")
    program = f"""
import sys
sys.path.insert(0, {str(FOLDER)!r})
import gpu_sections
gpu_sections.__path__.append({str(tmp_path)!r})
import gpu, sectioned
gpu.SECTIONS = tuple(sectioned.Section(name, name, 0, 1) for name in ("raises", "hangs", "well"))
sys.argv = ["gpu", "--device", "cpu", "--json", "--minutes", "3"]
gpu.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    raised, hung, well = json.loads(done.stdout)["sections"]
    assert raised["ended"] == "failed"
    assert "ValueError: broken" in raised["log"]
    assert hung["ended"].startswith("stopped after")
    assert [record["columns"] for record in hung["records"] + well["records"]] == [{"x": 1}, {"x": 2}]
    assert well["ended"] == "done"


@pytest.mark.slow
def test_the_draws_of_camvid_are_counted(camvid_root: Path) -> None:
    assert "bicyclist" in run("sampling", "--epochs", "1", "--root", str(camvid_root))
