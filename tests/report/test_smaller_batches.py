"""Trials that took smaller batches, or shared a job, are marked wherever their numbers are shown."""

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from segsuite.experiment import Experiment
from segsuite.io import atomic, store
from segsuite.report.build import build_report, write_report
from segsuite.report.tables import result_table
from tests.report.runs import ARMS, experiment_in, finish

RECORD = {"batch_size": 4, "accumulate": 2, "was": {"batch_size": 8, "accumulate": 1}}
WORDS = "4 x 2 instead of 8 x 1"


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """The first trial, of nearest_conv, took smaller batches; the second shared its job."""
    made = experiment_in(tmp_path_factory.mktemp("marked"))
    finish(made)
    for trial, mark in zip(made.trials, ({"smaller_batch": RECORD}, {"packed": 3}), strict=False):
        result = store.read_json(trial.folder / "result.json")
        assert result is not None
        atomic.write_json(trial.folder / "result.json", result | mark)
    write_report(build_report(made), made.folder / "report")
    return made


def written(experiment: Experiment, name: str) -> str:
    return (experiment.folder / "report" / name).read_text(encoding="utf-8")


def test_the_page_names_the_trial_and_marks_its_score_and_its_arm(experiment: Experiment) -> None:
    page = written(experiment, "report.html")
    assert f"{ARMS[0]} seed 0 ({WORDS})" in page
    assert page.count("*</td>") == 2  # in the grid, and beside the seeds of its arm
    assert "some trials took smaller batches" in page


@pytest.mark.parametrize(
    ("name", "mark", "note"), [("table.md", r"| 3\* |", "\\* the memory"), ("table.tex", "3* &", "% * the memory")]
)
def test_tables_mark_the_arm_and_say_why(experiment: Experiment, name: str, mark: str, note: str) -> None:
    text = written(experiment, name)
    assert text.count(mark) == 1
    assert note in text


def test_the_csv_has_a_column_for_it(experiment: Experiment) -> None:
    rows = list(csv.DictReader(io.StringIO(written(experiment, "results.csv"))))
    assert [row["smaller_batches"] for row in rows[:2]] == [WORDS, ""]


def test_the_json_has_what_the_trials_recorded(experiment: Experiment) -> None:
    first, second, *_ = json.loads(written(experiment, "report.json"))["trials"]
    assert first["smaller_batch"] == RECORD
    assert second["packed"] == 3


def test_the_cost_section_says_that_times_of_packed_trials_are_not_comparable(experiment: Experiment) -> None:
    assert "Times of 1 trial are not comparable" in written(experiment, "report.html")


def test_the_terminal_marks_the_score_and_says_why(experiment: Experiment) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(result_table(experiment))
    text = console.export_text()
    assert text.count("*") == 2
    assert "* the memory was too small" in text


def test_without_such_trials_nothing_is_marked(tmp_path: Path) -> None:
    usual = experiment_in(tmp_path)
    finish(usual)
    report = build_report(usual)
    write_report(report, usual.folder / "report")
    assert "smaller batches" not in written(usual, "report.html")
    assert "smaller_batches" not in written(usual, "results.csv")
