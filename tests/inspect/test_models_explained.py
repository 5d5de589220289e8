"""Parameters and multiply-adds of every model of the suite, against PyTorch's own counts on a real forward pass."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segsuite.inspect.explain import build_outline, explain
from segsuite.models import MODELS, build_model
from segsuite.upsamplers import UPSAMPLERS

SIZE = (64, 96)
QUICK = ("deeplabv3", "deeplabv3plus", "fcn", "unet", "smp/Unet", "smp/PAN", "smp/FPN")
VARIANTS: Mapping[str, dict[str, Any]] = {
    "fcn 32s": {"name": "fcn", "variant": "32s"},
    "fcn 16s": {"name": "fcn", "variant": "16s"},
    "fcn plain": {"name": "fcn", "variant": "plain", "stride": 8},
    "deeplabv3 at 8": {"name": "deeplabv3", "output_stride": 8, "aspp_channels": 32},
    "deeplabv3 with an auxiliary head": {"name": "deeplabv3", "auxiliary_weight": 0.4, "aspp_channels": 32},
    "squeeze and excitation": {"name": "unet", "encoder": "mobilenetv3_small_100"},
    "transformer": {"name": "smp/Unet", "encoder": "mit_b0"},
    "matched": {"name": "unet", "upsampler": "transposed_k4", "match": "parameters"},
}
CASES = [{"name": name} for name in MODELS] + list(VARIANTS.values())
NAMES = [*MODELS, *VARIANTS]


def build(settings: Mapping[str, Any]) -> nn.Module:
    encoder = "tu-vit_tiny_patch16_224" if settings["name"] == "smp/DPT" else "resnet18"
    options = {"encoder": encoder, **settings}
    return build_model(options.pop("name"), 5, **options)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(case, id=name, marks=[] if case["name"] in QUICK and name != "transformer" else [pytest.mark.slow])
        for name, case in zip(NAMES, CASES, strict=True)
    ],
)
def test_counts_are_those_of_a_real_forward_pass(settings: Mapping[str, Any]) -> None:
    found = explain("it", build_outline(lambda: build(settings)), SIZE)
    network = build(settings).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *SIZE))
    assert found.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert 2 * found.multiply_adds == counter.get_total_flops()


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_counts_hold_with_every_upsampler(upsampler: str) -> None:
    settings = {"name": "fcn", "variant": "plain", "stride": 4, "encoder": "mobilenetv3_small_100"}
    found = explain("it", build_outline(lambda: build(settings | {"upsampler": upsampler})), SIZE)
    network = build(settings | {"upsampler": upsampler}).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *SIZE))
    assert found.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert 2 * found.multiply_adds == counter.get_total_flops()


@pytest.mark.parametrize(
    ("name", "encoder", "field"),
    [("unet", "resnet18", 435), ("unet", "resnet34", 899), ("unet", "resnet50", 427), ("unet", "vgg16", 212)],
)
def test_encoders_see_as_far_as_the_recursion_over_their_longest_path_says(name: str, encoder: str, field: int) -> None:
    """Field += (kernel - 1) * dilation * stride over the 3x3 and 7x7 windows: resnet18 11 + 4 (8 + ...) and so on."""
    found = explain(name, build_outline(lambda: build({"name": name, "encoder": encoder})), SIZE).encoder_field
    assert found is not None
    assert found.rows is not None
    assert found.rows.size == field


@pytest.mark.parametrize("name", ["smp/PAN", "smp/UPerNet", "smp/DeepLabV3Plus"])
def test_the_output_of_a_network_has_the_stride_of_the_image(name: str) -> None:
    found = explain(name, build_outline(lambda: build({"name": name})), (128, 128)).field
    assert found is not None
    assert found.rows is not None
    assert found.rows.stride == 1
    assert abs(found.rows.shift) < 32


def test_dilation_widens_the_field_as_rates_at_that_stride_do() -> None:
    settings = {"name": "deeplabv3", "encoder": "resnet50", "aspp_channels": 16, "output_stride": 8}
    found = explain("it", build_outline(lambda: build(settings)), SIZE)
    fields = {layer.path: layer.field.rows.size for layer in found.layers if layer.field and layer.field.rows}
    last = fields["core.encoder.body.layer4.2.conv3"]
    rates = (12, 24, 36)
    branches = [fields[f"core.aspp.atrous.{place}.0"] for place in range(3)]
    assert branches == [last + 2 * rate * 8 for rate in rates]


def test_image_pooling_is_told_and_its_absence_too() -> None:
    settings = {"name": "deeplabv3", "aspp_channels": 16, "encoder": "resnet18"}
    told = [
        explain("it", build_outline(lambda: build(settings | {"image_pooling": on})), SIZE).field  # noqa: B023
        for on in (True, False)
    ]
    assert [field is not None and field.whole for field in told] == [("core.aspp.pooling",), ()]


def test_the_centre_of_an_odd_kernel_encoder_is_half_a_stride_off_its_cell() -> None:
    """A ResNet's strided 3x3 windows are centred on the first pixel of their cell: (1 - S) / 2 at stride S."""
    found = explain("it", build_outline(lambda: build({"name": "fcn", "variant": "32s"})), SIZE)
    assert found.encoder_field is not None
    assert found.encoder_field.rows is not None
    assert found.encoder_field.rows.shift == -15.5
