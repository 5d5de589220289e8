"""segsuite.models.aspp against torchvision's ASPP and heads; a batch of one; separable convolutions."""

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP as TorchvisionASPP
from torchvision.models.segmentation.fcn import FCNHead as TorchvisionFCNHead

from segsuite.errors import ConfigError
from segsuite.models.aspp import ASPP, FCNHead, ImagePooling, rates_at
from segsuite.models.layer_settings import NORMALISATIONS
from segsuite.models.layers import ConvNormAct, Layers


def copied_in_order(source: nn.Module, target: nn.Module) -> None:
    """Gives `target` the parameters and buffers of `source`, both in the order of their definition, in place."""
    values = source.state_dict().values()
    nn.Module.load_state_dict(target, OrderedDict(zip(target.state_dict(), values, strict=True)))


def shaken(module: nn.Module) -> nn.Module:
    """Batch norms with statistics and weights of their own, as after a training; dropout off."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            nn.init.normal_(part.running_mean, std=0.1)
            for values in (part.running_var, part.weight):
                nn.init.uniform_(values, 0.5, 1.5)
        elif isinstance(part, nn.Dropout):
            part.p = 0.0
    return module.double()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rates", [(6, 12, 18), (1, 2, 5), (2,)])
def test_aspp_equals_that_of_torchvision(rates: tuple[int, ...], training: bool) -> None:
    torch.manual_seed(0)
    reference = shaken(TorchvisionASPP(12, rates, 8)).train(training)
    ours = ASPP(12, 8, rates, dropout=0.0).double().train(training)
    copied_in_order(reference, ours)
    x_NCHW = torch.randn(2, 12, 11, 7, dtype=torch.float64)
    torch.testing.assert_close(ours(x_NCHW), reference(x_NCHW))
    after, expected = ours.state_dict().values(), reference.state_dict().values()
    assert all(torch.allclose(a, b) for a, b in zip(after, expected, strict=True))  # running statistics


def test_auxiliary_head_equals_that_of_torchvision() -> None:
    torch.manual_seed(0)
    reference, ours = shaken(TorchvisionFCNHead(12, 5)).eval(), FCNHead(12, 5).double().eval()
    copied_in_order(reference, ours)
    x_NCHW = torch.randn(2, 12, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x_NCHW), reference(x_NCHW))


def test_a_separable_convolution_is_a_filter_a_channel_and_a_mix() -> None:
    torch.manual_seed(0)
    block = ConvNormAct(3, 4, rate=2, separable=True).double().eval()
    x_NCHW = torch.randn(1, 3, 5, 6, dtype=torch.float64)
    depthwise, pointwise = block[0].weight.detach(), block[3].weight.detach()
    padded = nn.functional.pad(x_NCHW, (2, 2, 2, 2))
    eps = block[1].eps
    filtered = torch.zeros(3, 5, 6, dtype=torch.float64)
    for channel in range(3):
        for y in range(5):
            for x in range(6):
                seen = padded[0, channel, y : y + 5 : 2, x : x + 5 : 2]
                filtered[channel, y, x] = (seen * depthwise[channel, 0]).sum() / (1 + eps) ** 0.5
    mixed = torch.einsum("oc,chw->ohw", pointwise[:, :, 0, 0], filtered.clamp(min=0)) / (1 + eps) ** 0.5
    torch.testing.assert_close(block(x_NCHW)[0].detach(), mixed.clamp(min=0))


def test_separable_pyramids_hold_fewer_parameters_in_every_branch() -> None:
    full, separable = ASPP(64, 32), ASPP(64, 32, separable=True)
    for wide, narrow in zip(full.atrous, separable.atrous, strict=True):
        assert count(wide) == 64 * 32 * 9 + 2 * 32
        assert count(narrow) == 64 * 9 + 2 * 64 + 64 * 32 + 2 * 32


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_image_pooling_trains_on_any_batch(normalisation: str, batch: int) -> None:
    pooling = ImagePooling(3, 4, Layers(normalisation)).train()
    x_NCHW = torch.randn(batch, 3, 5, 7, requires_grad=True)
    y_NCHW = pooling(x_NCHW)
    assert y_NCHW.shape == (batch, 4, 5, 7)
    assert (y_NCHW == y_NCHW[..., :1, :1]).all()
    gradients = torch.autograd.grad(y_NCHW.square().sum(), [x_NCHW, *pooling.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (40, 3)])
@pytest.mark.parametrize("image_pooling", [True, False])
def test_features_of_any_size_keep_it(size: tuple[int, int], image_pooling: bool) -> None:
    aspp = ASPP(3, 4, (6, 12, 18), image_pooling).eval()
    with torch.no_grad():
        assert aspp(torch.randn(1, 3, *size)).shape == (1, 4, *size)


def test_the_pooled_image_is_the_only_branch_that_sees_everything() -> None:
    def seen(aspp: ASPP) -> Tensor:
        x_NCHW = torch.randn(1, 3, 32, 32, requires_grad=True)
        (gradient,) = torch.autograd.grad(aspp.eval()(x_NCHW)[..., 16, 16].square().sum(), x_NCHW)
        return gradient[0].abs().sum(0) > 0

    torch.manual_seed(0)
    assert seen(ASPP(3, 8, (2, 3))).all()
    without = seen(ASPP(3, 8, (2, 3), image_pooling=False))
    expected = {(16 + rate * y, 16 + rate * x) for rate in (2, 3) for y in (-1, 0, 1) for x in (-1, 0, 1)}
    assert {(int(y), int(x)) for y, x in without.nonzero()} == expected


def test_rates_follow_the_output_stride() -> None:
    assert {stride: rates_at(stride) for stride in (8, 16, 32)} == {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}


@pytest.mark.parametrize("rates", [(), (6, 0)])
def test_rates_that_are_none_are_refused(rates: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="ASPP rates"):
        ASPP(3, 4, rates)
