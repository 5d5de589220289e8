"""`segsuite report` as a person calls it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from segsuite.cli import main
from segsuite.experiment import Experiment, load
from segsuite.report.build import build_report, folder_of, write_report
from segsuite.report.figure_files import write_figures
from tests.report.browser import chromium
from tests.report.runs import experiment_in, finish

NAMES = {"report.html", "results.csv", "report.json", "table.tex", "table.md", "figures", ".report-files.json"}


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    made = experiment_in(tmp_path, images=4)
    finish(made)
    return made


def test_the_report_lies_beside_the_runs(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(experiment.path)]) == 0
    assert {path.name for path in (experiment.folder / "report").iterdir()} == NAMES
    printed = capsys.readouterr().out
    assert printed.startswith("No evidence of a difference")
    assert "report.html" in printed


def test_the_report_folder_is_no_trial(experiment: Experiment) -> None:
    write_report(build_report(experiment), folder_of(experiment))
    assert build_report(experiment).material.gathered.strangers == 0


def test_out_is_the_folder_and_no_images_has_none(experiment: Experiment, tmp_path: Path) -> None:
    assert main(["report", str(experiment.path), "--out", str(tmp_path / "docs"), "--no-images"]) == 0
    assert not (experiment.folder / "report").exists()
    assert "data:image/jpeg" not in (tmp_path / "docs" / "report.html").read_text(encoding="utf-8")


def test_files_that_are_not_of_a_report_stay(
    experiment: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "paper"
    (out / "figures").mkdir(parents=True)
    kept = {out / "figures" / "mine.json": "my figure", out / "notes.txt": "my notes"}
    for path, text in kept.items():
        path.write_text(text)
    for _ in range(2):
        assert main(["report", str(experiment.path), "--out", str(out)]) == 0
    stale = out / "figures" / "of-before.json"
    stale.write_text("{}")
    listed = json.loads((out / "report.json").read_text())
    (out / "report.json").write_text(json.dumps(listed | {"figures": listed["figures"] | {"of-before": "a caption"}}))
    assert main(["report", str(experiment.path), "--out", str(out)]) == 0
    assert not stale.exists()
    assert {path: path.read_text() for path in kept} == kept

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.csv").write_text("my results")
    capsys.readouterr()
    assert main(["report", str(experiment.path), "--out", str(tmp_path / "other")]) == 2
    assert "results.csv is there and is not of a report" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["results.csv"]
    assert (tmp_path / "other" / "results.csv").read_text() == "my results"


def test_a_report_of_other_settings_is_not_replaced(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    """Its trials have no results, and the page with the answer would have been lost."""
    assert main(["report", str(experiment.path)]) == 0
    usual = experiment.folder / "report"
    before = {path.name: path.read_bytes() for path in usual.iterdir() if path.is_file()}
    for _ in range(2):
        capsys.readouterr()
        assert main(["report", str(experiment.path), "--set", "evaluation.split=test"]) == 0
        assert f"{usual} holds the report of other settings and stays" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in usual.iterdir() if path.is_file()} == before
    (beside,) = experiment.folder.glob("report-*")
    assert (beside / "report.html").exists()


def test_a_report_of_other_settings_is_not_replaced_by_out(
    experiment: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "docs")]
    assert main(["report", str(experiment.path), *out]) == 0
    assert main(["report", str(experiment.path), *out, "--set", "seeds=[0]"]) == 2
    assert str(tmp_path / "docs" / "report.html") in capsys.readouterr().err


def test_a_report_with_more_results_replaces_the_one_before(experiment: Experiment) -> None:
    fewer = load(experiment.path, ["seeds=[0, 1]"])
    write_report(build_report(fewer), folder_of(fewer))
    write_report(build_report(experiment), folder_of(experiment))
    assert [path.name for path in experiment.folder.glob("report*")] == ["report"]
    assert len(json.loads((experiment.folder / "report" / "report.json").read_text())["trials"]) == 9


def test_the_command_of_the_page_holds_every_override(experiment: Experiment) -> None:
    override = "question=Is it so?"
    assert main(["report", str(experiment.path), "--set", override]) == 0
    page = (experiment.folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "--set &#39;question=Is it so?&#39;" in page


def test_figures_without_kaleido_are_one_sentence(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    assert main(["report", str(experiment.path), "--figures"]) == 1
    assert "need the package kaleido" in capsys.readouterr().err
    assert (experiment.folder / "report" / "report.html").exists()


@pytest.mark.slow
def test_figures_are_drawn_as_png_svg_and_pdf(experiment: Experiment, tmp_path: Path) -> None:
    pytest.importorskip("kaleido")
    if chromium() is None:
        pytest.skip("no Chromium is installed")
    figures = [figure for section in build_report(experiment).sections for figure in section.figures][:1]
    png, svg, pdf = (path.read_bytes() for path in write_figures(figures, tmp_path))
    assert png.startswith(b"\x89PNG")
    assert b"<svg" in svg[:300]
    assert pdf.startswith(b"%PDF")


def test_reporting_imports_no_torch(experiment: Experiment) -> None:
    program = (
        f"import sys; from segsuite.cli import main; main(['report', {str(experiment.path)!r}]);"
        "sys.exit('torch' in sys.modules or 'wandb' in sys.modules or 'plotly' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_serving_ends_well_with_ctrl_c(experiment: Experiment) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "segsuite", "report", str(experiment.path), "--serve"]
    # Ctrl-C is ignored by whatever a shell started in the background, perhaps these tests, and by all below it.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=heard) as process:
        try:
            assert process.stdout is not None
            address = re.match(r"(http://127\.0\.0\.1:\d+/)(\?token=\S{43}) ", process.stdout.readline())
            assert address is not None
            with urllib.request.urlopen(f"{address[1]}report.json{address[2]}", timeout=60) as answer:
                assert json.load(answer)["experiment"] == "made"
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
