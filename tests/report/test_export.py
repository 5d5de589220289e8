"""The files beside the page hold the numbers of the run directories."""

import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import pytest

from segsuite.experiment import Experiment
from segsuite.io import atomic, store
from segsuite.report.build import build_report, write_report
from segsuite.report.export import latex, markdown, results_csv
from segsuite.stats import compare
from tests.report.runs import experiment_in, fail, finish

HOSTILE = r"a_b & 50% #1 {x} ~^\ $y$ <z> |w| --"


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    made = experiment_in(tmp_path_factory.mktemp("export"))
    finish(made, only=lambda trial: trial is not made.trials[-1])
    fail(made.trials[-1], "=1+1")
    write_report(build_report(made), made.folder / "report")
    return made


def rows(experiment: Experiment) -> list[dict[str, str]]:
    with open(experiment.folder / "report" / "results.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_csv_has_a_row_for_every_trial(experiment: Experiment) -> None:
    assert [row["id"] for row in rows(experiment)] == [trial.id for trial in experiment.trials]


@pytest.mark.parametrize("score", ["miou", "pixel_accuracy", "frequency_weighted_iou"])
def test_csv_scores_equal_result_json_to_the_last_digit(experiment: Experiment, score: str) -> None:
    for row, trial in list(zip(rows(experiment), experiment.trials, strict=True))[:-1]:
        result = store.read_json(trial.folder / "result.json")
        assert result is not None
        assert float(row[score]) == result["scores"][score]
        assert int(row["parameters"]) == result["cost"]["parameters"]


def test_a_cell_is_no_formula_to_a_spreadsheet(experiment: Experiment) -> None:
    assert rows(experiment)[-1]["reason"] == "'=1+1"


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_a_cell_of_the_header_is_no_formula_either(experiment: Experiment, start: str) -> None:
    gathered = build_report(experiment, with_images=False).material.gathered
    axis, values = next(iter(gathered.axes.items()))
    named = dataclasses.replace(gathered, axes={f"{start}1+1": values})
    header = next(csv.reader(io.StringIO(results_csv(named))))
    assert f"'{start}1+1" in header
    assert axis not in header


def test_the_json_holds_the_comparisons_of_stats(experiment: Experiment) -> None:
    report = json.loads((experiment.folder / "report" / "report.json").read_text(encoding="utf-8"))
    gathered = build_report(experiment).material.gathered
    assert gathered.reference is not None
    expected = compare(gathered.counts(), "upsampler=bilinear_conv", "miou", gathered.reference.sequences)
    found = report["comparisons"]["miou"]
    assert [one["difference"] for one in found] == [one.difference for one in expected]
    assert [one["p_holm"] for one in found] == [one.p_holm for one in expected]
    assert [one["sentence"] for one in found] == [one.sentence() for one in expected]


def test_every_figure_is_a_file(experiment: Experiment) -> None:
    report = json.loads((experiment.folder / "report" / "report.json").read_text(encoding="utf-8"))
    written = {path.stem for path in (experiment.folder / "report" / "figures").glob("*.json")}
    assert written == set(report["figures"])
    assert {"seeds", "differences", "classes-difference", "val-miou"} <= written


def test_the_same_runs_make_the_same_files(experiment: Experiment, tmp_path: Path) -> None:
    write_report(build_report(experiment), tmp_path)
    for path in sorted((experiment.folder / "report").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / path.relative_to(experiment.folder / "report")).read_bytes(), path.name


def test_a_figure_that_is_no_more_is_removed(experiment: Experiment, tmp_path: Path) -> None:
    write_report(build_report(experiment), tmp_path)
    (tmp_path / "figures" / "old.json").write_text("{}", encoding="utf-8")
    listed = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    atomic.write_json(
        tmp_path / "report.json", listed | {"figures": listed["figures"] | {"old": "of the report before"}}
    )
    write_report(build_report(experiment), tmp_path)
    assert not (tmp_path / "figures" / "old.json").exists()


def test_the_best_arms_are_bold_in_both_tables(tmp_path: Path) -> None:
    made = experiment_in(tmp_path, images=40)
    finish(made, lambda trial: 0.4 if "transposed" in trial.arm else 0.85)
    write_report(build_report(made), tmp_path)
    tex, md = ((tmp_path / f"table.{kind}").read_text(encoding="utf-8") for kind in ("tex", "md"))
    assert [r"\textbf" in line for line in tex.splitlines() if "conv" in line and "&" in line] == [True, True]
    assert r"\textbf" not in next(line for line in tex.splitlines() if line.startswith("transposed"))
    assert sum("**" in line for line in md.splitlines()) == 2


def test_a_latex_table_has_as_many_cells_in_every_line(experiment: Experiment) -> None:
    lines = (experiment.folder / "report" / "table.tex").read_text(encoding="utf-8").splitlines()
    body = [line for line in lines if line.endswith(r"\\")]
    assert len(body) == 4
    assert len({len(re.findall(r"(?<!\\)&", line)) for line in body}) == 1


def test_latex_has_no_unescaped_special_letter() -> None:
    text = latex(HOSTILE)
    bare = re.sub(
        r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}|\\[&%$#_{}]", "", text
    )
    assert not set(bare.replace("{}", "")) & set(r"&%$#_{}~^\<>|")
    assert "--" not in text


def test_a_minus_is_typeset_as_one() -> None:
    assert latex("-0.5 to +0.1") == "$-$0.5 to +0.1"


def test_markdown_cells_stay_cells() -> None:
    assert markdown("a|b<c>*d*_e_") == r"a\|b&lt;c&gt;\*d\*\_e\_"
