"""segsuite.models.encoder_normalisation: what is frozen stays."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segsuite.config import validate
from segsuite.encoders import build_encoder
from segsuite.encoders.library import Encoder
from segsuite.errors import ConfigError
from segsuite.models import build_model
from segsuite.models.encoder_normalisation import normalise_encoder

# plain batch norms, timm's with an activation inside, and squeeze and excitation beside them
encoders = pytest.mark.parametrize("name", ["resnet18", "regnetx_002", "mobilenetv3_small_100"])
TINY = {"encoder": "mobilenetv3_small_100", "decoder_channels": (8, 8, 8, 8, 8)}


def pretrained(name: str) -> Encoder:
    """Random weights with statistics of their own, as after a training."""
    torch.manual_seed(0)
    encoder = build_encoder(name)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low in ((module.running_mean, -0.2), (module.running_var, 0.5), (module.weight, 0.5)):
                assert value is not None
                nn.init.uniform_(value, low, low + 1)
    return encoder


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def steps(module: nn.Module, x_NCHW: Tensor) -> None:
    """Two steps of training with everything that has a gradient."""
    optimizer = torch.optim.SGD(module.parameters(), 0.1, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        torch.stack([y.square().mean() for y in module.train()(x_NCHW)]).sum().backward()
        optimizer.step()


@encoders
def test_a_frozen_encoder_gives_in_training_the_features_of_evaluation(name: str) -> None:
    x_NCHW = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = pretrained(name).eval()(x_NCHW)
        found = normalise_encoder(pretrained(name), "frozen_batch").train()(x_NCHW)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@encoders
def test_training_changes_all_of_a_frozen_encoder_but_its_batch_norms(name: str) -> None:
    own = pretrained(name)
    norms = {path for path, module in own.named_modules() if isinstance(module, nn.BatchNorm2d)}
    encoder = normalise_encoder(own, "frozen_batch")
    before = snapshot(encoder)
    steps(encoder, torch.randn(2, 3, 64, 64))
    kept = {key for key, value in encoder.state_dict().items() if torch.equal(value, before[key])}
    assert kept == {key for key in before if key.rpartition(".")[0] in norms}


@encoders
def test_the_state_dict_stays_the_same(name: str) -> None:
    expected, found = pretrained(name).state_dict(), normalise_encoder(pretrained(name), "frozen_batch").state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(value, expected[key]) for key, value in found.items())


def test_frozen_batch_norms_are_no_parameters() -> None:
    own, frozen = (build_model("unet", 3, **TINY, encoder_normalisation=name) for name in ("own", "frozen_batch"))
    gone = sum(
        module.weight.numel() + module.bias.numel()
        for module in own.encoder.modules()
        if isinstance(module, nn.BatchNorm2d)
    )
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (own, frozen)]
    assert counts[0] - counts[1] == gone > 0


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("unet", TINY),
        ("fcn", {"encoder": "mobilenetv3_small_100", "variant": "plain"}),
        ("fcn", {"encoder": "mobilenetv3_small_100", "variant": "16s"}),
        ("deeplabv3", {"encoder": "mobilenetv3_small_100", "aspp_channels": 8}),
        ("deeplabv3plus", {"encoder": "mobilenetv3_small_100", "aspp_channels": 8}),
    ],
)
def test_a_checkpoint_of_a_network_fits_it_frozen(name: str, settings: dict[str, Any]) -> None:
    own, frozen = (
        build_model(name, 3, **settings, encoder_normalisation=kind).eval() for kind in ("own", "frozen_batch")
    )
    assert any(type(module).__name__ == "FrozenBatchNorm" for module in frozen.encoder.modules())
    frozen.load_state_dict(own.state_dict())
    images_NCHW = torch.rand(1, 3, 40, 33)
    with torch.no_grad():
        assert torch.equal(frozen(images_NCHW), own(images_NCHW))


def test_with_group_norm_in_the_decoder_nothing_depends_on_the_batch() -> None:
    network = build_model("unet", 3, **TINY, encoder_normalisation="frozen_batch", normalisation="group").double()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images_NCHW = torch.rand(3, 3, 40, 33, dtype=torch.float64)
    with torch.no_grad():
        together = network.train()(images_NCHW)
        torch.testing.assert_close(network(images_NCHW[:1]), together[:1], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(network.eval()(images_NCHW), together, rtol=1e-10, atol=1e-10)


def test_an_encoder_without_batch_norm_has_none_to_freeze() -> None:
    with pytest.raises(ConfigError, match="but encoder 'convnext_atto' has no batch norm"):
        build_model("unet", 3, encoder="convnext_atto", encoder_normalisation="frozen_batch")


def test_the_name_of_before_says_what_to_write() -> None:
    with pytest.raises(ConfigError, match="write own: batch norm takes its statistics over all processes of a trial"):
        build_model("unet", 3, encoder_normalisation="synchronised_batch")


@pytest.mark.parametrize(("setting", "now"), [("normalisation", "batch"), ("encoder_normalisation", "own")])
def test_so_it_does_in_a_file(setting: str, now: str) -> None:
    model = {"name": "deeplabv3", setting: "synchronised_batch"}
    with pytest.raises(ConfigError, match=f"model.{setting}: 'synchronised_batch' is no longer a name; write {now}"):
        validate({"data": {"name": "shapes"}, "model": model}, str)


def test_an_unknown_name_gets_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown encoder_normalisation 'frozen'.*frozen_batch"):
        build_model("unet", 3, encoder_normalisation="frozen")
