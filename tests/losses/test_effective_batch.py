"""segsuite.losses.effective_batch: the losses of the batches of an optimizer step add up to that of all of them."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from segsuite.losses import build_loss
from segsuite.losses.effective_batch import EffectiveBatch, within
from tests.losses.cases import CASES, batch, case_id, value_and_gradient

Settings = dict[str, Any]


def those(keep: Callable[[str, Settings], bool]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "settings"), [case for case in CASES if keep(*case)], ids=case_id)


def parts_of_a_step(sizes: tuple[int, ...] = (1, 2, 1)) -> tuple[Tensor, Tensor, list[slice]]:
    """Four images as batches of unequal size, the last one all void and the others with unequal shares of void."""
    logits_NCHW, labels_NHW = batch(images=4)
    labels_NHW[0, :4], labels_NHW[3] = 255, 255
    ends = [sum(sizes[:at]) for at in range(len(sizes) + 1)]
    return logits_NCHW, labels_NHW, [slice(*pair) for pair in pairwise(ends)]


# Which classes generalised dice sums over depends on the batch: it is additive where all batches hold the same ones.
@those(lambda name, settings: build_loss(name, **settings).additive and settings.get("weights") != "uniform")
@pytest.mark.parametrize("accumulate", [3, 5])
def test_accumulated_over_batches_it_is_the_loss_of_all_of_them(name: str, settings: Settings, accumulate: int) -> None:
    """The trainer divides by train.accumulate also where the last step of an epoch has fewer batches."""
    logits_NCHW, labels_NHW, parts = parts_of_a_step()
    loss = build_loss(name, **settings)
    whole = value_and_gradient(loss, logits_NCHW, labels_NHW)
    effective = EffectiveBatch([labels_NHW[part] for part in parts], accumulate)
    with within(effective):
        found = [value_and_gradient(loss, logits_NCHW[part], labels_NHW[part]) for part in parts]
    together = sum(value for value, _ in found) / accumulate, torch.cat([slope for _, slope in found]) / accumulate
    torch.testing.assert_close(together, whole, rtol=1e-5, atol=1e-7)


@those(lambda name, settings: not build_loss(name, **settings).additive and name != "sum")
def test_a_loss_of_a_whole_batch_is_averaged_over_the_batches_with_a_valid_pixel(name: str, settings: Settings) -> None:
    logits_NCHW, labels_NHW, parts = parts_of_a_step()
    if name == "recall_weighted_cross_entropy":
        pytest.skip("a mean over pixels, with weights of the batch")
    loss = build_loss(name, **settings)
    alone = [value_and_gradient(loss, logits_NCHW[part], labels_NHW[part])[0] for part in parts]
    with within(EffectiveBatch([labels_NHW[part] for part in parts], 3)):
        found = [value_and_gradient(loss, logits_NCHW[part], labels_NHW[part])[0] for part in parts]
    if name == "unified_focal":  # one of its two parts is a mean over pixels
        assert 0 < sum(found) / 3 < 2 * max(alone)
    else:
        torch.testing.assert_close(sum(found) / 3, sum(alone[:2]) / 2)
