"""segsuite.train.module with a network that has an auxiliary head."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segsuite.losses import build_loss
from segsuite.models.network import SegmentationNetwork
from segsuite.train.module import SegmentationModule
from tests.train.tiny import CLASSES, Core, fit, module, train_settings

WEIGHT = 0.3


class CoreWithHead(Core):
    """A second head on the image, whose logits are there in training only."""

    auxiliary_weight = WEIGHT

    def __init__(self) -> None:
        super().__init__(normalised=False)
        self.auxiliary = nn.Conv2d(3, len(CLASSES), 1)
        self.auxiliary_logits: Tensor | None = None

    def forward(self, x_NCHW: Tensor) -> Tensor:
        self.auxiliary_logits = self.auxiliary(x_NCHW) if self.training else None
        return super().forward(x_NCHW)


class Kept(SegmentationModule):
    """Keeps the loss of each step and the one it should be."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        core, images_NCHW = self.network.core, batch["image"]
        x_NCHW = images_NCHW * (self.network.scale_1C11 / 255) + self.network.shift_1C11
        cross_entropy = build_loss("cross_entropy")
        with torch.no_grad():
            main = cross_entropy(self.network(images_NCHW), batch["label"])
            second = cross_entropy(core.auxiliary(x_NCHW), batch["label"])  # type: ignore[operator]  # a convolution
        self.expected = float(main + WEIGHT * second)
        loss = super().training_step(batch, batch_idx)
        self.found = float(loss.detach())
        return loss


def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    core = CoreWithHead()
    return SegmentationNetwork(core, len(CLASSES), core, 8, 8)


def test_the_loss_is_that_of_both_heads_and_trains_both(tmp_path: Path) -> None:
    trained = module(train_settings(epochs=1), network(), kind=Kept)
    before = {name: value.detach().clone() for name, value in trained.network.named_parameters()}
    fit(trained, tmp_path)
    assert isinstance(trained, Kept)
    assert trained.found == pytest.approx(trained.expected, rel=1e-5)
    assert all(not torch.equal(value, before[name]) for name, value in trained.network.named_parameters())


@pytest.mark.parametrize("size", [(8, 8), (5, 11)])
def test_auxiliary_logits_are_cut_to_the_image_as_the_logits_are(size: tuple[int, int]) -> None:
    net = network()
    logits_NCHW = net(torch.rand(2, 3, *size))
    auxiliary_NCHW = net.take_auxiliary_logits()
    assert auxiliary_NCHW is not None
    assert auxiliary_NCHW.shape == logits_NCHW.shape == (2, len(CLASSES), *size)


def test_in_evaluation_there_are_none() -> None:
    net = network()
    net(torch.rand(2, 3, 8, 8))
    net.eval()(torch.rand(2, 3, 8, 8))
    assert net.take_auxiliary_logits() is None
