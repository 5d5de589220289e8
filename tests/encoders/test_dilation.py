"""segsuite.encoders.dilation: the network with strides is inside the dense one, and the dense one is centred."""

import copy
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from segsuite.encoders import build_encoder, check_dilatable, dilatable
from segsuite.encoders.dilation import dilate
from segsuite.encoders.library import Encoder, construct
from segsuite.encoders.names import DILATABLE, SMP_NATIVE, TIMM_COMMON
from segsuite.encoders.windows import Window, dense, shift_to_centre
from segsuite.errors import ConfigError
from segsuite.models.unet import UNet

QUICK = (
    "resnet18", "densenet121", "tf_efficientnet_lite0", "mobilenet_v2", "mobilenetv3_small_100", "convnext_atto",
    "timm-skresnet18",
)  # fmt: skip
SLOW = (
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


class GlobalAverages(TorchFunctionMode):
    """Averages over whole feature maps look at no denser grid than they did in `former`, the sizes of a run before."""

    def __init__(self, former: list[int] | None = None) -> None:
        super().__init__()
        self.former, self.sizes = former, list[int]()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        axes = averaged(func, args, kwargs)
        if axes:
            x = args[0]
            step = x.shape[axes[0]] // self.former[len(self.sizes)] if self.former else 1
            self.sizes.append(x.shape[axes[0]] // step)
            seen = x[tuple(slice(None, None, step if axis in axes else 1) for axis in range(4))]
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
    with torch.no_grad():
        with GlobalAverages() as averages:
            expected = strided(IMAGE_NCHW)
        with GlobalAverages(averages.sizes):
            features = dense_one(IMAGE_NCHW)
    assert dense_one.channels == strided.channels
    assert dense_one.strides == tuple(min(stride, output_stride) for stride in strided.strides)
    for found, wanted, stride, former in zip(features, expected, dense_one.strides, strided.strides, strict=True):
        assert found.shape[-2:] == (64 // stride, 96 // stride)
        step = former // stride
        samples = [found[..., first::step, first::step] for first in range(step)]
        nearest = min(samples, key=lambda sample: float((sample - wanted).abs().max()))
        torch.testing.assert_close(nearest, wanted, rtol=1e-9, atol=1e-9)


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


WINDOWS_OF_ALL_KINDS = [
    nn.Conv2d(2, 3, 3, 2, 1), nn.Conv2d(2, 3, 2, 2), nn.Conv2d(2, 4, 5, 2, 2, groups=2), nn.Conv2d(2, 3, 1, 2),
    nn.Conv2d(2, 3, (1, 7), 1, (0, 3)), nn.Conv2d(2, 3, 4, 2, 1), nn.Conv2d(2, 3, 3, 1, "same"),
    nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2, 2), nn.AvgPool2d(2, 2), nn.AvgPool2d(3, 2, 1),
    nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    timm.layers.create_conv2d(2, 3, 3, stride=2, padding="same"),
    timm.layers.create_conv2d(2, 2, 5, stride=2, padding="same", depthwise=True),
]  # fmt: skip


@pytest.mark.parametrize("rate", [1, 2, 4])
@pytest.mark.parametrize("window", WINDOWS_OF_ALL_KINDS, ids=str)
def test_a_dense_window_gives_among_others_what_it_gave_before(window: Window, rate: int) -> None:
    coarse_NCHW = torch.randn(1, 2, 8, 12)
    for first in range(rate):
        fine_NCHW = torch.randn(1, 2, 8 * rate, 12 * rate)
        fine_NCHW[..., first::rate, first::rate] = coarse_NCHW
        for shift in {0, shift_to_centre(window, rate) // 2, shift_to_centre(window, rate)}:
            with torch.no_grad():
                expected = window(coarse_NCHW)
                found = dense(copy.deepcopy(window), rate, shift)(fine_NCHW)
            assert found.shape[-2:] == fine_NCHW.shape[-2:]
            step = rate * 8 // expected.shape[-2]
            start = first + shift if step > rate else first
            torch.testing.assert_close(found[..., start::step, start::step], expected)


@pytest.mark.parametrize("rate", [1, 2, 4])
@pytest.mark.parametrize("window", WINDOWS_OF_ALL_KINDS, ids=str)
def test_a_shifted_window_looks_as_far_to_the_left_as_to_the_right(window: Window, rate: int) -> None:
    moved = dense(copy.deepcopy(window), rate, shift_to_centre(window, rate))
    for parameter in moved.parameters():
        nn.init.constant_(parameter, float(parameter.ndim > 1))
    lines_NCHW = torch.eye(33)[:, None, None, :].repeat(1, 2, 33, 1)  # image i: column i
    for images_NCHW in (lines_NCHW, lines_NCHW.mT):
        with torch.no_grad():
            (seen,) = moved(images_NCHW)[:, 0, 16, 16].nonzero(as_tuple=True)
        assert int(seen.min() + seen.max()) in (32, 33)


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


def test_networks_whose_sizes_come_from_elsewhere_are_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = construct("tu-hrnet_w18_small")
    with pytest.raises(ConfigError, match="cannot be replaced by dilation"):
        dilate(body, "resnet50", 8)


def test_an_output_stride_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="output stride 4 is none of 8, 16, 32"):
        build_encoder("resnet18", output_stride=4)
