"""The contract of seams: every upsampler fits in every one, and swapping it touches nothing else."""

import itertools
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segsuite.models.blocks import guide, guide_channels
from segsuite.upsamplers import UPSAMPLERS, build_upsampler
from segsuite.upsamplers.base import Upsampler
from tests.contracts.cores import CHANNELS, CLASSES, CORES, SETTINGS, Setting, encoder, network

every_core = pytest.mark.parametrize("core", CORES)
every_upsampler = pytest.mark.parametrize(
    "upsampler", SETTINGS, ids=lambda s: s if isinstance(s, str) else "-".join(s.values())
)
every_name = pytest.mark.parametrize("upsampler", UPSAMPLERS)
GUIDED = ("fade", "sapa", "joint_bilateral", "max_unpool")


def upsamplers(root: nn.Module) -> dict[str, Upsampler]:
    return {name: module for name, module in root.named_modules() if isinstance(module, Upsampler)}


def outside_upsamplers(core: str, upsampler: Setting) -> dict[str, Tensor]:
    """Parameters and buffers of the fresh network that are no upsampler's."""
    net = network(core, upsampler)
    inside = tuple(f"{name}." for name in upsamplers(net))
    tensors = itertools.chain(net.named_parameters(), net.named_buffers())
    return {name: tensor for name, tensor in tensors if not name.startswith(inside)}


@cache
def outside_bilinear_conv(core: str) -> dict[str, Tensor]:
    return outside_upsamplers(core, "bilinear_conv")


@every_upsampler
@every_core
def test_swapping_the_upsampler_changes_no_other_parameter_or_buffer(core: str, upsampler: Setting) -> None:
    ours, theirs = outside_bilinear_conv(core), outside_upsamplers(core, upsampler)
    assert list(ours) == list(theirs)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@every_core
def test_no_parameter_outside_the_encoder_and_the_upsamplers_is_left_out_of_the_comparison(core: str) -> None:
    net = network(core, "bilinear_conv")
    expected = {"unet": 5, "unet layered": 5, "fcn 32s": 1, "fcn 16s": 2}.get(core, 3)
    assert len(upsamplers(net)) == len(net.seams()) == expected


@every_core
def test_swapping_the_upsampler_leaves_the_global_generator_where_it_was(core: str) -> None:
    states = []
    for upsampler in SETTINGS:
        network(core, upsampler)
        states.append(torch.get_rng_state())
    assert all(torch.equal(state, states[0]) for state in states)


@every_core
def test_another_seed_gives_other_values_in_every_upsampler(core: str) -> None:
    first, second = (upsamplers(network(core, "transposed_k3", seed)) for seed in (0, 1))
    for name, upsampler in first.items():
        pairs = zip(upsampler.parameters(), second[name].parameters(), strict=True)
        assert all(not torch.equal(a, b) for a, b in pairs if a.ndim == 4)


@every_name
@every_core
def test_logits_have_the_size_of_any_image(core: str, upsampler: Setting) -> None:
    net = network(core, upsampler).eval()
    with torch.no_grad():
        for height, width in [(33, 45), (1, 7)]:
            logits_NCHW = net(torch.rand(1, 3, height, width))
            assert logits_NCHW.shape == (1, CLASSES, height, width)
            assert logits_NCHW.isfinite().all()


@pytest.mark.parametrize("without", [(2,), (2, 4)])
@pytest.mark.parametrize("upsampler", ["bilinear_conv", *GUIDED])
@pytest.mark.parametrize("core", ["unet", "fcn plain"])
def test_encoders_without_fine_features_do(core: str, upsampler: str, without: tuple[int, ...]) -> None:
    net = network(core, upsampler, without=without).eval()
    with torch.no_grad():
        assert net(torch.rand(1, 3, 45, 61)).shape == (1, CLASSES, 45, 61)


@every_name
@every_core
def test_a_step_with_one_image_reaches_every_stage_of_the_encoder(core: str, upsampler: Setting) -> None:
    net = network(core, upsampler).train()
    net(torch.rand(1, 3, 64, 64)).square().mean().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    for name, parameter in net.encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@every_core
def test_seams_are_what_the_upsamplers_do_coarse_to_fine_down_to_the_image(core: str) -> None:
    net = network(core, "transposed_k4")
    seams = net.seams()
    assert seams[-1].stride_to == 1
    assert [seam.stride_to for seam in seams[:-1]] == [seam.stride_from for seam in seams[1:]]
    for seam in seams:
        x_NCHW = torch.zeros(1, seam.in_channels, 3, 4)
        factor = seam.stride_from // seam.stride_to
        assert net.get_submodule(seam.name)(x_NCHW).shape == (1, seam.out_channels, 3 * factor, 4 * factor)


@every_core
def test_forward_is_decode_of_the_encoder_s_features(core: str) -> None:
    decoded = network(core, "fade").core.eval()
    image_NCHW = torch.rand(2, 3, 64, 96)
    expected = decoded(image_NCHW)
    assert torch.equal(decoded.decode(decoded.encoder(image_NCHW), image_NCHW), expected)


@pytest.mark.parametrize("without", [(), (2,)])
@every_core
def test_guides_are_the_features_of_the_target_stride_or_the_image(core: str, without: tuple[int, ...]) -> None:
    built = network(core, "joint_bilateral", without=without).core.eval()
    seen: dict[str, Tensor] = {}

    def record(name: str) -> Any:
        return lambda module, args, kwargs: seen.__setitem__(name, kwargs["guide"])

    for name, upsampler in upsamplers(built).items():
        upsampler.register_forward_pre_hook(record(f"core.{name}"), with_kwargs=True)
    image_NCHW = torch.rand(1, 3, 64, 96)
    built(image_NCHW)
    features = {2 ** (i + 1): f for i, f in enumerate(built.encoder.body(image_NCHW)[1:]) if f.shape[1]}
    for seam in built.seams():
        stride = seam.stride_to
        blocks_NCHW = image_NCHW.unflatten(2, (-1, stride)).unflatten(4, (-1, stride)).mean((3, 5))
        torch.testing.assert_close(seen[seam.name], features.get(stride, blocks_NCHW))


def test_guide_channels_are_those_of_the_guide() -> None:
    tiny = encoder(5, (2,))
    image_NCHW = torch.rand(1, 3, 64, 96)
    features = tiny(image_NCHW)
    for stride in (1, 2, 4, 8, 16, 32):
        given = guide(tiny, features, image_NCHW, stride)
        assert given.shape == (1, guide_channels(tiny, stride), 64 // stride, 96 // stride)
    assert [guide_channels(tiny, stride) for stride in (1, 2, 4)] == [3, 3, CHANNELS[1]]


def test_guided_upsamplers_are_all_tried() -> None:
    needing = {name for name in UPSAMPLERS if _needs_guide(name)}
    assert needing == set(GUIDED)


def _needs_guide(name: str) -> bool:
    return build_upsampler(name, 4, 4, guide_channels=3).needs_guide


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_one_step_by_32_is_exact_for_every_upsampler(upsampler: str) -> None:
    built = build_upsampler(upsampler, CLASSES, CLASSES, 32, 3)
    y_NCHW = built(torch.rand(1, CLASSES, 2, 3), size=(64, 96), guide=torch.rand(1, 3, 64, 96))
    assert y_NCHW.shape == (1, CLASSES, 64, 96)
