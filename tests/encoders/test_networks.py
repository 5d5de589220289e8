"""Every encoder of the table in the networks of the suite: forward and backward, at a small and an odd size."""

import math

import pytest
import torch

from segsuite.encoders import TABLE, build_encoder, dilatable
from segsuite.models import build_model
from segsuite.models.network import SegmentationNetwork

QUICK = ("resnet18", "tf_efficientnet_lite0", "mobilenetv3_small_100", "tv-shufflenet_v2_x0_5")
# the first row of each family is its smallest
SMALLEST = {row.family: name for name, row in reversed(TABLE.items())}
WIDTHS = (16, 16, 8, 8, 8)

pytestmark = pytest.mark.usefixtures("sockets_blocked")
every_row = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in TABLE]
)


def steps(network: SegmentationNetwork) -> None:
    """Forward and backward of two images at 64 x 64 and at 67 x 93 pixels."""
    for height, width in ((64, 64), (67, 93)):
        network.zero_grad()
        logits_NCHW = network(torch.rand(2, 3, height, width))
        assert logits_NCHW.shape == (2, 5, height, width)
        logits_NCHW.square().mean().backward()
        gradients = [p.grad for p in network.encoder_parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)


@every_row
def test_features_are_those_of_the_row(name: str) -> None:
    row, encoder = TABLE[name], build_encoder(name).eval()
    assert (encoder.strides, encoder.channels) == (row.strides, row.channels)
    for height, width in ((64, 96), (67, 93)):
        with torch.no_grad():
            features = encoder(torch.rand(1, 3, height, width))
        for feature, stride, channels in zip(features, row.strides, row.channels, strict=True):
            assert feature.shape[1] == channels
            for pixels, found in ((height, feature.shape[2]), (width, feature.shape[3])):
                assert found == row.size(pixels, stride) or row.size(pixels, stride) is None
                assert found in (pixels // stride, math.ceil(pixels / stride))


@every_row
def test_a_unet_takes_it(name: str) -> None:
    halvings = TABLE[name].strides[-1].bit_length() - 1
    steps(build_model("unet", 5, encoder=name, decoder_channels=WIDTHS[:halvings]))


@every_row
def test_an_fcn_takes_it(name: str) -> None:
    steps(build_model("fcn", 5, encoder=name, variant="8s"))


@pytest.mark.parametrize(
    ("name", "output_stride"),
    [
        pytest.param(name, output_stride, marks=[] if name in QUICK else [pytest.mark.slow])
        for name in SMALLEST.values()
        for output_stride in TABLE[name].output_strides
        if output_stride < 32 or not dilatable(name)
    ],
)
def test_a_deeplabv3_takes_one_of_each_family_at_its_dense_output_strides(name: str, output_stride: int) -> None:
    steps(build_model("deeplabv3", 5, encoder=name, output_stride=output_stride, aspp_channels=16))
