"""`implementation: direct` and `polyphase` are one operator: outputs, gradients, parameters."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segsuite.upsamplers import IMPLEMENTATIONS, build_upsampler
from segsuite.upsamplers.base import Upsampler
from segsuite.upsamplers.resize_conv import expanded_kernel

OPERATORS = ("bilinear_conv1", "nearest_conv")
every_operator = pytest.mark.parametrize("name", OPERATORS)
every_implementation = pytest.mark.parametrize("implementation", ["auto", "direct", "polyphase"])
sizes = st.integers(1, 7)
widths = st.integers(1, 4)


def make(name: str, implementation: str, in_channels: int, out_channels: int, factor: int = 2) -> Upsampler:
    torch.manual_seed(0)
    settings = {"name": name, "implementation": implementation}
    module = build_upsampler(settings, in_channels, out_channels, factor)
    for key, value in module.named_parameters():
        if key.endswith("bias"):
            nn.init.normal_(value)
    return module


def outputs_and_gradients(module: Upsampler, x_NCHW: Tensor, upstream_NCHW: Tensor) -> list[Tensor]:
    x_NCHW = x_NCHW.clone().requires_grad_()
    y_NCHW = module(x_NCHW)
    return [y_NCHW, *torch.autograd.grad(y_NCHW, [x_NCHW, *module.parameters()], upstream_NCHW)]


@every_operator
@given(
    images=st.integers(1, 2),
    height=sizes,
    width=sizes,
    in_channels=widths,
    out_channels=widths,
    factor=st.sampled_from([2, 4]),
)
def test_polyphase_equals_direct_with_all_gradients_at_any_size(
    name: str, images: int, height: int, width: int, in_channels: int, out_channels: int, factor: int
) -> None:
    direct = make(name, "direct", in_channels, out_channels, factor).double()
    polyphase = make(name, "polyphase", in_channels, out_channels, factor).double()
    x_NCHW = torch.randn(images, in_channels, height, width, dtype=torch.float64)
    upstream_NCHW = torch.randn(images, out_channels, height * factor, width * factor, dtype=torch.float64)
    expected = outputs_and_gradients(direct, x_NCHW, upstream_NCHW)
    for fast, slow in zip(outputs_and_gradients(polyphase, x_NCHW, upstream_NCHW), expected, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)


@every_operator
def test_gradient_of_polyphase_is_right_in_float64(name: str) -> None:
    module = make(name, "polyphase", 2, 3, 4).double()
    keys, parameters = zip(*module.named_parameters(), strict=True)

    def enlarged(x_NCHW: Tensor, *values: Tensor) -> Any:
        return torch.func.functional_call(module, dict(zip(keys, values, strict=True)), (x_NCHW,))

    x_NCHW = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(enlarged, (x_NCHW, *parameters), fast_mode=True)


def test_expanded_kernel_of_a_ramp_is_each_tap_plus_its_neighbour() -> None:
    row = torch.tensor([1.0, 10.0, 100.0])
    kernel = expanded_kernel((row[:, None] * row)[None, None])
    line = torch.tensor([100.0, 110.0, 11.0, 1.0])  # flipped, then each plus its neighbour
    assert torch.equal(kernel, (line[:, None] * line)[None, None])


def test_expanded_kernel_of_bf16_weights_is_rounded_once() -> None:
    # eight bits at four scales: exact in bf16, sums of four exact in fp32
    weight = (torch.randint(-127, 128, (4, 3, 3, 3)) * 2 ** torch.randint(0, 4, (4, 3, 3, 3))).bfloat16()
    exact = expanded_kernel(weight.double())
    assert torch.equal(expanded_kernel(weight), exact.bfloat16())


@every_operator
@every_implementation
@pytest.mark.parametrize("autocast", [True, False])
def test_bf16_is_near_float64(name: str, implementation: str, autocast: bool) -> None:
    module, x_NCHW = make(name, implementation, 32, 16), torch.randn(1, 32, 9, 7)
    with torch.no_grad():
        exact_NCHW = make(name, "direct", 32, 16).double()(x_NCHW.double())
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y_NCHW = module(x_NCHW) if autocast else module.bfloat16()(x_NCHW.bfloat16())
    assert y_NCHW.dtype == torch.bfloat16
    # input, weight, enlarged and output are rounded to 8 bits once each
    assert (y_NCHW - exact_NCHW).norm() / exact_NCHW.norm() < 4 * 2**-9


@every_operator
@every_implementation
@pytest.mark.parametrize("size", [(1, 1), (5, 6)])
def test_channels_last_stays_and_changes_nothing(name: str, implementation: str, size: tuple[int, int]) -> None:
    module, x_NCHW = make(name, implementation, 8, 4, 4), torch.randn(2, 8, *size)
    expected_NCHW = module(x_NCHW)
    y_NCHW = module.to(memory_format=torch.channels_last)(x_NCHW.to(memory_format=torch.channels_last))
    assert y_NCHW.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y_NCHW, expected_NCHW)


@every_operator
@pytest.mark.parametrize("implementation", ["direct", "polyphase"])
def test_exported_graph_takes_any_height_and_width(name: str, implementation: str) -> None:
    module = make(name, implementation, 3, 2).eval()
    height, width = torch.export.Dim("height", min=2, max=64), torch.export.Dim("width", min=2, max=64)
    example = (torch.randn(1, 3, 6, 8),)
    exported = torch.export.export(module, example, dynamic_shapes=({2: height, 3: width},))
    x_NCHW = torch.randn(1, 3, 5, 13)
    torch.testing.assert_close(exported.module()(x_NCHW), module(x_NCHW))


@every_operator
def test_parameters_and_their_start_are_the_same_whichever_the_implementation(name: str) -> None:
    states = [make(name, each, 3, 2, 4).state_dict() for each in IMPLEMENTATIONS[name]]
    for state in states[1:]:
        assert list(state) == list(states[0])
        assert all(torch.equal(state[key], value) for key, value in states[0].items())


@pytest.mark.parametrize(
    ("name", "in_channels", "out_channels", "chosen"),
    [
        ("nearest_conv", 8, 4, "polyphase"),
        ("nearest_conv", 4, 8, "polyphase"),
        ("bilinear_conv1", 8, 4, "polyphase"),
        ("bilinear_conv1", 8, 8, "polyphase"),
        ("bilinear_conv1", 4, 8, "direct"),
    ],
)
def test_auto_takes_on_a_cpu_what_measured_faster(name: str, in_channels: int, out_channels: int, chosen: str) -> None:
    x_NCHW = torch.randn(2, in_channels, 9, 9)
    outputs = {each: make(name, each, in_channels, out_channels)(x_NCHW) for each in IMPLEMENTATIONS[name]}
    assert torch.equal(outputs["auto"], outputs[chosen])
    assert not torch.equal(outputs["direct"], outputs["polyphase"])  # rounding tells them apart


def multiply_adds(module: Upsampler, x_NCHW: Tensor) -> int:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module(x_NCHW)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("name", "implementation", "per_pixel_and_channel_pair"),
    [
        ("bilinear_conv1", "direct", 4),
        ("bilinear_conv1", "polyphase", 1),
        ("nearest_conv", "direct", 36),
        ("nearest_conv", "polyphase", 16),
    ],
)
def test_multiply_adds_are_as_stated(name: str, implementation: str, per_pixel_and_channel_pair: int) -> None:
    counted = multiply_adds(make(name, implementation, 8, 4), torch.randn(1, 8, 6, 5))
    assert counted == per_pixel_and_channel_pair * (6 * 5) * (8 * 4)


def test_auto_is_direct_where_nearest_conv_was_not_measured() -> None:
    x_NCHW = torch.randn(1, 8, 6, 5, device="meta")
    counted = {each: multiply_adds(make("nearest_conv", each, 8, 4).to("meta"), x_NCHW) for each in ("auto", "direct")}
    assert counted["auto"] == counted["direct"]


@every_operator
@every_implementation
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_phases_of_a_constant_differ_by_rounding_only(name: str, implementation: str, dtype: torch.dtype) -> None:
    x_NCHW = torch.randn(16, 64, 1, 1).expand(-1, -1, 6, 6).to(dtype)
    with torch.no_grad():
        y_NCHW = make(name, implementation, 64, 64).to(dtype)(x_NCHW)[..., 4:8, 4:8].double()
    deviation = y_NCHW - y_NCHW.mean(dim=(2, 3), keepdim=True)
    assert deviation.square().mean().sqrt() < 4 * torch.finfo(dtype).eps * y_NCHW.square().mean().sqrt()
