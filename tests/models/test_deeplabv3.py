"""segsuite.models.deeplabv3: sizes, output strides, seams, small batches, settings."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.config import validate
from segsuite.errors import ConfigError
from segsuite.families import resolve
from segsuite.models import MODELS, build_model
from segsuite.models.deeplabv3 import DeepLab
from segsuite.models.network import Seam, SegmentationNetwork
from segsuite.upsamplers import UPSAMPLERS

both = pytest.mark.parametrize("name", ["deeplabv3", "deeplabv3plus"])
CLASSES = 5


def build(name: str = "deeplabv3", seed: int = 0, **settings: Any) -> SegmentationNetwork:
    torch.manual_seed(seed)
    return build_model(name, CLASSES, **{"aspp_channels": 16, **settings})


def core_of(network: SegmentationNetwork) -> DeepLab:
    assert isinstance(network.core, DeepLab)
    return network.core


@both
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_one_image_trains(name: str, output_stride: int) -> None:
    network = build(name, output_stride=output_stride, auxiliary_weight=0.4).train()
    logits_NCHW = network(torch.rand(1, 3, 7, 6))
    auxiliary_NCHW = network.take_auxiliary_logits()
    assert auxiliary_NCHW is not None
    assert logits_NCHW.shape == auxiliary_NCHW.shape == (1, CLASSES, 7, 6)
    labels_NHW = torch.randint(0, CLASSES, (1, 7, 6))
    (F.cross_entropy(logits_NCHW, labels_NHW) + F.cross_entropy(auxiliary_NCHW, labels_NHW)).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@both
def test_every_parameter_of_the_decoder_gets_a_gradient(name: str) -> None:
    network = build(name, auxiliary_weight=0.4)
    logits_NCHW = network(torch.rand(2, 3, 64, 64))
    auxiliary_NCHW = network.take_auxiliary_logits()
    assert auxiliary_NCHW is not None
    labels_NHW = torch.randint(0, CLASSES, (2, 64, 64))
    (F.cross_entropy(logits_NCHW, labels_NHW) + F.cross_entropy(auxiliary_NCHW, labels_NHW)).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.decoder_parameters())


@both
@pytest.mark.parametrize("size", [(1, 1), (17, 40), (64, 64), (65, 83)])
def test_images_of_any_size_in_evaluation(name: str, size: tuple[int, int]) -> None:
    network = build(name, output_stride=8, auxiliary_weight=0.4).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, *size)).shape == (1, CLASSES, *size)
    assert network.auxiliary_logits is None


def test_auxiliary_logits_are_taken_once() -> None:
    network = build(auxiliary_weight=0.4)
    network(torch.rand(2, 3, 40, 40))
    assert network.take_auxiliary_logits() is not None
    assert network.take_auxiliary_logits() is None
    assert core_of(network).auxiliary_logits is None


def test_the_auxiliary_head_trains_the_encoder_up_to_the_feature_before_the_last() -> None:
    network = build(auxiliary_weight=0.4)
    network(torch.rand(2, 3, 40, 40))
    auxiliary_NCHW = network.take_auxiliary_logits()
    assert auxiliary_NCHW is not None
    auxiliary_NCHW.square().sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    reached = {name.split(".")[0] for name, p in network.encoder.body.named_parameters() if p.grad is not None}  # type: ignore[union-attr,operator]  # a module
    assert reached == {"conv1", "bn1", "layer1", "layer2", "layer3"}


def test_without_its_weight_there_is_no_auxiliary_head() -> None:
    network = build()
    network(torch.rand(2, 3, 40, 40))
    assert network.auxiliary_weight == 0
    assert network.auxiliary_logits is None
    assert not any("auxiliary" in name for name, _ in network.named_parameters())


@both
def test_weights_of_one_output_stride_fit_the_others(name: str) -> None:
    trained = build(name, output_stride=16)
    for output_stride in (8, 32):
        other = build(name, seed=1, output_stride=output_stride)
        shapes = {key: value.shape for key, value in trained.state_dict().items()}
        assert {key: value.shape for key, value in other.state_dict().items()} == shapes
        other.load_state_dict(trained.state_dict())
        assert core_of(other).stride == output_stride


def test_the_pyramid_at_stride_8_gives_at_the_former_grid_what_it_gave_at_16() -> None:
    # but for the pooled image, whose mean is over more pixels
    coarse = build(output_stride=16, image_pooling=False).double().eval()
    fine = build(output_stride=8, image_pooling=False).double().eval()
    fine.load_state_dict(coarse.state_dict())
    x_NCHW = torch.randn(1, 3, 128, 96, dtype=torch.float64)
    with torch.no_grad():
        wanted, found = (core_of(network).aspp(network.encoder(x_NCHW)[-1]) for network in (coarse, fine))
    torch.testing.assert_close(found[..., ::2, ::2], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("output_stride", "rates"), [(8, [12, 24, 36]), (16, [6, 12, 18]), (32, [3, 6, 9])])
def test_rates_of_the_pyramid_follow_the_output_stride(output_stride: int, rates: list[int]) -> None:
    branches = core_of(build(output_stride=output_stride)).aspp.atrous
    assert [branch.get_submodule("0").dilation for branch in branches] == [(rate, rate) for rate in rates]


def test_rates_that_are_set_do_not_follow_it() -> None:
    branches = core_of(build(output_stride=8, rates=[1, 2, 5, 9])).aspp.atrous
    assert [branch.get_submodule("0").dilation for branch in branches] == [(1, 1), (2, 2), (5, 5), (9, 9)]


def test_seams_name_the_upsamplers_coarse_to_fine() -> None:
    assert build(output_stride=8).seams() == [Seam("core.upsampler", 8, 1, CLASSES, CLASSES)]
    network = build("deeplabv3plus", output_stride=16)
    assert network.seams() == [
        Seam("core.upsampler", 16, 4, 16, 16),
        Seam("core.last_upsampler", 4, 1, CLASSES, CLASSES),
    ]
    for seam in network.seams():
        x_NCHW = torch.zeros(1, seam.in_channels, 3, 5)
        factor = seam.stride_from // seam.stride_to
        assert network.get_submodule(seam.name)(x_NCHW).shape == (1, seam.out_channels, 3 * factor, 5 * factor)


@pytest.fixture(scope="module")
def bases() -> dict[str, tuple[dict[str, Tensor], Tensor]]:
    """Initial values of what is no upsampler, and the global generator after the building."""
    found = {}
    for name in ("deeplabv3", "deeplabv3plus"):
        state = build(name, upsampler="transposed_k2").state_dict()
        found[name] = ({key: state[key] for key in state if "upsampler." not in key}, torch.get_rng_state())
    return found


@both
@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_every_upsampler_fits_every_seam_and_changes_no_other_initial_value(
    name: str, upsampler: str, bases: dict[str, tuple[dict[str, Tensor], Tensor]]
) -> None:
    shared, generator = bases[name]
    arm = build(name, upsampler=upsampler)
    assert torch.equal(torch.get_rng_state(), generator)
    values = arm.state_dict()
    assert len(shared) > 100
    assert all(torch.equal(values[key], shared[key]) for key in shared)
    arm(torch.rand(1, 3, 40, 33)).square().sum().backward()
    for seam in arm.seams():
        assert all(p.grad is not None for p in arm.get_submodule(seam.name).parameters())


def test_upsamplers_are_set_by_a_mapping_too() -> None:
    network = build("deeplabv3plus", upsampler={"name": "transposed_k4", "init": "bilinear"})
    assert [network.get_submodule(seam.name).init for seam in network.seams()] == ["bilinear", "bilinear"]


@both
def test_separable_convolutions_replace_all_3x3_ones_after_the_encoder(name: str) -> None:
    network = build(name, separable=True)
    convs = [m for m in core_of(network).modules() if isinstance(m, nn.Conv2d)]
    of_encoder = {id(module) for module in network.encoder.modules()}
    wide = [conv for conv in convs if id(conv) not in of_encoder and conv.kernel_size != (1, 1)]
    assert len(wide) == (4 if name == "deeplabv3" else 5)
    assert all(conv.groups == conv.in_channels for conv in wide)


def test_settings_reach_their_modules() -> None:
    core = core_of(build("deeplabv3plus", low_level_channels=7, dropout=0.3, image_pooling=False, multi_grid=[1, 2]))
    assert core.get_submodule("low_level.0").out_channels == 7
    assert core.aspp.get_submodule("project.1").p == 0.3
    assert core.aspp.pooling is None
    assert core.encoder.get_submodule("body.layer4.1.conv1").dilation == (4, 4)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("deeplabv3plus", "vgg11"),
        ("deeplabv3", "convnext_atto"),
        ("deeplabv3plus", "tf_efficientnet_lite0"),
        ("deeplabv3", "mobilenetv3_small_100"),
    ],
)
def test_encoders_of_other_kinds(name: str, encoder: str) -> None:
    network = build(name, encoder=encoder, output_stride=8, upsampler="fade").eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 40, 56)).shape == (1, CLASSES, 40, 56)


def test_logits_of_a_fresh_network_are_of_order_one() -> None:
    logits_NCHW = build(aspp_channels=256)(torch.rand(2, 3, 64, 64))
    assert 0.1 < logits_NCHW.std().item() < 3


def test_an_encoder_without_dilation_serves_at_stride_32_only() -> None:
    build(encoder="mit_b0", output_stride=32)
    with pytest.raises(ConfigError, match="the strides of encoder 'mit_b0' cannot be replaced"):
        build(encoder="mit_b0", output_stride=16)


def settings(**values: Any) -> Any:
    return validate({"data": {"name": "shapes"}, "model": {"name": "deeplabv3", **values}}, lambda path: "here").model


@both
def test_settings_have_the_defaults_of_the_network(name: str) -> None:
    build_parameters = inspect.signature(resolve("model", MODELS, name)).parameters
    given = settings(name=name).model_dump(exclude={"name"})
    assert given == {key: build_parameters[key].default for key in given}
    assert set(build_parameters) == {"name", "num_classes", *given}


def test_settings_that_cannot_be_built_are_refused_without_torch() -> None:
    with pytest.raises(ConfigError, match="the strides of encoder 'mit_b0' cannot be replaced"):
        settings(encoder="mit_b0")
    with pytest.raises(ConfigError, match="the last stage of encoder 'resnet18' has 2 blocks"):
        settings(multi_grid=[1, 2, 4])
    with pytest.raises(ConfigError, match="rates"):
        settings(rates=[6, 0])
    assert settings(encoder="mit_b0", output_stride=32).rates is None
    assert settings(encoder="resnet50", multi_grid=[1, 2, 4], rates=[1, 2, 5, 9]).rates == (1, 2, 5, 9)
