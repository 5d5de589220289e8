"""Class weights: each rule by hand, and those of CamVid."""

import math
from pathlib import Path

import pytest

from segsuite.datasets import build_dataset
from segsuite.datasets.statistics import label_counts
from segsuite.errors import ConfigError
from segsuite.losses.class_weights import RULES, class_weights

COUNTS = [600.0, 300.0, 90.0, 10.0]


def test_median_frequency_on_camvid_is_what_is_known(camvid_root: Path, tmp_path: Path) -> None:
    counts = label_counts(build_dataset("camvid", "train", root=camvid_root), tmp_path)
    weights = class_weights(counts.pixels_C, "median_frequency", counts.present_pixels_C)
    known = [0.279, 0.202, 4.789, 0.149, 1.0, 0.424, 3.846, 1.980, 0.789, 6.385, 8.819]
    assert weights == pytest.approx(known, abs=6e-4)


def test_inverse_frequency_and_its_root() -> None:
    assert class_weights(COUNTS, "inverse_frequency") == pytest.approx([1 / 0.6, 1 / 0.3, 1 / 0.09, 100.0])
    assert class_weights(COUNTS, "inverse_sqrt") == pytest.approx([0.6**-0.5, 0.3**-0.5, 0.09**-0.5, 10.0])


def test_log_is_that_of_enet() -> None:
    expected = [1 / math.log(1.02 + share) for share in (0.6, 0.3, 0.09, 0.01)]
    assert class_weights(COUNTS, "log") == pytest.approx(expected)
    assert class_weights(COUNTS, "log", c=2.0) == pytest.approx(
        [1 / math.log(2 + share) for share in (0.6, 0.3, 0.09, 0.01)]
    )


def test_effective_number_is_that_of_cui() -> None:
    expected = [0.01 / (1 - 0.99**count) for count in COUNTS]
    assert class_weights(COUNTS, "effective_number", beta=0.99) == pytest.approx(expected)


def test_effective_number_keeps_its_digits_for_beta_near_1() -> None:
    """1 / n of few samples, to first order in 1 - beta."""
    weight, _ = class_weights([5.0, 10.0], "effective_number", beta=1 - 1e-12)
    assert weight == pytest.approx(1 / 5, rel=1e-4)


def test_median_frequency_counts_only_images_that_hold_the_class() -> None:
    # frequencies 600/1000, 300/1000, 90/500 and 10/100; their median is that of 0.18 and 0.3
    weights = class_weights(COUNTS, "median_frequency", [1000, 1000, 500, 100])
    assert weights == pytest.approx([0.24 / 0.6, 0.24 / 0.3, 0.24 / 0.18, 0.24 / 0.1])


@pytest.mark.parametrize("rule", RULES)
def test_a_class_without_pixels_gets_0_and_does_not_count(rule: str) -> None:
    assert class_weights([*COUNTS, 0.0], rule, beta=0.99) == [*class_weights(COUNTS, rule, beta=0.99), 0.0]


@pytest.mark.parametrize("rule", RULES)
def test_rarer_classes_never_weigh_less(rule: str) -> None:
    weights = class_weights(COUNTS, rule, beta=0.999)
    assert weights == sorted(weights)


@pytest.mark.parametrize("rule", RULES)
def test_normalised_weights_have_mean_or_sum_1(rule: str) -> None:
    counts = [*COUNTS, 0.0]
    assert sum(class_weights(counts, rule, normalise="mean")) == pytest.approx(4)
    assert sum(class_weights(counts, rule, normalise="sum")) == pytest.approx(1)


def test_clip_comes_last_and_leaves_absent_classes_alone() -> None:
    weights = class_weights([*COUNTS, 0.0], "inverse_frequency", normalise="mean", clip=(0.1, 2.0))
    mean = (1 / 0.6 + 1 / 0.3 + 1 / 0.09 + 100) / 4
    assert weights == pytest.approx([0.1, 1 / 0.3 / mean, 1 / 0.09 / mean, 2.0, 0.0])


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("did you mean 'inverse_sqrt'", {"rule": "inverse_sqr"}),
        ("did you mean 'mean'", {"rule": "log", "normalise": "men"}),
        ("pixel counts", {"rule": "log", "pixel_counts": [0, 0]}),
        ("pixel counts", {"rule": "log", "pixel_counts": [1, -1]}),
        ("beta is 1", {"rule": "effective_number", "beta": 1.0}),
        ("clip is", {"rule": "log", "clip": (2.0, 1.0)}),
    ],
)
def test_wrong_values_are_refused(message: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=message):
        class_weights(**{"pixel_counts": COUNTS, **arguments})  # type: ignore[arg-type]
