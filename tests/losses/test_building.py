"""build_loss: what it refuses, and how."""

import math

import pytest

from segsuite.errors import ConfigError
from segsuite.losses import build_loss


@pytest.mark.parametrize("weights", [[1.0, -1.0], [0.0, 0.0], [math.nan], []])
@pytest.mark.parametrize("name", ["cross_entropy", "dice", "ohem_cross_entropy"])
def test_class_weights_that_are_none_are_refused(name: str, weights: list[float]) -> None:
    with pytest.raises(ConfigError, match="class_weights are"):
        build_loss(name, class_weights=weights)


def test_unknown_loss_and_setting_get_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cross_entropy'"):
        build_loss("cros_entropy")
    with pytest.raises(ConfigError, match="did you mean 'label_smoothing'"):
        build_loss("cross_entropy", label_smothing=0.1)


def test_a_setting_without_a_default_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="loss 'unified_focal' needs rare_classes"):
        build_loss("unified_focal")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("focal", {"gamma": -1.0}),
        ("poly_cross_entropy", {"epsilon": -2.0}),
        ("topk_cross_entropy", {"fraction": 0.0}),
        ("ohem_cross_entropy", {"threshold": 1.5}),
        ("ohem_cross_entropy", {"min_kept_fraction": -0.1}),
        ("boundary_weighted_cross_entropy", {"sigma": 0.0}),
        ("logit_adjusted_cross_entropy", {"tau": -1.0, "pixel_counts": [1, 1]}),
        ("class_balanced_cross_entropy", {"beta": 1.0, "pixel_counts": [1, 1]}),
        ("unified_focal", {"delta": 2.0, "rare_classes": [0]}),
        ("unified_focal", {"rare_classes": []}),
        ("tversky", {"alpha": 0.0}),
        ("focal_tversky", {"gamma": 0.0}),
        ("dice", {"smooth": -1.0}),
        ("generalised_dice", {"weights": "sqare"}),
        ("sum", {"terms": []}),
        ("sum", {"terms": [{"name": "sum", "terms": [{"name": "dice"}]}]}),
    ],
)
def test_values_out_of_range_are_refused(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        build_loss(name, **settings)
