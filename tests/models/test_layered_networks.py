"""Normalisation, activation, attention and dropout as settings of whole networks: what they change, and what not."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.config import UNetModel, validate
from segsuite.errors import ConfigError
from segsuite.models import build_model
from segsuite.models.attention import SpatialChannelAttention
from segsuite.models.layer_settings import ACTIVATIONS, ENCODER_NORMALISATIONS, NORMALISATIONS
from segsuite.models.network import SegmentationNetwork
from segsuite.models.normalisation import NORMALISATION

SETTINGS: dict[str, dict[str, Any]] = {
    "unet": {"decoder_channels": (16, 12, 8, 8, 6)},
    "fcn": {"variant": "plain", "decoder_channels": (16, 12, 7)},
    "deeplabv3": {"aspp_channels": 16, "auxiliary_weight": 0.4},
    "deeplabv3plus": {"aspp_channels": 16, "low_level_channels": 12, "auxiliary_weight": 0.4},
}
BLOCKS = {"unet": 5, "fcn": 3, "deeplabv3": 2, "deeplabv3plus": 2}
every_network = pytest.mark.parametrize("name", SETTINGS)
CHOICES: list[dict[str, Any]] = [
    {"normalisation": "batch", "activation": "leaky_relu"},
    {"normalisation": "group", "activation": "silu", "normalisation_groups": 2},
    {"normalisation": "instance", "activation": "mish"},
    {"normalisation": "layer", "activation": "relu6", "attention": "scse"},
    {"normalisation": "none", "attention": "scse"},
]
every_choice = pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice.values())))


def build(name: str, **chosen: Any) -> SegmentationNetwork:
    torch.manual_seed(0)
    return build_model(name, 5, **{"encoder": "mobilenetv3_small_100", **SETTINGS[name], **chosen})


@cache
def plain(name: str) -> tuple[dict[str, Tensor], Tensor]:
    """Initial values with the default layers, and the global generator after the building."""
    state = build(name).state_dict()
    return state, torch.get_rng_state()


@every_choice
@every_network
def test_layers_change_no_other_initial_value_and_no_random_number(name: str, choice: dict[str, Any]) -> None:
    expected, generator = plain(name)
    network = build(name, **choice)
    assert torch.equal(torch.get_rng_state(), generator)
    found = network.state_dict()
    weights = [key for key, value in expected.items() if value.ndim == 4 or key.startswith("core.encoder.")]
    assert len(weights) > 10
    assert all(torch.equal(found[key], expected[key]) for key in weights)


@every_choice
@every_network
def test_one_image_trains(name: str, choice: dict[str, Any]) -> None:
    network = build(name, **choice).train()
    logits_NCHW = network(torch.rand(1, 3, 40, 33))
    labels_NHW = torch.randint(0, 5, (1, 40, 33))
    loss = F.cross_entropy(logits_NCHW, labels_NHW)
    auxiliary_NCHW = network.take_auxiliary_logits()
    if auxiliary_NCHW is not None:
        loss = loss + F.cross_entropy(auxiliary_NCHW, labels_NHW)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@every_network
def test_the_decoder_has_one_normalisation_and_no_other(name: str) -> None:
    kinds = {kind: type(make(8, 2)) for kind, make in NORMALISATION.items()}
    network = build(name, normalisation="group")
    of_encoder = {id(module) for module in network.encoder.modules()}
    found = {type(module) for module in network.modules() if id(module) not in of_encoder} & set(kinds.values())
    assert found - {nn.Identity} == {nn.GroupNorm}


@every_network
def test_the_decoder_has_one_activation_and_no_other(name: str) -> None:
    network = build(name, activation="mish")
    of_encoder = {id(module) for module in network.encoder.modules()}
    kinds = {type(module) for module in network.modules() if id(module) not in of_encoder}
    assert nn.Mish in kinds
    assert nn.ReLU not in kinds


@every_network
def test_attention_stands_after_every_block(name: str) -> None:
    network = build(name, attention="scse")
    assert sum(isinstance(module, SpatialChannelAttention) for module in network.modules()) == BLOCKS[name]


@pytest.mark.parametrize("name", ["unet", "fcn"])
def test_dropout_stands_after_every_block_and_only_in_training(name: str) -> None:
    network, without, images_NCHW = build(name, dropout=0.5), build(name).eval(), torch.rand(2, 3, 40, 33)
    assert [module.p for module in network.modules() if isinstance(module, nn.Dropout2d)] == [0.5] * BLOCKS[name]
    with torch.no_grad():
        assert torch.equal(network.eval()(images_NCHW), without(images_NCHW))
        assert not torch.equal(network.train()(images_NCHW), network(images_NCHW))


@pytest.mark.parametrize("measure", ["parameters", "multiply_adds"])
@every_choice
def test_widths_are_matched_with_these_layers(measure: str, choice: dict[str, Any]) -> None:
    reference = build("fcn", **choice)
    network = build("fcn", **choice, upsampler="transposed_k4", match=measure)
    matched = network.matched
    assert matched is not None
    assert abs(matched["relative_difference"]) < 0.05
    if measure == "parameters":
        counts = [sum(parameter.numel() for parameter in each.parameters()) for each in (network, reference)]
        assert [matched["achieved"], matched["target"]] == counts


@pytest.mark.parametrize(
    ("setting", "value"), [("normalisation", "group"), ("activation", "silu"), ("attention", "scse"), ("dropout", 0.2)]
)
@pytest.mark.parametrize("variant", ["32s", "16s", "8s"])
def test_the_variants_of_the_paper_have_no_such_layers(variant: str, setting: str, value: Any) -> None:
    message = f"variant is '{variant}', which has no {setting}, but {setting} is {value!r}"
    with pytest.raises(ConfigError, match=message):
        build_model("fcn", 5, variant=variant, **{setting: value})
    with pytest.raises(ConfigError, match=message):
        validate({"data": {"name": "shapes"}, "model": {"name": "fcn", "variant": variant, setting: value}}, str)


def test_settings_of_the_file_reach_the_network() -> None:
    chosen = {"normalisation": "group", "normalisation_groups": 4, "activation": "silu", "attention": "scse"}
    model = validate({"data": {"name": "shapes"}, "model": {"name": "unet", **chosen, "dropout": 0.1}}, str).model
    settings = model.model_dump(exclude={"name"})
    core = build_model("unet", 5, **settings).core
    last = core.get_submodule("blocks.4")
    norm, drop = last.get_submodule("convs.1.1"), last.get_submodule("dropout")
    assert isinstance(norm, nn.GroupNorm)
    assert isinstance(drop, nn.Dropout2d)
    assert (norm.num_groups, drop.p) == (4, 0.1)


def test_defaults_of_the_settings_are_those_of_the_builder() -> None:
    import inspect

    from segsuite.models.unet import build_unet

    given = {key: parameter.default for key, parameter in inspect.signature(build_unet).parameters.items()}
    expected = {key: field.default for key, field in UNetModel.model_fields.items() if key != "name"}
    assert {key: given[key] for key in expected} == expected
    assert set(given) == {"name", "num_classes", *expected}


def test_the_file_knows_the_names_that_there_are() -> None:
    from typing import get_args

    names = {key: get_args(UNetModel.model_fields[key].annotation) for key in ("normalisation", "activation")}
    assert names == {"normalisation": NORMALISATIONS, "activation": ACTIVATIONS}
    assert get_args(UNetModel.model_fields["encoder_normalisation"].annotation) == ENCODER_NORMALISATIONS


def test_groups_without_group_norm_are_refused_in_the_file() -> None:
    with pytest.raises(ConfigError, match="model: normalisation is 'batch', which has no groups"):
        validate({"data": {"name": "shapes"}, "model": {"name": "unet", "normalisation_groups": 8}}, str)
