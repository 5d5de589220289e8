"""segsuite.train.fp32_backward: the gradients of bf16, computed by the faster fp32 kernels."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.train.fp32_backward import Fp32Backward

GEOMETRIES: list[dict[str, Any]] = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 5, "padding": 2, "stride": 2},
    {"kernel_size": 3, "padding": 2, "dilation": 2, "bias": True},
    {"kernel_size": (3, 5), "padding": (1, 2), "stride": (1, 2)},
    {"kernel_size": 3, "padding": 0},
]
BF16_EPSILON = 2.0**-8
Gradients = tuple[Tensor, ...]


@contextlib.contextmanager
def applications(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Counts how often the depthwise function is used."""
    from segsuite.train import fp32_backward

    used: list[int] = []
    original = fp32_backward.Convolution.apply

    def count(*arguments: Any) -> Any:
        used.append(1)
        return original(*arguments)

    monkeypatch.setattr(fp32_backward.Convolution, "apply", count)
    yield used


def depthwise(channels: int = 8, **geometry: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(channels, channels, groups=channels, **{"bias": False, **geometry})


def inputs(channels: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, channels, 17, 20, generator=generator).to(memory_format=torch.channels_last)


def gradients(conv: nn.Module, x_NCHW: Tensor, autocast: bool, mode: Callable[[], Any]) -> tuple[Tensor, Gradients]:
    """The output, and the gradients of the input and of all parameters."""
    x_NCHW = x_NCHW.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast), mode():
        y_NCHW = conv(x_NCHW)
    wanted = torch.randn(y_NCHW.shape, generator=torch.Generator().manual_seed(2))
    # Rounded to bf16, so that every variant is given the same gradient of the output.
    y_NCHW.backward(wanted.bfloat16().to(y_NCHW.dtype))
    found = [x_NCHW.grad, *(parameter.grad for parameter in conv.parameters())]
    assert all(gradient is not None for gradient in found)
    conv.zero_grad()
    return y_NCHW.detach(), tuple(gradient.double() for gradient in found if gradient is not None)


def exact(conv: nn.Conv2d, x_NCHW: Tensor) -> Gradients:
    """In fp64, of what bf16 sees: the input and the weights rounded."""
    double = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation,  # type: ignore[arg-type]
        conv.groups, conv.bias is not None, dtype=torch.float64,
    )  # fmt: skip
    with torch.no_grad():
        for own, other in zip(double.parameters(), conv.parameters(), strict=True):
            own.copy_(other.bfloat16().double())
    return gradients(double, x_NCHW.bfloat16().double(), False, contextlib.nullcontext)[1]


def error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_gradients_are_those_of_fp64_and_no_worse_than_plain_bf16(geometry: dict[str, Any]) -> None:
    conv, x_NCHW = depthwise(**geometry), inputs()
    output, ours = gradients(conv, x_NCHW, True, Fp32Backward)
    plain_output, plain = gradients(conv, x_NCHW, True, contextlib.nullcontext)
    assert torch.equal(output, plain_output)
    for found, bf16, expected in zip(ours, plain, exact(conv, x_NCHW), strict=True):
        assert error(found, expected) < BF16_EPSILON
        assert error(found, expected) <= error(bf16, expected) * 1.01 + 1e-7


def test_depthwise_convolutions_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with applications(monkeypatch) as used:
        gradients(depthwise(kernel_size=3), inputs(), True, Fp32Backward)
    assert len(used) == 1


@pytest.mark.parametrize(("groups", "out"), [(1, 8), (2, 8), (4, 8)])
def test_ordinary_and_grouped_convolutions_are_left_alone(
    groups: int, out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = nn.Conv2d(8, out, 3, groups=groups)
    with applications(monkeypatch) as used:
        found = gradients(conv, inputs(), True, Fp32Backward)
    expected = gradients(conv, inputs(), True, contextlib.nullcontext)
    assert used == []
    assert all(torch.equal(left, right) for left, right in zip(found[1], expected[1], strict=True))


def test_a_channel_multiplier_gives_the_gradients_of_fp64() -> None:
    torch.manual_seed(0)
    conv, x_NCHW = nn.Conv2d(8, 16, 3, groups=8, bias=True), inputs()
    for found, expected in zip(gradients(conv, x_NCHW, True, Fp32Backward)[1], exact(conv, x_NCHW), strict=True):
        assert error(found, expected) < BF16_EPSILON


@pytest.mark.parametrize("stride", [1, 2])
def test_timms_convolution_with_same_padding_is_taken(stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    conv = Conv2dSame(8, 8, 3, stride=stride, groups=8, bias=False)
    with applications(monkeypatch) as used:
        output, ours = gradients(conv, inputs(), True, Fp32Backward)
    plain_output, plain = gradients(conv, inputs(), True, contextlib.nullcontext)
    assert len(used) == 1
    assert torch.equal(output, plain_output)
    assert all(error(found, bf16) < 4 * BF16_EPSILON for found, bf16 in zip(ours, plain, strict=True))


def test_outside_autocast_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = depthwise(kernel_size=3, bias=True)
    with applications(monkeypatch) as used:
        found = gradients(conv, inputs(), False, Fp32Backward)
    expected = gradients(conv, inputs(), False, contextlib.nullcontext)
    assert used == []
    assert found[0].dtype == torch.float32
    assert all(torch.equal(left, right) for left, right in zip(found[1], expected[1], strict=True))


def test_without_gradients_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        applications(monkeypatch) as used, torch.no_grad(), torch.autocast("cpu", torch.bfloat16),
        Fp32Backward(),
    ):  # fmt: skip
        depthwise(kernel_size=3)(inputs())
    assert used == []


def test_a_frozen_weight_gets_no_gradient() -> None:
    conv = depthwise(kernel_size=3)
    conv.weight.requires_grad_(False)
    x_NCHW = inputs().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), Fp32Backward():
        conv(x_NCHW).float().sum().backward()
    assert conv.weight.grad is None
    assert x_NCHW.grad is not None


def test_the_functional_form_with_keywords_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = depthwise(kernel_size=3)
    with applications(monkeypatch) as used, torch.autocast("cpu", torch.bfloat16), Fp32Backward():
        F.conv2d(inputs(), conv.weight, stride=2, groups=8).float().sum().backward()  # type: ignore[no-untyped-call]
    assert len(used) == 1
    assert conv.weight.grad is not None


# Weights that meet nothing but padding: all but the middle ones.
SMALL_MAPS = [(7, 1, 1), (7, 2, 1), (7, 3, 1), (5, 1, 1), (5, 3, 3), (7, 2, 2)]


@pytest.mark.parametrize(("kernel", "size", "stride"), SMALL_MAPS)
def test_weights_that_meet_padding_only_have_no_gradient(
    kernel: int, size: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(8):
        torch.manual_seed(seed)
        conv = nn.Conv2d(256, 256, kernel, padding=kernel // 2, stride=stride).to(memory_format=torch.channels_last)
        x_NCHW = torch.randn(2, 256, size, size).to(memory_format=torch.channels_last)
        # Memory that is free again and not finite: what was read of it showed in the gradients.
        waste = [torch.full((count,), float("nan")) for count in (100, conv.weight.numel(), conv.weight.numel() // 2)]
        del waste
        with applications(monkeypatch) as used:
            _, ours = gradients(conv, x_NCHW, True, Fp32Backward)
        assert used
        for found, expected in zip(ours, exact(conv, x_NCHW), strict=True):
            assert (found - expected).abs().max() < 8 * BF16_EPSILON * expected.abs().max()
            assert (found[expected == 0] == 0).all()


@pytest.mark.parametrize(("kernel", "size"), [(7, 4), (5, 5), (3, 1), (1, 1)])
def test_other_convolutions_are_left_alone(kernel: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    conv = nn.Conv2d(8, 8, kernel, padding=kernel // 2)
    with applications(monkeypatch) as used:
        gradients(conv, torch.randn(2, 8, size, size), True, Fp32Backward)
    assert not used
