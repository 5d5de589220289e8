"""The page in a real headless Chromium: it loads quickly and silently, and what can be clicked works."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from segsuite.experiment import Experiment
from segsuite.report.build import build_report, write_report
from segsuite.report.serve import Follower, serve
from tests.report.browser import Browser, chromium
from tests.report.runs import experiment_in, finish
from tests.report.test_page import hostile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
]

ARMS = {
    "model.upsampler": ["nearest_conv", "bilinear_conv", "transposed_k2", "transposed_k4"],
    "loss.label_smoothing": [0.0, 0.1, 0.2],
}
BASELINE = {"model.upsampler": "bilinear_conv", "loss.label_smoothing": 0.0}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 12 arms x 3 seeds with images of CamVid's size."""
    made = experiment_in(tmp_path_factory.mktemp("large"), ARMS, baseline=BASELINE, images=8, size=(360, 480))
    finish(made)
    return write_report(build_report(made), made.folder / "report")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Path]:
    made = experiment_in(tmp_path_factory.mktemp("small"), images=6)
    finish(made)
    return made, write_report(build_report(made), made.folder / "report")


def foreign(browser: Browser, page: Path) -> list[str]:
    """Requests for anything but the page and what is written in it."""
    return [url for url in browser.requests if not url.startswith(("data:", "blob:")) and url != page.as_uri()]


def test_twelve_arms_fit_into_five_megabytes(large: Path) -> None:
    assert large.stat().st_size < 5_000_000


@pytest.mark.skipif("SEGSUITE_MEASURE" not in os.environ, reason="a time is measured only with SEGSUITE_MEASURE=1")
def test_twelve_arms_load_in_two_seconds(browser: Browser, large: Path) -> None:
    times = []
    for _ in range(3):
        browser.open(large.as_uri())
        times.append(browser.run("performance.getEntriesByType('navigation')[0].loadEventEnd"))
    assert min(times) < 2000


@pytest.mark.parametrize("dark", [False, True])
def test_every_figure_is_drawn_without_a_complaint(browser: Browser, large: Path, dark: bool) -> None:
    browser.open(large.as_uri(), dark=dark)
    browser.draw_all()
    assert browser.run("document.querySelectorAll('.plot .main-svg').length") > 0
    assert browser.errors == []
    assert foreign(browser, large) == []


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_wider_than_the_window(browser: Browser, large: Path, width: int) -> None:
    browser.open(large.as_uri(), width=width, height=800)
    browser.draw_all()
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.errors == []


def test_a_column_sorts_both_ways(browser: Browser, small: tuple[Experiment, Path]) -> None:
    browser.open(small[1].as_uri())
    browser.run("document.querySelectorAll('.sortable th button')[2].click()")
    values = "[...document.querySelectorAll('.sortable tbody tr')].map((row) => Number(row.cells[2].dataset.value))"
    down = browser.run(values)
    assert down == sorted(down, reverse=True)
    browser.run("document.querySelectorAll('.sortable th button')[2].click()")
    assert browser.run(values) == down[::-1]
    assert browser.run("document.querySelectorAll('.sortable th')[2].getAttribute('aria-sort')") == "ascending"


def test_hovering_a_dot_tells_its_seed(browser: Browser, small: tuple[Experiment, Path]) -> None:
    browser.open(small[1].as_uri())
    browser.draw_all()
    browser.run("document.querySelector('#seeds .plot').scrollIntoView({block: 'center'})")
    box = browser.run(
        "(() => { const b = document.querySelector('#seeds .scatterlayer .trace .point').getBoundingClientRect();"
        " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    browser.move_mouse(box[0] - 40, box[1])
    browser.move_mouse(box[0], box[1])
    browser.wait("document.querySelector('#seeds .hoverlayer').textContent.includes('seed ')")


def test_the_theme_can_be_switched(browser: Browser, small: tuple[Experiment, Path]) -> None:
    browser.open(small[1].as_uri())
    browser.draw_all()
    ground = "getComputedStyle(document.body).backgroundColor"
    tick = "getComputedStyle(document.querySelector('#seeds .xtick text')).fill"
    before = browser.run(ground), browser.run(tick)
    browser.run("document.getElementById('theme').click()")
    browser.wait(f"{tick} !== '{before[1]}'")
    assert browser.run(ground) != before[0]
    browser.run("document.getElementById('theme').click()")


def test_a_picture_is_enlarged_and_flipped(browser: Browser, small: tuple[Experiment, Path]) -> None:
    browser.open(small[1].as_uri())
    browser.run("document.querySelectorAll('.tile button')[2].click()")
    assert browser.run("document.getElementById('zoom').open")
    first = browser.run("document.querySelector('#zoom-picture img').src")
    browser.run("document.querySelectorAll('#zoom-choice button')[1].click()")
    assert browser.run("document.querySelector('#zoom-picture img').src") != first
    browser.run("document.getElementById('zoom-close').click()")
    assert not browser.run("document.getElementById('zoom').open")


def test_errors_can_be_laid_over_the_photo(browser: Browser, small: tuple[Experiment, Path]) -> None:
    browser.open(small[1].as_uri())
    shown = "getComputedStyle(document.querySelector('.compared .overlay')).display"
    assert browser.run(shown) == "none"
    browser.run("document.querySelector('.switch [data-mode=errors]').click()")
    assert browser.run(shown) == "block"
    assert "data:image/jpeg" in browser.run(
        "getComputedStyle(document.querySelector('.compared button')).backgroundImage"
    )


def test_a_figure_can_be_saved_from_the_page(browser: Browser, small: tuple[Experiment, Path]) -> None:
    browser.open(small[1].as_uri())
    browser.draw_all()
    assert browser.run("Plotly.toImage(document.querySelector('.plot'), {format: 'svg'})").startswith("data:image/svg")
    assert browser.errors == []


def test_printing_is_on_white_with_everything_open(browser: Browser, small: tuple[Experiment, Path]) -> None:
    browser.open(small[1].as_uri(), dark=True)
    before = browser.run("document.documentElement.dataset.theme")
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.documentElement.dataset.theme") == "light"
    assert browser.run("document.querySelectorAll('details:not([open])').length") == 0
    browser.run("window.dispatchEvent(new Event('afterprint'))")
    assert browser.run("document.documentElement.dataset.theme") == before


def test_hostile_names_do_nothing(browser: Browser, tmp_path: Path) -> None:
    experiment = hostile(tmp_path)
    page = write_report(build_report(experiment), experiment.folder / "report")
    browser.open(page.as_uri())
    browser.draw_all()
    closing = "document.getElementById('zoom').close()"
    browser.run(f"document.querySelectorAll('.tile button').forEach((button) => {{ button.click(); {closing}; }})")
    assert browser.dialogs == []
    assert browser.errors == []
    assert browser.run("document.querySelectorAll('script').length") == 3
    assert browser.run("document.querySelectorAll('[onerror], [onload]').length") == 0
    assert "<script>" in browser.run("document.querySelector('#seeds .plot').textContent")


def test_a_script_that_gets_into_the_page_is_not_run(
    browser: Browser, small: tuple[Experiment, Path], tmp_path: Path
) -> None:
    text = small[1].read_text(encoding="utf-8")
    page = tmp_path / "changed.html"
    page.write_text(text.replace("<header>", "<header><script>window.ran = true</script>", 1), encoding="utf-8")
    browser.open(page.as_uri())
    assert browser.run("window.ran === undefined")


def test_a_served_page_follows_the_experiment(browser: Browser, tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, images=4)
    finish(experiment, only=lambda trial: trial.seed == 0)
    told: list[str] = []
    follower = Follower(experiment, experiment.folder / "report")
    threading.Thread(target=serve, args=(follower, 0, told.append), daemon=True).start()
    end = time.monotonic() + 20
    while not told and time.monotonic() < end:
        time.sleep(0.05)
    browser.open(told[0])
    assert "3 of 9 trials finished" in browser.run("document.body.textContent")
    finish(experiment, only=lambda trial: trial.seed == 1)
    browser.wait("document.body?.textContent.includes('6 of 9 trials finished')")
    assert browser.errors == []
