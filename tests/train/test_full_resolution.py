"""Training with full_resolution: fused beside direct: the same networks, losses and gradients, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segsuite.config import Train, validate
from segsuite.errors import ConfigError
from segsuite.losses import build_loss
from segsuite.losses.full_resolution import build_fused_loss
from segsuite.models import build_model
from segsuite.models.network import SegmentationNetwork
from segsuite.train.module import SegmentationModule
from segsuite.upsamplers import build_upsampler
from segsuite.upsamplers.base import Upsampler
from tests.train.tiny import CLASSES, Core, fit, snapshot, train_settings

SUM = {"terms": [{"name": "cross_entropy"}, {"name": "dice", "weight": 0.5}]}
NETWORKS: dict[str, dict[str, Any]] = {
    "fcn 32s": {"name": "fcn", "variant": "32s", "upsampler": "bilinear"},
    "fcn 8s": {"name": "fcn", "last_upsampler": "bilinear"},
    "deeplabv3": {"name": "deeplabv3", "aspp_channels": 8, "auxiliary_weight": 0.4},
    "deeplabv3plus": {"name": "deeplabv3plus", "aspp_channels": 8, "auxiliary_weight": 0.4},
}
every_network = pytest.mark.parametrize("settings", NETWORKS.values(), ids=list(NETWORKS))


class LowCore(Core):
    """Halves the image, and ends in bilinear interpolation; with a padding other than 1 its map is one pixel smaller or
    larger than half the image."""

    def __init__(self, padding: int = 1) -> None:
        torch.manual_seed(0)
        super().__init__(normalised=False)
        self.encoder[0] = nn.Conv2d(3, 4, 3, stride=2, padding=padding)
        self.upsampler = build_upsampler("bilinear", len(CLASSES), len(CLASSES), 2)

    def low_logits(self, features_NChw: Tensor, image_NCHW: Tensor) -> Tensor:
        low_NChw: Tensor = self.head(features_NChw)
        return low_NChw

    def last_step(self) -> Upsampler:
        return self.upsampler

    def forward(self, x_NCHW: Tensor) -> Tensor:
        logits_NCHW: Tensor = self.upsampler(
            self.low_logits(self.encoder(x_NCHW), x_NCHW), (x_NCHW.shape[-2], x_NCHW.shape[-1])
        )
        return logits_NCHW


def build(settings: dict[str, Any]) -> SegmentationNetwork:
    torch.manual_seed(0)
    return build_model(**{"num_classes": len(CLASSES), **settings})


def step(network: SegmentationNetwork, full_resolution: str, batch: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Loss and gradients of one training step."""
    make = build_fused_loss if full_resolution == "fused" else build_loss
    settings = Train.model_validate({"full_resolution": full_resolution})
    trained = SegmentationModule(network, make("sum", **SUM), CLASSES, settings, 1)
    torch.manual_seed(1)  # dropout
    loss = trained.training_step(batch, 0)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    gradients = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    network.zero_grad()
    return loss.detach(), gradients


@every_network
def test_a_step_has_the_same_loss_and_gradients(settings: dict[str, Any]) -> None:
    assert_same_step(build(settings), (41, 83))


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("size", [(8, 16), (5, 11)])
def test_step_is_the_same_when_the_last_step_makes_less_or_more_than_the_image(
    padding: int, size: tuple[int, int]
) -> None:
    core = LowCore(padding)
    assert_same_step(SegmentationNetwork(core, len(CLASSES), core, 8, 8), size)


def assert_same_step(network: SegmentationNetwork, size: tuple[int, int]) -> None:
    network = network.train().double()
    generator = torch.Generator().manual_seed(0)
    labels_NHW = torch.randint(0, len(CLASSES), (2, *size), generator=generator)
    labels_NHW[:, :2] = 255
    images_NCHW = torch.rand(2, 3, *size, dtype=torch.float64, generator=generator)
    batch = {"image": images_NCHW, "label": labels_NHW}
    direct, gradients = step(network, "direct", batch)
    fused, fused_gradients = step(network, "fused", batch)
    torch.testing.assert_close(fused, direct)
    torch.testing.assert_close(fused_gradients, gradients)
    assert len(gradients) == len(list(network.parameters()))


def test_a_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    weights = {}
    for way, make in {"direct": build_loss, "fused": build_fused_loss}.items():
        core = LowCore()
        network = SegmentationNetwork(core, len(CLASSES), core, 8, 8)
        settings = train_settings(epochs=1, full_resolution=way, optimizer={"name": "sgd"})
        trained = SegmentationModule(network, make("sum", **SUM), CLASSES, settings, 4)
        fit(trained, tmp_path / way)
        weights[way] = snapshot(network)
    torch.testing.assert_close(weights["fused"], weights["direct"])


def test_no_auxiliary_logits_are_kept_after_a_step() -> None:
    network = build(NETWORKS["deeplabv3"]).train()
    batch = {"image": torch.rand(2, 3, 64, 64), "label": torch.zeros(2, 64, 64, dtype=torch.uint8)}
    step(network, "fused", batch)
    assert network.auxiliary_logits is None
    assert network.core.auxiliary_logits is None


@pytest.mark.parametrize("settings", [{"name": "unet"}, {"name": "fcn"}, {"name": "fcn", "variant": "plain"}])
def test_network_that_does_not_end_in_bilinear_interpolation_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="does not end in bilinear interpolation") as caught:
        build(settings).low_logits(torch.rand(1, 3, 32, 32))
    assert "direct" in caught.value.advice


def settings_of(model: dict[str, Any], loss: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"name": "shapes"}, "model": model, "loss": loss, "train": {"full_resolution": "fused"}}


@pytest.mark.parametrize(
    ("model", "loss", "message", "advice"),
    [
        ({"name": "unet"}, {"name": "dice"}, "model 'unet' does not", "set train.full_resolution to direct"),
        ({"name": "fcn"}, {"name": "dice"}, "but that is 'transposed_bilinear'", "set model.last_upsampler to bil"),
        (
            {"name": "fcn", "variant": "32s", "upsampler": {"name": "transposed_k4", "init": "bilinear"}},
            *({"name": "dice"}, "but that is 'transposed_k4'", "set model.upsampler to bilinear"),
        ),
        ({"name": "fcn", "variant": "plain"}, {"name": "dice"}, "model 'fcn' does not", "32s, 16s or 8s"),
        (
            {"name": "deeplabv3", "upsampler": "carafe"},
            *({"name": "cross_entropy"}, "but that is 'carafe'", "set model.upsampler to bilinear"),
        ),
        ({"name": "deeplabv3"}, {"name": "lovasz_softmax"}, "which lovasz_softmax does not have", "to direct"),
        (
            {"name": "deeplabv3"},
            {"name": "sum", "terms": [{"name": "dice"}, {"name": "cross_entropy", "label_smoothing": 0.1}]},
            *("which label_smoothing of cross_entropy does not have in a sum", "to direct"),
        ),
    ],
)
def test_what_cannot_be_fused_is_told_with_its_place(
    model: dict[str, Any], loss: dict[str, Any], message: str, advice: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        validate(settings_of(model, loss), lambda path: f"a.yaml:{'.'.join(map(str, path))}")
    assert caught.value.where == "a.yaml:train.full_resolution"
    assert advice in caught.value.advice


@every_network
def test_settings_accept_the_networks_that_can(settings: dict[str, Any]) -> None:
    loss = {"name": "cross_entropy", "label_smoothing": 0.1}
    assert validate(settings_of(settings, loss), str).train.full_resolution == "fused"
