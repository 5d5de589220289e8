"""The copy that is measured, and what is seen of it."""

import torch
from torch import nn

from segsuite.checkerboard.observe import decodes, prepared, see
from segsuite.models import build_model
from tests.checkerboard.tiny import network, scene


def test_the_network_itself_is_left_as_it_was() -> None:
    net = network().train()
    net.encoder.eval()
    modes = [module.training for module in net.modules()]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    copied = prepared(net, scene().images_NCHW)
    see(copied, scene().images_NCHW)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not any(module.training for module in copied.modules())


def test_new_normalisation_gets_the_statistics_of_the_images() -> None:
    net, images = network(), scene().images_NCHW
    copied = prepared(net, images)
    first = net.core.encoder.fine[0]  # type: ignore[index, union-attr]
    shift, scale = net.shift_1C11, net.scale_1C11
    values = first(images * scale + shift)
    statistics = copied.core.encoder.fine[1]  # type: ignore[index, union-attr]
    torch.testing.assert_close(statistics.running_mean, values.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(statistics.running_var, values.var(dim=(0, 2, 3)))
    assert statistics.momentum == 0.1


def test_normalisation_that_has_seen_batches_is_kept() -> None:
    net = network().train()
    for _ in range(3):
        net(torch.rand(2, 3, 32, 32))
    copied = prepared(net, scene().images_NCHW)
    for name, value in net.state_dict().items():
        assert torch.equal(copied.state_dict()[name], value), name


def test_new_normalisation_with_one_value_a_channel_is_kept() -> None:
    """One image whose deepest features are one pixel, where the encoder was frozen so far."""
    net = network()
    image = scene(1).images_NCHW[:, :, :4, :4]
    copied = prepared(net, image)
    assert see(copied, image).features[1].shape == (1, 8, 1, 1)
    assert not any(module.training for module in copied.modules())


def test_what_passes_seams_and_goes_into_the_decoder_is_seen() -> None:
    net = network().eval()
    images = scene(1).images_NCHW
    seen = see(net, images)
    with torch.no_grad():
        features = net.core.encoder(images * net.scale_1C11 + net.shift_1C11)  # type: ignore[operator]
        torch.testing.assert_close(seen.logits_NCHW, net(images))
        torch.testing.assert_close(seen.seams["core.first"], net.core.first(features[1]))  # type: ignore[operator]
    assert [tuple(level.shape[1:]) for level in seen.features] == [(6, 40, 48), (8, 20, 24)]
    torch.testing.assert_close(seen.features[1], features[1])
    assert seen.image_NCHW is not None
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_core_without_a_decoder_of_its_own_is_told() -> None:
    torch.manual_seed(0)
    net = build_model("smp/Unet", 3, encoder="resnet18").eval()
    assert not decodes(net)
    seen = see(net, torch.rand(1, 3, 32, 32))
    assert seen.features == ()
    assert seen.seams == {}
    assert isinstance(net, nn.Module)
