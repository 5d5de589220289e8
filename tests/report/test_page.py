"""The page: whole, inert and self-contained, whatever the run directories hold and are called."""

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from segsuite.experiment import Experiment
from segsuite.report.build import build_report
from segsuite.report.page import json_for_script, minus
from tests.report.runs import GRID, GRID_BASELINE, experiment_in, fail, finish, stop

SCRIPT = "<script>alert(1)</script>"
BREAKOUT = "</script><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """Elements, attributes, and the texts of what a reader sees and of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self._inside = tag
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(experiment: Experiment, with_images: bool = True) -> Page:
    return Page(build_report(experiment, with_images).page())


def sections(page: Page) -> list[str]:
    return [value for tag, name, value in page.attributes if tag == "section" and name == "id"]


def test_a_full_experiment_has_its_sections_in_order(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, GRID, seeds=(0, 1, 2), baseline=GRID_BASELINE)
    finish(experiment)
    page = page_of(experiment)
    expected = [
        "trials",
        "seeds",
        "differences",
        "axes",
        "losses",
        "cost",
        "classes",
        "curves",
        "images",
        "table",
        "methods",
    ]
    assert sections(page) == expected
    assert "9 of 9" not in page.text
    assert "18 of 18 trials finished" in page.text


def test_missing_and_failed_trials_are_loud(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment, only=lambda trial: trial.seed == 0)
    fail(experiment.trials[3], "CUDA out of memory")
    stop(experiment.trials[4])
    page = page_of(experiment)
    assert "6 of 9 trials have no result: 1 failed, 1 stopped and 4 not started." in page.text
    assert "CUDA out of memory" in page.text
    assert f"{experiment.trials[3].id}/log.txt" in page.text
    assert ("p", "class", "alarm failed") in page.attributes


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_few_seeds_have_no_interval_of_the_mean(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    experiment = experiment_in(tmp_path, seeds=seeds)
    finish(experiment)
    figures = {figure.name: figure for section in build_report(experiment).sections for figure in section.figures}
    assert not any("error_x" in trace for trace in figures["seeds"].data)
    assert "have no bar" in figures["seeds"].caption


def test_every_error_bar_has_kind_n_and_unit_in_its_caption(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    figures = [figure for section in build_report(experiment).sections for figure in section.figures]
    barred = [figure for figure in figures if any("error_x" in trace or "error_y" in trace for trace in figure.data)]
    assert {figure.name for figure in barred} == {"seeds", "differences"}
    for figure in barred:
        assert re.search(r"95 % (t )?interval|95 % t interval", figure.caption)
        assert "n = 3 seeds" in figure.caption


@pytest.mark.parametrize("compare", [{}, None])
def test_an_experiment_that_has_not_run_has_a_page(tmp_path: Path, compare: None) -> None:
    page = page_of(experiment_in(tmp_path, compare=compare, baseline={} if compare is not None else None))
    assert "No answer yet" in page.text
    assert "methods" in sections(page)


def test_a_single_arm_has_no_difference(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, compare={}, baseline={})
    finish(experiment)
    found = sections(page_of(experiment))
    assert "differences" not in found
    assert {"seeds", "classes", "images", "table"} <= set(found)


def test_no_images_means_no_image(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    page = page_of(experiment, with_images=False)
    assert page.tags["img"] == 0
    assert "images" not in sections(page)


def test_unreadable_data_leave_the_rest_of_the_page(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    for trial in experiment.trials:
        path = trial.folder / "result.json"
        path.write_text(re.sub(r"0123456789abcdef-\w+", "0123456789abcdef-0000000000000000", path.read_text()))
    page = page_of(experiment)
    assert "not the one that the trials were scored on" in page.text
    assert page.tags["img"] == 0


def test_boundary_scores_are_shown_when_they_are_there(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    assert "boundary" not in sections(page_of(experiment))
    for trial in experiment.trials:
        path = trial.folder / "result.json"
        result = json.loads(path.read_text())
        path.write_text(json.dumps(result | {"boundary_scores": {"boundary_f1": 0.5, "trimap_3px": None}}))
    page = page_of(experiment)
    assert "boundary" in sections(page)
    assert "boundary f1" in page.text


def hostile(folder: Path) -> Experiment:
    compare = {"which": {SCRIPT: {"loss.label_smoothing": 0.1}, BREAKOUT: {"loss.label_smoothing": 0.2}}}
    question = f"Is {BREAKOUT} {SCRIPT} better?"
    experiment = experiment_in(folder, compare, baseline={"which": SCRIPT}, question=question, images=4)
    finish(experiment, only=lambda trial: trial.seed < 2)
    fail(experiment.trials[-1], BREAKOUT)
    return experiment


def test_hostile_names_are_text(tmp_path: Path) -> None:
    page = page_of(hostile(tmp_path))
    assert page.tags["script"] == 3
    assert not [value for tag, name, value in page.attributes if name.startswith("on")]
    assert all(value.startswith("data:") for tag, name, value in page.attributes if tag == "img" and name == "src")
    assert SCRIPT in page.text
    assert BREAKOUT in page.text


def test_hostile_names_are_text_in_figures(tmp_path: Path) -> None:
    page = page_of(hostile(tmp_path))
    figures = json.loads(page.scripts[0])["figures"]
    drawn = json.dumps(figures["seeds"])
    assert "&lt;script&gt;" in drawn
    assert "<script" not in drawn
    assert "<img" not in drawn


def test_nothing_is_asked_of_a_network(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    page = page_of(experiment)
    loading = [(tag, value) for tag, name, value in page.attributes if name in ("src", "href", "srcset", "action")]
    assert all(value.startswith("data:") for _, value in loading)
    policy = next(value for tag, name, value in page.attributes if tag == "meta" and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert not re.search(r"https?:", policy)


def test_the_policy_names_exactly_the_scripts_of_the_page(tmp_path: Path) -> None:
    page = page_of(experiment_in(tmp_path))
    policy = next(value for tag, name, value in page.attributes if tag == "meta" and "script-src" in value)
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in page.scripts[1:]}
    assert set(re.findall(r"sha256-([\w+/=]+)", policy)) == hashes
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_no_path_of_this_machine_is_in_the_page(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    fail(experiment.trials[0])
    text = build_report(experiment).page()
    assert str(tmp_path / "runs") not in text


def test_json_in_a_script_ends_neither_it_nor_a_line() -> None:
    text = json_for_script({"a": f"{BREAKOUT}&\u2028\u2029", "b": float("nan")})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": f"{BREAKOUT}&\u2028\u2029", "b": None}


def test_only_hyphens_before_numbers_become_minus_signs() -> None:
    assert minus("a-1 -0.5 x -2") == "a-1 \N{MINUS SIGN}0.5 x \N{MINUS SIGN}2"
