"""segsuite.encoders.dilation: the network with strides is inside the dense one, and the dense one is centred."""

import copy
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from segsuite.encoders import TABLE, build_encoder, check_dilatable, dilatable, row_of
from segsuite.encoders.dilation import dilate
from segsuite.encoders.library import Encoder, construct
from segsuite.encoders.names import DILATABLE, SMP_NATIVE, TIMM_COMMON
from segsuite.errors import ConfigError
from segsuite.models.unet import UNet

QUICK = (
    "resnet18", "densenet121", "tf_efficientnet_lite0", "mobilenet_v2", "mobilenetv3_small_100", "convnext_atto",
    "timm-skresnet18", "tv-squeezenet1_1", "tv-shufflenet_v2_x0_5",
)  # fmt: skip
SLOW = (
    "tv-alexnet", "tv-googlenet", "tv-inception_v3", "skresnet18", "vgg11", "efficientnet_b0",
    "convnextv2_tiny", "tu-cspresnet50", "tu-darknet53", "dla34", "dpn68b", "efficientnet-b0", "efficientnet-b4",
    "ghostnet_100", "timm-tf_efficientnet_lite0", "tf_efficientnetv2_b0", "tf_efficientnetv2_s", "inceptionv4",
    "inceptionresnetv2", "mnasnet_100", "mobilenetv1_100", "mobilenetv2_100", "mobilenetv3_large_100",
    "tu-tf_mobilenetv3_small_100", "mobilenetv4_conv_small", "mobileone_s4", "regnetx_002", "regnety_002", "repvgg_a0",
    "res2net50_26w_4s", "resnest50d", "resnet50d", "seresnet50", "se_resnet50", "resnext50_32x4d",
    "se_resnext50_32x4d", "timm-skresnext50_32x4d", "senet154", "vgg11_bn", "tu-vgg11", "tu-densenet121", "tu-dpn68",
    "tu-ese_vovnet19b_dw", "xception", "xception41",
)  # fmt: skip
REFUSED = ("mit_b0", "pvt_v2_b0", "hrnet_w18_small", "tu-inception_v4", "tu-swin_tiny_patch4_window7_224")


IMAGE_NCHW = torch.randn(2, 3, 64, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def build(name: str) -> Encoder:
    """The encoder at stride 32 in float64 with parameters that hide nothing (some branches start multiplied by 0),
    and activations of order one for IMAGE_NCHW, so that rounding is not amplified."""
    torch.manual_seed(0)
    encoder = build_encoder(name).double()
    for path, parameter in encoder.named_parameters():
        if parameter.ndim < 2:
            nn.init.normal_(parameter, std=0.1) if path.endswith("bias") else nn.init.uniform_(parameter, 0.25, 0.75)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics of the next batch, not of many
    with torch.no_grad():
        encoder(IMAGE_NCHW)
    return encoder.eval()


def dilated(encoder: Encoder, output_stride: int) -> Encoder:
    """The same network at another output stride."""
    built = build_encoder(encoder.name, output_stride=output_stride).double().eval()
    nn.Module.load_state_dict(built, encoder.state_dict())
    return built


# Where the features with strides are among the dense ones, `step` apart: windows that are even about their pixel,
# TensorFlow's "same" padding, 2x2 windows, and an unpadded 3x3 window before a 2x2 one (GoogLeNet).
PLACES: tuple[Callable[[int], int], ...] = (
    lambda step: 0, lambda step: step - 1, lambda step: step // 4, lambda step: step // 2
)  # fmt: skip


class GlobalAverages(TorchFunctionMode):
    """Notes the sizes of feature maps that are averaged as a whole; with the sizes of a run before, averages no more
    pixels than that did, the first of them at `place`."""

    def __init__(self, former: Sequence[int] = (), place: Callable[[int], int] = PLACES[0]) -> None:
        super().__init__()
        self.former, self.place, self.sizes = former, place, list[int]()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        axes = averaged(func, args, kwargs)
        if axes:
            x = args[0]
            step = x.shape[axes[0]] // self.former[len(self.sizes)] if self.former else 1
            self.sizes.append(x.shape[axes[0]] // step)
            grid = slice(self.place(step), None, step)
            seen = x[tuple(grid if axis in axes else slice(None) for axis in range(4))]
            if func is F.avg_pool2d:  # over all that is there: smp's MobileOne
                func, args, kwargs = F.adaptive_avg_pool2d, (seen, 1), {}
            else:
                args = (seen, *args[1:])
        return func(*args, **kwargs)


def averaged(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[int, ...]:
    """The two axes that a call averages over, or takes the norm of (ConvNeXt V2, which has channels last)."""
    if func is F.adaptive_avg_pool2d or (func is F.avg_pool2d and "kernel_size" in kwargs):
        return (2, 3)
    if getattr(func, "__name__", "") not in ("mean", "norm"):
        return ()
    axes = kwargs.get("dim", args[1] if len(args) > 1 else ())
    return tuple(axes) if isinstance(axes, (tuple, list)) and len(axes) == 2 else ()


CASES = [("resnet18", 16), ("tf_efficientnet_lite0", 16), *((name, 8) for name in QUICK)]


@pytest.mark.parametrize(
    ("name", "output_stride"), [*CASES, *(pytest.param(name, 8, marks=pytest.mark.slow) for name in SLOW)]
)
def test_features_with_strides_are_every_second_or_fourth_dense_one(name: str, output_stride: int) -> None:
    strided = build(name)
    dense_one = dilated(strided, output_stride)
    assert dense_one.channels == strided.channels
    assert dense_one.strides == tuple(min(stride, output_stride) for stride in strided.strides)
    with torch.no_grad(), GlobalAverages() as averages:
        expected = strided(IMAGE_NCHW)
    assert any(is_inside(dense_one, strided, expected, averages.sizes, place) for place in PLACES)


def is_inside(
    dense_one: Encoder, strided: Encoder, expected: list[Tensor], averages: list[int], place: Callable[[int], int]
) -> bool:
    """Whether every feature of `strided` is found at `place` in that of `dense_one`."""
    with torch.no_grad(), GlobalAverages(averages, place):
        features = dense_one(IMAGE_NCHW)
    assert [feature.shape[-2:] for feature in features] == [(64 // s, 96 // s) for s in dense_one.strides]
    steps = [former // stride for former, stride in zip(strided.strides, dense_one.strides, strict=True)]
    samples = [f[..., place(step) :: step, place(step) :: step] for f, step in zip(features, steps, strict=True)]
    return all(torch.allclose(f, e, rtol=1e-9, atol=1e-9) for f, e in zip(samples, expected, strict=True))


def test_the_proof_finds_smps_own_dilation_wrong() -> None:
    strided = build("resnet50")
    wrong = copy.deepcopy(strided)
    wrong.body.make_dilated(16)  # type: ignore[operator]  # of smp's encoders
    with torch.no_grad():
        wanted, found = strided(IMAGE_NCHW)[-1], wrong(IMAGE_NCHW)[-1][..., ::2, ::2]
    assert (found - wanted).norm() / wanted.norm() > 0.01


def test_every_family_is_proved() -> None:
    names = [name.removeprefix("tu-").removeprefix("timm-") for name in (*QUICK, *SLOW)]
    assert [family for family in DILATABLE if not any(re.fullmatch(family, name) for name in names)] == []


@pytest.mark.parametrize("encoder", ["resnet50", "tu-resnet50"])
@pytest.mark.parametrize(("output_stride", "replaced"), [(16, [False, False, True]), (8, [False, True, True])])
def test_resnet50_equals_that_of_torchvision_at_any_size(
    encoder: str, output_stride: int, replaced: list[bool]
) -> None:
    torch.manual_seed(0)
    reference = torchvision.models.resnet50(weights=None, replace_stride_with_dilation=replaced)
    for path, value in (*reference.named_parameters(), *reference.named_buffers()):
        if "bn" in path and value.is_floating_point():
            nn.init.uniform_(value, 0.5, 1.5)
    state = {key: value for key, value in reference.double().eval().state_dict().items() if not key.startswith("fc.")}
    built = build_encoder(encoder, output_stride=output_stride).double().eval()
    nn.Module.load_state_dict(built.body if encoder == "resnet50" else built.body.model, state)  # type: ignore[arg-type]
    outputs: list[Tensor] = []
    for layer in (reference.layer1, reference.layer2, reference.layer3, reference.layer4):
        layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    x_NCHW = torch.randn(1, 3, 65, 50, dtype=torch.float64)
    with torch.no_grad():
        reference(x_NCHW)
        features = built(x_NCHW)
    for found, wanted in zip(features[1:], outputs, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2_100", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_features_equal_those_of_timms_own_output_stride(name: str, output_stride: int) -> None:
    torch.manual_seed(0)
    reference = timm.create_model(name, features_only=True, output_stride=output_stride).double().eval()
    built = build_encoder(f"tu-{name}", output_stride=output_stride).double().eval()
    nn.Module.load_state_dict(built.body.model, reference.state_dict())  # type: ignore[arg-type]  # a module
    with torch.no_grad():
        for found, wanted in zip(built(IMAGE_NCHW), reference(IMAGE_NCHW), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0"])
def test_dilation_changes_no_parameter_and_draws_nothing(name: str) -> None:
    states, random_states = [], []
    for output_stride in (32, 16, 8):
        torch.manual_seed(0)
        states.append(build_encoder(name, output_stride=output_stride).state_dict())
        random_states.append(torch.get_rng_state())
    for state, random_state in zip(states, random_states, strict=True):
        assert list(state) == list(states[0])
        assert all(torch.equal(state[key], states[0][key]) for key in state)
        assert torch.equal(random_state, random_states[0])


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
def test_a_dilated_encoder_is_built_in_training_mode_and_trains(name: str) -> None:
    encoder = build_encoder(name, output_stride=8)
    assert encoder.training
    assert all(module.training for module in encoder.modules())
    encoder(torch.randn(2, 3, 40, 48))[-1].square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_a_unet_takes_a_dilated_encoder_and_has_fewer_steps() -> None:
    core = UNet(build_encoder("resnet18", output_stride=8), 5, "bilinear_conv", (16, 8, 8)).eval()
    with torch.no_grad():
        assert core(torch.randn(1, 3, 40, 48)).shape == (1, 5, 40, 48)
    assert [(seam.stride_from, seam.stride_to) for seam in core.seams()] == [(8, 4), (4, 2), (2, 1)]


def test_multi_grid_multiplies_the_rate_of_the_last_stage() -> None:
    for output_stride, rates in [(32, [1, 2, 4]), (16, [2, 4, 8]), (8, [4, 8, 16])]:  # the paper: 2 * (1, 2, 4)
        body = build_encoder("resnet50", output_stride=output_stride, multi_grid=[1, 2, 4]).body
        convs = [body.get_submodule(f"layer4.{block}.conv2") for block in range(3)]
        assert [conv.dilation for conv in convs] == [(rate, rate) for rate in rates]
        assert [conv.padding for conv in convs] == [(rate, rate) for rate in rates]


def test_multi_grid_keeps_sizes_and_earlier_features() -> None:
    plain = dilated(build("resnet18"), 16)
    grid = build_encoder("resnet18", output_stride=16, multi_grid=(1, 2)).double().eval()
    grid.load_state_dict(plain.state_dict())
    with torch.no_grad():
        first, second = plain(IMAGE_NCHW), grid(IMAGE_NCHW)
    assert all(torch.equal(a, b) for a, b in zip(first[:-1], second[:-1], strict=True))
    assert first[-1].shape == second[-1].shape
    assert not torch.allclose(first[-1], second[-1])


RESNETS = {"resnet34": 3, "resnet26d": 2, "se_resnet50": 3, "resnext50_32x4d": 3, "timm-skresnet18": 2, "seresnet50": 3}


@pytest.mark.parametrize("name", RESNETS)
def test_multi_grid_reaches_every_kind_of_resnet(name: str) -> None:
    body = build_encoder(name, output_stride=16, multi_grid=[3] * RESNETS[name]).body
    convs = [
        module
        for path, module in body.named_modules()
        if isinstance(module, nn.Conv2d) and "layer4." in path and module.kernel_size == (3, 3)
    ]
    assert len(convs) >= RESNETS[name]
    assert {conv.dilation for conv in convs} == {(6, 6)}


def test_wrong_multi_grids_are_errors_of_the_user() -> None:
    with pytest.raises(
        ConfigError, match=r"multi_grid is \[1, 2, 4\], the last stage of encoder 'resnet18' has 2 blocks"
    ):
        build_encoder("resnet18", output_stride=16, multi_grid=(1, 2, 4))
    with pytest.raises(ConfigError, match="multi_grid is defined for ResNets"):
        build_encoder("mobilenet_v2", output_stride=16, multi_grid=(1, 2, 4))


@pytest.mark.parametrize("name", REFUSED)
def test_an_encoder_without_dilation_is_refused_and_others_are_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"the strides of encoder '{name}' cannot be replaced") as caught:
        build_encoder(name, output_stride=16) if name != REFUSED[-1] else check_dilatable(name)
    named = caught.value.advice.partition("dilation: ")[2].split(", ")
    assert len(named) >= 4
    assert all(dilatable(other) for other in named)


def test_which_names_have_dilation() -> None:
    without = [name for name in SMP_NATIVE + TIMM_COMMON if not dilatable(name)]
    assert without == [*(f"mit_b{i}" for i in range(6)), "hrnet_w18_small", "hrnet_w18", "pvt_v2_b0"]


def test_every_row_of_the_table_that_promises_dilation_is_of_a_proved_family_and_library() -> None:
    proved = {(row.family, row.library) for name in (*QUICK, *SLOW) if (row := row_of(name))}
    promised = {(row.family, row.library): name for name, row in TABLE.items() if 8 in row.output_strides}
    assert [name for kind, name in promised.items() if kind not in proved] == []


def test_a_stride_that_an_encoder_does_not_have_is_refused_and_others_are_named() -> None:
    with pytest.raises(ConfigError, match="'tv-squeezenet1_1' has no features of stride 32") as caught:
        build_encoder("tv-squeezenet1_1", output_stride=32)
    assert caught.value.advice.startswith("take 8 or 16, or an encoder that has them: tv-alexnet, vgg11, ")
    assert build_encoder("tv-squeezenet1_1").strides == (2, 4, 8, 16)


def test_networks_whose_sizes_come_from_elsewhere_are_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = construct("tu-hrnet_w18_small")
    with pytest.raises(ConfigError, match="cannot be replaced by dilation"):
        dilate(body, "resnet50", 8)


def test_an_output_stride_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="output stride 4 is none of 8, 16, 32"):
        build_encoder("resnet18", output_stride=4)
