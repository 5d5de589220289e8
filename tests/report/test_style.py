"""One colour and one marker an arm."""

import itertools
from pathlib import Path

import pytest

from segsuite.report.gather import gather
from segsuite.report.sections.cost import front
from segsuite.report.style import BASELINE_COLOUR, COLOURS, arm_styles, inert, scale, template
from tests.report.runs import GRID, GRID_BASELINE, experiment_in


def test_twelve_arms_are_all_different(tmp_path: Path) -> None:
    compare = {"train.optimizer.learning_rate": [0.001 * (place + 1) for place in range(12)]}
    styles = arm_styles(gather(experiment_in(tmp_path, compare, baseline={"train.optimizer.learning_rate": 0.003})))
    assert len({(style.colour, style.symbol) for style in styles.values()}) == 12
    assert [style.colour for style in styles.values()].index(BASELINE_COLOUR) == 2


def test_two_axes_are_colour_and_marker(tmp_path: Path) -> None:
    gathered = gather(experiment_in(tmp_path, GRID, baseline=GRID_BASELINE))
    styles = arm_styles(gathered)
    first, second = gathered.axes.values()
    for one, other in itertools.combinations(gathered.arms, 2):
        assert (styles[one].colour == styles[other].colour) == (first[one] == first[other])
        assert (styles[one].symbol == styles[other].symbol) == (second[one] == second[other])


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.1."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("ground", ["#FFFFFF", "#14181C"])
@pytest.mark.parametrize("colour", [*COLOURS, BASELINE_COLOUR])
def test_every_colour_is_seen_on_both_grounds(colour: str, ground: str) -> None:
    low, high = sorted((luminance(colour), luminance(ground)))
    assert (high + 0.05) / (low + 0.05) > 2


def test_names_are_shown_letter_by_letter() -> None:
    assert inert("<b>x</b> & <a href='javascript:1'>") == "&lt;b&gt;x&lt;/b&gt; &amp; &lt;a href='javascript:1'&gt;"


def test_both_themes_let_the_page_through() -> None:
    for dark in (False, True):
        assert template(dark)["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"


def test_the_front_holds_what_nothing_beats() -> None:
    costs = {"a": 1.0, "b": 1.0, "c": 2.0, "d": 3.0}
    assert front(costs, {"a": 0.5, "b": 0.6, "c": 0.6, "d": 0.7}) == ["b", "d"]


def test_an_unknown_colour_scale_is_an_error() -> None:
    """Before, it was the sequential one."""
    with pytest.raises(KeyError, match="divergent"):
        scale("divergent")
    assert scale("sequential") != scale("diverging") != scale("diverging", dark=True)
