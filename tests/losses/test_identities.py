"""What one loss must be in terms of another."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segsuite.losses import build_loss
from segsuite.losses.dice import dice
from segsuite.losses.jaccard import jaccard
from segsuite.losses.pixels import Pixels
from segsuite.losses.region import regions
from tests.losses.cases import batch, value_and_gradient

Loss = dict[str, Any]
CE: Loss = {"name": "cross_entropy"}
SAME: dict[str, tuple[Loss, Loss]] = {
    "focal with gamma 0": ({"name": "focal", "gamma": 0.0}, CE),
    "poly with epsilon 0": ({"name": "poly_cross_entropy", "epsilon": 0.0}, CE),
    "all of the hardest pixels": ({"name": "topk_cross_entropy", "fraction": 1.0}, CE),
    "ohem with threshold 1": ({"name": "ohem_cross_entropy", "threshold": 1.0}, CE),
    "ohem with threshold 0 is top-k": (
        {"name": "ohem_cross_entropy", "threshold": 0.0, "min_kept_fraction": 0.3},
        {"name": "topk_cross_entropy", "fraction": 0.3},
    ),
    "logits adjusted by equal priors": ({"name": "logit_adjusted_cross_entropy", "pixel_counts": [7] * 5}, CE),
    "balanced with beta 0": (
        {"name": "class_balanced_cross_entropy", "pixel_counts": [1, 2, 3, 4, 5], "beta": 0.0},
        CE,
    ),
    "borders of weight 0": ({"name": "boundary_weighted_cross_entropy", "w0": 0.0}, CE),
    "tversky with 0.5 and 0.5": ({"name": "tversky", "alpha": 0.5, "beta": 0.5}, {"name": "dice"}),
    "tversky with 1 and 1": ({"name": "tversky", "alpha": 1.0, "beta": 1.0}, {"name": "jaccard"}),
    "focal tversky with gamma 1": ({"name": "focal_tversky", "gamma": 1.0}, {"name": "tversky"}),
    "unified focal with gamma 0": (
        {"name": "unified_focal", "rare_classes": [0], "tversky_share": 1.0, "gamma": 0.0, "delta": 0.7},
        {"name": "tversky"},
    ),
    "the weight of a sum's term": (
        {"name": "sum", "terms": [{"name": "dice", "weight": 3.0}, CE]},
        {"name": "sum", "terms": [CE, {"name": "dice"}, {"name": "dice", "weight": 2.0}]},
    ),
}


def hard(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits that leave no doubt, their classes, and labels."""
    logits_NCHW, labels_NHW = batch(seed=seed)
    predicted_NHW = logits_NCHW.argmax(1)
    return 100.0 * F.one_hot(predicted_NHW, 5).permute(0, 3, 1, 2), predicted_NHW, labels_NHW


@pytest.mark.parametrize("pair", SAME)
def test_is_the_other_loss(pair: str) -> None:
    ours, theirs = SAME[pair]
    expected = value_and_gradient(build_loss(**theirs), *batch())
    torch.testing.assert_close(value_and_gradient(build_loss(**ours), *batch()), expected)


@pytest.mark.parametrize("seed", range(3))
def test_dice_of_hard_predictions_is_2j_by_1_plus_j(seed: int) -> None:
    logits_NCHW, _, labels_NHW = hard(seed)
    sums = regions(Pixels(logits_NCHW, labels_NHW))
    j_MC = 1 - jaccard(sums)
    torch.testing.assert_close(1 - dice(sums), 2 * j_MC / (1 + j_MC))


@pytest.mark.parametrize("seed", range(3))
def test_jaccard_of_hard_predictions_is_counted(seed: int) -> None:
    logits_NCHW, predicted_NHW, labels_NHW = hard(seed)
    valid = labels_NHW != 255
    pairs = [(predicted_NHW == c, labels_NHW == c) for c in range(5)]
    counted = [int((p & t & valid).sum()) / int(((p | t) & valid).sum()) for p, t in pairs]
    assert (1 - jaccard(regions(Pixels(logits_NCHW, labels_NHW))))[0].tolist() == pytest.approx(counted)


@pytest.mark.parametrize("per_image", [False, True])
def test_lovasz_of_hard_predictions_is_1_minus_j(per_image: bool) -> None:
    logits_NCHW, _, labels_NHW = hard(0)
    lovasz = build_loss("lovasz_softmax", per_image=per_image)(logits_NCHW, labels_NHW)
    torch.testing.assert_close(lovasz, build_loss("jaccard", per_image=per_image)(logits_NCHW, labels_NHW))
