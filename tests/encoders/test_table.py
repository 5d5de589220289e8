"""segsuite.encoders.table: what it states, against the installed libraries; its geometry, measured."""

from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torchvision

from segsuite.config import validate
from segsuite.encoders import TABLE, build_encoder, check_encoder_name, dilatable, row_of
from segsuite.encoders.names import TIMM_COMMON
from segsuite.errors import ConfigError
from tests.encoders.receptive_fields import measured_offsets

LICENCES = {"apache-2.0": "Apache-2.0"}
FAMILIES = {
    "AlexNet", "VGG", "GoogLeNet", "Inception", "ResNet", "ResNet-vd", "ResNeXt", "DenseNet", "MobileNet V1",
    "MobileNet V2", "MobileNet V3", "Xception", "ShuffleNet V2", "SqueezeNet", "SENet", "SE-ResNet", "SKNet",
    "EfficientNet", "EfficientNet-lite", "ConvNeXt", "MiT",
}  # fmt: skip
# The first row of each kind; all its rows have the same windows.
KINDS = {(row.family, row.library, row.strides): name for name, row in reversed(TABLE.items())}
# Pixels of the image that hold what the coarsest feature sees, in the order tried.
LENGTHS = (640, 2304)
QUICK = ("tv-squeezenet1_1", "resnet18", "mobilenetv1_100")

every_row = pytest.mark.parametrize("name", TABLE)


def rows_of(library: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.library == library])


def test_every_family_is_there() -> None:
    assert {row.family for row in TABLE.values()} == FAMILIES


@every_row
def test_a_row_is_consistent(name: str) -> None:
    check_encoder_name(name)
    row = TABLE[name]
    assert len(row.strides) == len(row.channels) == len(row.offsets)
    assert row.strides[-1] in row.output_strides
    assert dilatable(name) == (8 in row.output_strides)
    assert all(abs(offset) < stride / 2 for offset, stride in zip(row.offsets, row.strides, strict=True))


@rows_of("smp")
def test_weights_of_smp_are_where_it_fetches_them(name: str) -> None:
    assert TABLE[name].source == smp.encoders.encoders[name]["pretrained_settings"]["imagenet"]["repo_id"]


@rows_of("timm")
def test_weights_of_timm_and_their_licence_are_what_it_states(name: str) -> None:
    stated, row = timm.get_pretrained_cfg(name), TABLE[name]
    assert name in TIMM_COMMON
    assert (row.source, row.licence) == (stated.hf_hub_id, LICENCES[stated.license])
    # lite: ImageNet's mean and std fit the weights as well as timm's, and the suite's results were made with them
    if "lite" not in name:
        assert stated.mean == {"half": (0.5, 0.5, 0.5), "imagenet": (0.485, 0.456, 0.406)}[row.mean_std]


@rows_of("torchvision")
def test_weights_of_torchvision_are_where_it_fetches_them(name: str) -> None:
    stated = torchvision.models.get_model_weights(name.removeprefix("tv-")).IMAGENET1K_V1
    assert TABLE[name].url == stated.url


def test_kinds_have_one_geometry() -> None:
    for name, row in TABLE.items():
        assert row.offsets == TABLE[KINDS[row.family, row.library, row.strides]].offsets, name


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in KINDS.values()]
)
def test_features_look_where_the_row_says(name: str) -> None:
    # the windows of Inceptions are not square
    for axis in (0, 1) if TABLE[name].family == "Inception" else (1,):
        for length in LENGTHS:
            found = measured_offsets(build_encoder(name), length, axis)
            if all(inside for _, inside in found):
                break
        assert tuple(offset for offset, _ in found) == TABLE[name].offsets


def test_a_name_that_is_not_in_the_table_has_no_row() -> None:
    assert row_of("resnet152") is None
    assert row_of("tu-resnet18") is None  # timm's, where the row is smp's
    assert row_of("tu-resnet50d") is TABLE["resnet50d"]


@pytest.mark.parametrize(
    "model",
    [
        {"name": "fcn", "variant": "8s"},
        {"name": "fcn", "variant": "plain", "stride": 32},
        {"name": "deeplabv3", "output_stride": 32},
    ],
)
def test_a_network_that_needs_a_stride_that_squeezenet_lacks_is_refused_in_the_settings(model: dict[str, Any]) -> None:
    def validated(encoder: str) -> None:
        validate({"data": {"name": "shapes"}, "model": {**model, "encoder": encoder}}, lambda path: "here")

    validated("resnet18")
    with pytest.raises(ConfigError, match=r"'tv-squeezenet1_1' has no features of stride 32.*resnet18"):
        validated("tv-squeezenet1_1")
