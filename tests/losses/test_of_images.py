"""The validation loss: of each image on its own, whatever the batches, the ranks and the way it is computed."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segsuite.losses import build_loss, ranks
from segsuite.losses.full_resolution import build_fused_loss
from segsuite.losses.gradient_norm import MeasuredLoss
from segsuite.losses.of_images import losses_of_images

LOSSES: list[dict[str, Any]] = [
    {"name": "cross_entropy"},
    {"name": "cross_entropy", "class_weights": [0.5, 1.0, 2.0]},
    {"name": "dice"},
    {"name": "lovasz_softmax"},
    {"name": "ohem_cross_entropy"},
    {"name": "sum", "terms": [{"name": "cross_entropy"}, {"name": "dice", "weight": 0.5}]},
]
IDS = ["plain", "weighted", "dice", "lovasz", "ohem", "sum"]


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Logits (5, 3, 6, 7) and labels with void; the fourth image is of void alone."""
    generator = torch.Generator().manual_seed(0)
    labels_NHW = torch.randint(0, 3, (5, 6, 7), generator=generator)
    labels_NHW[:, :2] = 255
    labels_NHW[3] = 255
    return 2 * torch.randn(5, 3, 6, 7, generator=generator), labels_NHW


@pytest.mark.parametrize("settings", LOSSES, ids=IDS)
def test_it_is_the_loss_of_each_image_with_a_valid_pixel(
    settings: dict[str, Any], batch: tuple[Tensor, Tensor]
) -> None:
    loss, (logits_NCHW, labels_NHW) = build_loss(**settings), batch
    expected = [float(loss(logits_NCHW[n : n + 1], labels_NHW[n : n + 1])) for n in (0, 1, 2, 4)]
    assert losses_of_images(loss, logits_NCHW, labels_NHW).tolist() == expected


@pytest.mark.parametrize("settings", LOSSES, ids=IDS)
def test_it_depends_neither_on_batches_nor_on_other_ranks(
    settings: dict[str, Any], batch: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, (logits_NCHW, labels_NHW) = build_loss(**settings), batch
    whole = losses_of_images(loss, logits_NCHW, labels_NHW)
    monkeypatch.setattr(ranks.distributed, "is_initialized", lambda: True)  # a call of it would hang or raise
    parts = [losses_of_images(loss, logits_NCHW[at], labels_NHW[at]) for at in (slice(0, 2), slice(2, 5))]
    assert torch.cat(parts).equal(whole)


def test_a_fused_loss_is_that_of_the_logits_at_full_resolution(batch: tuple[Tensor, Tensor]) -> None:
    terms: dict[str, Any] = {"terms": [{"name": "cross_entropy", "weight": 3.0}]}
    fused, plain = MeasuredLoss(build_fused_loss("sum", **terms)), build_loss("sum", **terms)
    found, expected = (losses_of_images(loss, *batch).float() for loss in (fused, plain))  # as precise as they are
    torch.testing.assert_close(found, expected)


def test_a_matched_loss_keeps_its_factor_and_measures_nothing(batch: tuple[Tensor, Tensor]) -> None:
    loss = MeasuredLoss(build_loss("dice"), match=True)
    plain = losses_of_images(loss, *batch)
    assert loss.gradient_norm is None
    loss.gradient_norm, loss.reference_norm = 0.5, 1.0
    assert losses_of_images(loss, *batch).equal(2 * plain)


def test_void_alone_has_no_loss() -> None:
    found = losses_of_images(nn.CrossEntropyLoss(ignore_index=255), torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2), 255))
    assert found.shape == (0,)
