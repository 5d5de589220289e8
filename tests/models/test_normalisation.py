"""segsuite.models.normalisation: every one against sums written out, pooled features, small batches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models.convnext import LayerNorm2d

from segsuite.errors import ConfigError
from segsuite.models.layer_settings import NORMALISATIONS, check_layers, groups_of
from segsuite.models.normalisation import (
    NORMALISATION,
    POOLED,
    PooledBatchNorm,
    normalisation,
    pooled_normalisation,
)

CHANNELS, GROUPS = 6, 4  # 4 does not divide 6: three groups of two


def features(images: int = 3) -> Tensor:
    return 2 + 3 * torch.randn(images, CHANNELS, 4, 5, dtype=torch.float64)


def shaken(norm: nn.Module) -> nn.Module:
    for parameter in norm.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    return norm.double()


def places(name: str, x_NCHW: Tensor) -> list[tuple[slice | int, ...]]:
    """The parts of x that have one mean and variance."""
    images, channels, height, width = x_NCHW.shape
    everything = slice(None)
    if name == "batch":
        return [(everything, c) for c in range(channels)]
    if name == "group":
        return [(n, slice(c, c + 2)) for n in range(images) for c in range(0, channels, 2)]
    if name == "instance":
        return [(n, c) for n in range(images) for c in range(channels)]
    return [(n, everything, h, w) for n in range(images) for h in range(height) for w in range(width)]


@pytest.mark.parametrize("name", [name for name in NORMALISATIONS if name != "none"])
def test_values_are_those_of_the_definition(name: str) -> None:
    norm, x_NCHW = shaken(normalisation(name, CHANNELS, GROUPS)), features()
    expected = torch.empty_like(x_NCHW)
    for place in places(name, x_NCHW):
        part = x_NCHW[place]
        variance = (part - part.mean()).square().mean()
        expected[place] = (part - part.mean()) / (variance + (1e-6 if name == "layer" else 1e-5)) ** 0.5
    weight_C, bias_C = dict(norm.named_parameters()).values()
    expected = expected * weight_C.view(1, -1, 1, 1) + bias_C.view(1, -1, 1, 1)
    torch.testing.assert_close(norm.train()(x_NCHW), expected)


def test_layer_norm_is_that_of_convnext() -> None:
    ours, reference = shaken(normalisation("layer", CHANNELS, GROUPS)), LayerNorm2d(CHANNELS, eps=1e-6).double()
    reference.load_state_dict(ours.state_dict())
    x_NCHW = features()
    torch.testing.assert_close(ours(x_NCHW), reference(x_NCHW))


def test_batch_norm_is_torch_s_own() -> None:
    assert type(normalisation("batch", CHANNELS, GROUPS)) is nn.BatchNorm2d


def test_none_is_nothing() -> None:
    x_NCHW = features()
    assert normalisation("none", CHANNELS, GROUPS)(x_NCHW) is x_NCHW


@pytest.mark.parametrize("name", ["group", "instance", "layer"])
def test_an_image_is_normalised_alike_alone_and_in_a_batch(name: str) -> None:
    norm, x_NCHW = shaken(normalisation(name, CHANNELS, GROUPS)).train(), features()
    alone = norm(x_NCHW[:1])
    torch.testing.assert_close(alone, norm(x_NCHW)[:1], rtol=1e-12, atol=1e-12)
    assert torch.equal(norm.eval()(x_NCHW[:1]), alone)


@given(st.integers(1, 600), st.integers(1, 64))
def test_groups_divide_the_channels_and_no_larger_number_does(channels: int, groups: int) -> None:
    found = groups_of(channels, groups)
    assert found <= groups
    assert [number for number in range(1, groups + 1) if channels % number == 0][-1] == found


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("channels", [1, 7, 16, 64])
@pytest.mark.parametrize("name", NORMALISATIONS)
def test_pooled_features_train_and_are_not_made_constant(name: str, channels: int, images: int) -> None:
    norm = pooled_normalisation(name, channels, 32).train()
    features = torch.randn(images, channels, 1, 1)
    first, second = norm(features), norm(-features)  # of two values a batch norm keeps only which is larger
    assert first.isfinite().all()
    if name != "layer" or channels > 1:  # over one channel there is nothing but the mean
        assert not torch.allclose(first, second)


@pytest.mark.parametrize(("batch", "training"), [(3, True), (1, False), (3, False)])
def test_pooled_batch_norm_is_batch_norm_where_that_is_defined(batch: int, training: bool) -> None:
    reference, ours = shaken(nn.BatchNorm2d(4)), PooledBatchNorm(4).double()
    ours.load_state_dict(reference.state_dict())
    x_NC11 = torch.randn(batch, 4, 1, 1, dtype=torch.float64)
    assert torch.equal(ours.train(training)(x_NC11), reference.train(training)(x_NC11))
    assert all(torch.equal(a, b) for a, b in zip(ours.buffers(), reference.buffers(), strict=True))


def test_a_batch_of_one_trains_with_running_statistics_and_leaves_them() -> None:
    norm = shaken(PooledBatchNorm(4))
    nn.init.normal_(norm.get_buffer("running_mean"))
    before = {name: value.clone() for name, value in norm.named_buffers()}
    x_NC11 = torch.randn(1, 4, 1, 1, dtype=torch.float64)
    assert torch.equal(norm.train()(x_NC11), norm.eval()(x_NC11))
    assert all(torch.equal(value, before[name]) for name, value in norm.named_buffers())


def test_every_name_has_a_normalisation_of_plain_and_of_pooled_features() -> None:
    assert set(NORMALISATION) == set(POOLED) == set(NORMALISATIONS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("grouped", 32, "relu", "none"), "unknown normalisation 'grouped'; did you mean 'group'"),
        (("batch", 32, "swish", "none"), "unknown activation 'swish'.*silu"),
        (("batch", 32, "relu", "se"), "unknown attention 'se'.*scse"),
        (("frozen_batch", 32, "relu", "none"), "set encoder_normalisation"),
        (("synchronised_batch", 32, "relu", "none"), "write batch: batch norm takes its statistics over all processes"),
        (("layer", 8, "relu", "none"), "'layer', which has no groups, but normalisation_groups is 8"),
        (("group", 0, "relu", "none"), "normalisation_groups must be at least 1, not 0"),
    ],
)
def test_wrong_settings_are_refused(settings: tuple[str, int, str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_layers(*settings)
