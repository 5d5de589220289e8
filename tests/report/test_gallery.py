"""The gallery page: self-contained, inert, and drawn by a real browser without a complaint."""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest

from segsuite.checkerboard.theory.build import build_operator
from segsuite.checkerboard.theory.draws import profile
from segsuite.checkerboard.theory.profile import Estimate, Profile
from segsuite.checkerboard.theory.targets import parse_target
from segsuite.report.gallery import answer, gallery, write_gallery
from segsuite.report.gallery_figure import caption, profile_figure
from tests.report.browser import Browser, chromium

TARGETS = ("transposed_k3", "transposed_k4:bilinear", "nearest_conv", "carafe", "k3s2p1+k3s2p1+k3s2p1")
HOSTILE = "module:x:</script><img src=x onerror=alert(1)>"


@cache
def profiles() -> tuple[Profile, ...]:
    return tuple(profile(text, partial(build_operator, parse_target(text), 4, 2), 2) for text in TARGETS)


def of(target: str) -> Profile:
    return next(one for one in profiles() if one.target == target)


def test_every_target_has_a_picture_and_a_row() -> None:
    page = gallery(profiles())
    assert [title.replace("<wbr>", "") for title in re.findall(r"<h3>(.*?)</h3>", page)] == list(TARGETS)
    assert len(re.findall(r'data-figure="checkerboard-\d+" role="img"', page)) == len(TARGETS)
    assert len(re.findall(r"<tr>", page)) == len(TARGETS) + 1


def test_the_page_asks_nothing_of_any_network() -> None:
    without_scripts = html.unescape(re.sub(r"<script.*?</script>", "", gallery(profiles()), flags=re.DOTALL))
    assert "default-src 'none'" in without_scripts
    assert not re.findall(r"(?:src|href)=\"(?!data:)", without_scripts)


def test_a_hostile_name_stays_text() -> None:
    page = gallery([replace(of("nearest_conv"), target=HOSTILE)])
    assert "<img" not in page.replace(re.search(r"<script>.*", page, re.DOTALL)[0], "")  # type: ignore[index]
    assert "&lt;/script&gt;" in page


def test_the_data_of_the_page_are_json() -> None:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', gallery(profiles()), re.DOTALL)
    assert found is not None
    assert set(json.loads(found[1])) == {"figures", "templates"}


@pytest.mark.parametrize("target", ["transposed_k3", "k3s2p1+k3s2p1+k3s2p1"])
def test_every_harmonic_is_marked_and_those_that_carry_energy_are_filled(target: str) -> None:
    one = of(target)
    marks = profile_figure(one, "name").data[3]
    places = {(round(y * one.factor), round(x * one.factor)) for y, x in zip(marks["y"], marks["x"], strict=True)}
    everything = {(down, right) for down in range(one.factor) for right in range(one.factor)}
    assert places == everything - {(0, 0)}
    assert set(marks["marker"]["symbol"]) == {"circle"}
    assert sum(marks["customdata"]) == pytest.approx(100 * one.imbalance.mean, abs=0.1)


def test_harmonics_of_an_upsampler_that_keeps_constants_are_open() -> None:
    marks = profile_figure(of("nearest_conv"), "name").data[3]
    assert set(marks["marker"]["symbol"]) == {"circle-open"}
    assert set(marks["customdata"]) == {0.0}


def test_the_spectrum_has_frequency_0_in_the_middle_of_the_base_band() -> None:
    spectrum = profile_figure(of("transposed_k4:bilinear"), "name").data[2]
    row, column = (round(-spectrum[start] / spectrum[step]) for start, step in (("y0", "dy"), ("x0", "dx")))
    assert spectrum["z"][row][column] == 0 == max(map(max, spectrum["z"]))
    assert spectrum["y0"] == pytest.approx(-0.25)


def test_the_caption_names_the_frequencies_with_their_shares() -> None:
    assert caption(of("nearest_conv")) == "A constant stays constant: no harmonic carries energy."
    assert re.search(r"\(1/2, 1/2\) \d+\.\d %", caption(of("transposed_k3")))
    assert "and 55 more" in caption(of("k3s2p1+k3s2p1+k3s2p1"))


def test_the_first_sentence_counts_the_checkerboards() -> None:
    assert answer(profiles()).startswith("2 of 5 make a checkerboard of a constant, most of all k3s2p1+k3s2p1+k3s2p1")
    assert answer([of("nearest_conv")]) == "It leaves constants as they are."
    assert "3 leave constants" in answer(profiles())


def test_an_infinite_condition_is_a_word_that_sorts_last() -> None:
    page = gallery([replace(of("nearest_conv"), condition=Estimate(float("inf"), None, 2))])
    assert 'data-value="1e+30">infinite' in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gallery") / "page.html"
    write_gallery(profiles(), path)
    return path


@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (390, False), (320, True)])
def test_every_picture_is_drawn_without_a_complaint(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.open(page.as_uri(), width=width, dark=dark)
    browser.draw_all()
    assert browser.run("document.querySelectorAll('.plot .heatmaplayer image').length") == 3 * len(TARGETS)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith(("data:", "blob:")) and url != page.as_uri()] == []
