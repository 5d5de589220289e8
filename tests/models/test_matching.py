"""segsuite.models.matching: the widths found are the nearest, and the counts are those of real networks."""

import json
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segsuite.errors import ConfigError
from segsuite.models import build_model
from segsuite.models.cost import count_multiply_adds
from segsuite.models.fcn import PlainFCN
from segsuite.models.matching import SIZE, match_widths, nearest_widths
from segsuite.models.network import SegmentationNetwork
from segsuite.upsamplers import UPSAMPLERS
from tests.contracts.cores import CLASSES, encoder

Widths = tuple[int, ...]


def quadratic(a: int, b: int, c: int) -> Callable[[Widths], int]:
    """A cost that grows with every width, as that of convolutions in a row does."""
    return lambda widths: c + sum(b * w for w in widths) + sum(a * v * w for v, w in pairwise(widths))


def every_scaling(widths: Widths, up_to: int) -> list[Widths]:
    """All roundings of widths times one factor of at most `up_to`, by exact arithmetic."""
    steps = {Fraction(2 * k + 1, 2 * width) for width in widths for k in range(width * up_to)}
    factors = [Fraction(0), *sorted(steps)]
    return [tuple(max(1, (2 * f * width + 1).__floor__() // 2) for width in widths) for f in factors]


def plain(given: Any, upsampler: Any, widths: Widths) -> PlainFCN:
    return PlainFCN(given, CLASSES, upsampler, widths)


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 24), min_size=1, max_size=4).map(tuple),
    st.builds(quadratic, st.integers(0, 20), st.integers(1, 20), st.integers(0, 100)),
    st.integers(1, 20_000),
)
def test_no_other_scaling_is_nearer(widths: Widths, cost: Callable[[Widths], int], target: int) -> None:
    target = min(target, cost(tuple(8 * width for width in widths)))
    found = nearest_widths(widths, cost, target)
    assert found in every_scaling(widths, 9)
    assert abs(cost(found) - target) == min(abs(cost(scaled) - target) for scaled in every_scaling(widths, 9))


def test_widths_whose_cost_is_the_target_stay_as_they_are() -> None:
    assert nearest_widths((256, 128, 64), quadratic(9, 2, 1), quadratic(9, 2, 1)((256, 128, 64))) == (256, 128, 64)


def test_a_target_below_the_narrowest_network_gives_widths_of_one() -> None:
    assert nearest_widths((256, 128), quadratic(9, 2, 1000), 10) == (1, 1)


def test_nothing_is_matched_unless_asked_for() -> None:
    assert build_model("unet", 5).matched is None
    assert match_widths(plain, encoder(3), "carafe", [9, 8, 7], "none", "bilinear_conv") == ((9, 8, 7), None)


def multiply_adds(network: nn.Module, height: int, width: int) -> int:
    """Those of all convolutions, each counted from its weight and the pixels that it is applied to."""
    total = 0

    def count(module: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        applied = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        total += module.weight.numel() * applied.shape[-2] * applied.shape[-1]

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, height, width))
    return total


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def built(name: str, **chosen: Any) -> SegmentationNetwork:
    variant = {"variant": "plain"} if name == "fcn" else {}
    return build_model(name, 5, encoder="tf_efficientnet_lite0", **variant, **chosen)


@pytest.mark.parametrize("name", ["unet", "fcn"])
def test_matched_parameters_are_those_of_the_network_and_its_target(name: str) -> None:
    network = built(name, upsampler="transposed_k4", match="parameters")
    matched, target = network.matched, parameters(built(name))
    assert matched is not None
    assert (matched["target"], matched["achieved"]) == (target, parameters(network))
    assert matched["relative_difference"] == pytest.approx(parameters(network) / target - 1)
    assert matched["decoder_channels"] == [seam.out_channels for seam in network.seams()]


@pytest.mark.parametrize("name", ["unet", "fcn"])
def test_matched_multiply_adds_are_those_of_the_network_and_its_target(name: str) -> None:
    network = built(name, upsampler="transposed_k4", match="multiply_adds")
    matched, target = network.matched, multiply_adds(built(name), SIZE, SIZE)
    assert matched is not None
    assert (matched["target"], matched["achieved"]) == (target, multiply_adds(network, SIZE, SIZE))
    assert matched["size"] == [SIZE, SIZE]


def test_the_ratio_of_multiply_adds_holds_at_other_sizes() -> None:
    network = built("fcn", upsampler="transposed_k2", match="multiply_adds")
    assert network.matched is not None
    ratio = multiply_adds(network, 96, 128) / multiply_adds(built("fcn"), 96, 128)
    assert ratio - 1 == pytest.approx(network.matched["relative_difference"], abs=1e-5)


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_every_upsampler_is_counted_as_it_is_built(upsampler: str) -> None:
    for measure in ("parameters", "multiply_adds"):
        widths, matched = match_widths(plain, encoder(3), upsampler, (8, 4, 4), measure, "bilinear_conv")
        network = plain(encoder(3), upsampler, widths).eval()
        image_NCHW = torch.rand(1, 3, SIZE, SIZE)
        counted = {
            "parameters": parameters(network),
            "multiply_adds": count_multiply_adds(lambda network=network, image_NCHW=image_NCHW: network(image_NCHW)),
        }
        assert matched is not None
        assert matched["achieved"] == counted[measure]


def test_a_decoder_matched_to_its_own_upsampler_stays_as_it_is() -> None:
    for upsampler in ("bilinear_conv", {"name": "transposed_k4", "init": "bilinear"}):
        widths, matched = match_widths(plain, encoder(3), upsampler, (32, 16, 8), "parameters", upsampler)
        assert matched is not None
        assert (widths, matched["relative_difference"]) == ((32, 16, 8), 0.0)


def test_matching_moves_neither_the_generator_nor_the_values_of_a_network_of_these_widths() -> None:
    torch.manual_seed(3)
    matched = built("fcn", upsampler="carafe", match="multiply_adds")
    after, values = torch.get_rng_state(), matched.state_dict()
    assert matched.matched is not None
    torch.manual_seed(3)
    written = built("fcn", upsampler="carafe", decoder_channels=matched.matched["decoder_channels"])
    assert torch.equal(after, torch.get_rng_state())
    assert all(torch.equal(value, written.state_dict()[name]) for name, value in values.items())


def test_the_encoder_is_left_as_it_was() -> None:
    given = encoder(3).train()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    match_widths(plain, given, "carafe", (8, 8, 8), "multiply_adds", "bilinear_conv")
    assert given.training
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in given.parameters())


def test_what_was_achieved_is_plain() -> None:
    network = built(
        "fcn", upsampler="carafe", match="parameters", match_to={"name": "transposed_k4", "init": "bilinear"}
    )
    assert json.loads(json.dumps(network.matched)) == network.matched


def test_an_unknown_measure_gets_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown match 'flops'.*multiply_adds"):
        build_model("unet", 5, match="flops")
