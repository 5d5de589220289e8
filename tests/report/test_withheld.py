"""A score whose interval would not hold its level has no verdict, and every output says why."""

import json
from pathlib import Path

import numpy as np
import pytest

from segsuite.report.build import build_report, write_report
from segsuite.report.gather import gather
from segsuite.stats import TWO_WAY, WITHHELD
from segsuite.stats.contrast import MIN_LABELLED_UNITS
from tests.report.artefacts import rewrite_counts
from tests.report.runs import experiment_in, finish

REASON = "labelled in only 2 images; how scores vary is not known from fewer than 4 images"


@pytest.fixture(name="folder", scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three arms and three seeds, whose last class is in two images."""
    made = experiment_in(tmp_path_factory.mktemp("withheld"), images=12)
    finish(made, lambda trial: 0.5 if "transposed" in trial.arm else 0.9)
    for trial in made.trials:
        with np.load(trial.folder / "counts.npz") as arrays:
            counts = arrays["counts"]
        pixels = counts[..., 0] + counts[..., 2]
        for image in np.flatnonzero(pixels[:, -1])[2:]:
            counts[image, -1, ::2] = 0
        rewrite_counts(trial, counts=counts)
    assert len(gather(made).finished) == 9
    return write_report(build_report(made), made.folder / "report").parent


def test_the_answer_gives_the_reason_and_no_verdict(folder: Path) -> None:
    answer = json.loads((folder / "report.json").read_text("utf-8"))["answer"]
    assert "no verdict can be given" in answer
    assert REASON in answer
    assert "worse than" not in answer


def test_json_holds_the_reason_where_numbers_are_missing(folder: Path) -> None:
    comparisons = json.loads((folder / "report.json").read_text("utf-8"))["comparisons"]
    for one in comparisons["miou"]:
        assert (one["kind"], one["low"], one["p_holm"]) == (WITHHELD, None, None)
        assert REASON in one["reason"]
        assert REASON in one["sentence"]
        assert one["difference"] is not None
    # Pixel accuracy is of all pixels, and loses nothing by a class in few images.
    assert {one["kind"] for one in comparisons["pixel_accuracy"]} == {TWO_WAY}


def test_only_the_class_itself_has_no_test_among_the_classes(folder: Path) -> None:
    classes = json.loads((folder / "report.json").read_text("utf-8"))["class_comparisons"]
    last = max(one["label"] for one in classes)
    assert {one["kind"] for one in classes if one["label"] == last} == {WITHHELD}
    assert TWO_WAY in {one["kind"] for one in classes if one["label"] != last}


@pytest.mark.parametrize("name", ["table.md", "table.tex"])
def test_tables_say_withheld_and_why(folder: Path, name: str) -> None:
    text = (folder / name).read_text("utf-8")
    assert text.count("withheld") >= 4
    assert REASON in text


def test_the_page_says_it_beside_the_figure_and_in_the_table(folder: Path) -> None:
    page = (folder / "report.html").read_text("utf-8")
    assert page.count(REASON) >= 4
    assert f"A class that fewer than {MIN_LABELLED_UNITS} units hold has no verdict" in page
    assert "Two seeds are too few" not in page
    assert "Fewer than 3 seeds" not in page
