"""segsuite.models.layers and attention against formulas, plain loops and smp's own modules."""

import math
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from segmentation_models_pytorch.base.modules import Conv2dReLU, SCSEModule
from torch import nn

from segsuite.models.attention import SpatialChannelAttention
from segsuite.models.layer_settings import ACTIVATIONS, NORMALISATIONS
from segsuite.models.layers import ACTIVATION, ConvNormAct, Layers

FORMULAS: dict[str, Callable[[float], float]] = {
    "relu": lambda x: max(0.0, x),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "relu6": lambda x: min(6.0, max(0.0, x)),
}


def copied_in_order(source: nn.Module, target: nn.Module) -> None:
    """Gives `target` the parameters and buffers of `source`, both in the order of their definition, in place."""
    values = source.state_dict().values()
    nn.Module.load_state_dict(target, OrderedDict(zip(target.state_dict(), values, strict=True)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_their_formulas(name: str) -> None:
    values = [-7.0, -1.5, -0.1, 0.0, 0.2, 3.0, 5.9, 8.0]
    found = Layers(activation=name).activate()(torch.tensor(values, dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([FORMULAS[name](x) for x in values], dtype=torch.float64))


def test_every_activation_has_a_name() -> None:
    assert set(ACTIVATION) == set(ACTIVATIONS)


@pytest.mark.parametrize(("normalisation", "of_smp"), [("batch", "batchnorm"), ("none", "identity")])
def test_the_block_is_that_of_smp(normalisation: str, of_smp: str) -> None:
    reference = Conv2dReLU(5, 4, 3, padding=1, use_norm=of_smp).double()
    ours = ConvNormAct(5, 4, layers=Layers(normalisation)).double()
    copied_in_order(reference, ours)
    x_NCHW = torch.randn(2, 5, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(ours(x_NCHW), reference(x_NCHW))


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_convolutions_have_a_bias_only_without_normalisation(normalisation: str, separable: bool) -> None:
    block = ConvNormAct(5, 4, separable=separable, layers=Layers(normalisation))
    biased = [module.bias is not None for module in block if isinstance(module, nn.Conv2d)]
    assert biased == [normalisation == "none"] * (1 + separable)


@pytest.mark.parametrize("separable", [False, True])
def test_every_convolution_of_a_block_has_its_normalisation_and_activation(separable: bool) -> None:
    block = ConvNormAct(5, 4, rate=2, separable=separable, layers=Layers("group", activation="mish"))
    kinds = [type(module) for module in block]
    assert kinds == [nn.Conv2d, nn.GroupNorm, nn.Mish] * (1 + separable)


def test_scse_is_that_of_smp() -> None:
    reference, ours = SCSEModule(6, reduction=2).double(), SpatialChannelAttention(6).double()
    copied_in_order(reference, ours)
    x_NCHW = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(ours(x_NCHW), reference(x_NCHW))


def test_scse_weighs_channels_and_pixels() -> None:
    scse = SpatialChannelAttention(2).double().requires_grad_(False)
    x_NCHW = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    first, second, spatial = scse.channel[0], scse.channel[2], scse.spatial

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    means = [float(x_NCHW[0, c].mean()) for c in range(2)]
    hidden = max(0.0, sum(float(first.weight[0, c]) * means[c] for c in range(2)) + float(first.bias))
    of_channel = [sigmoid(float(second.weight[c, 0]) * hidden + float(second.bias[c])) for c in range(2)]
    expected = torch.empty_like(x_NCHW)
    for row in range(3):
        for column in range(4):
            pixel = x_NCHW[0, :, row, column]
            of_pixel = sigmoid(sum(float(spatial.weight[0, c]) * float(pixel[c]) for c in range(2)) + spatial.bias)
            for c in range(2):
                expected[0, c, row, column] = pixel[c] * (of_channel[c] + of_pixel)
    torch.testing.assert_close(scse(x_NCHW), expected)


def test_scse_does_with_one_channel() -> None:
    assert SpatialChannelAttention(1)(torch.randn(1, 1, 3, 4)).shape == (1, 1, 3, 4)


def test_dropout_zeroes_whole_channels_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropped = Layers(dropout=0.25).drop().train()(torch.ones(400, 10, 2, 3))
    of_channels = dropped.flatten(2)
    assert ((of_channels == 0).all(-1) | (of_channels == 1 / 0.75).all(-1)).all()
    assert float((of_channels[..., 0] == 0).double().mean()) == pytest.approx(0.25, abs=0.03)  # 4.4 standard errors


def test_without_dropout_no_random_number_is_drawn() -> None:
    before = torch.get_rng_state()
    Layers().drop().train()(torch.ones(1, 2, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
