"""The contract of segsuite.upsamplers, run for every name in the dict; plain loops are the independent
references."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.errors import ConfigError
from segsuite.upsamplers import UPSAMPLERS, build_upsampler
from segsuite.upsamplers.base import Upsampler

every_upsampler = pytest.mark.parametrize("name", UPSAMPLERS)


def make(name: str, in_channels: int = 3, out_channels: int = 5, factor: int = 2, seed: int = 0) -> Upsampler:
    torch.manual_seed(seed)
    return build_upsampler(name, in_channels, out_channels, factor)


@every_upsampler
@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("height_width", [(1, 1), (5, 7), (6, 4), (3, 1)])
def test_output_is_exactly_factor_times_the_input(name: str, factor: int, height_width: tuple[int, int]) -> None:
    height, width = height_width
    y_NCHW = make(name, factor=factor)(torch.randn(2, 3, height, width))
    assert y_NCHW.shape == (2, 5, height * factor, width * factor)


@every_upsampler
@pytest.mark.parametrize("size", [(9, 13), (10, 14), (11, 16), (3, 20)])
def test_size_is_met_by_cutting_or_repeating_at_the_right_and_bottom(name: str, size: tuple[int, int]) -> None:
    module, x_NCHW = make(name), torch.randn(2, 3, 5, 7)
    full_NCHW, fitted_NCHW = module(x_NCHW), module(x_NCHW, size=size)
    rows = torch.arange(size[0]).clamp(max=9)
    columns = torch.arange(size[1]).clamp(max=13)
    assert torch.equal(fitted_NCHW, full_NCHW[:, :, rows][..., columns])


@every_upsampler
@pytest.mark.parametrize("factor", [2, 4])
def test_gradient_is_right_in_float64(name: str, factor: int) -> None:
    module = make(name, 2, 2, factor).double()
    x_NCHW = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x_NCHW,), fast_mode=True)


@every_upsampler
@pytest.mark.parametrize("factor", [2, 8])
def test_gradient_reaches_every_input_pixel_and_parameter(name: str, factor: int) -> None:
    module, x_NCHW = make(name, factor=factor), torch.randn(2, 3, 4, 5, requires_grad=True)
    module(x_NCHW).square().sum().backward()
    assert x_NCHW.grad is not None
    assert (x_NCHW.grad != 0).all()
    assert all(p.grad is not None and (p.grad != 0).all() for p in module.parameters())


@every_upsampler
def test_bf16_autocast_is_near_fp32(name: str) -> None:
    module, x_NCHW = make(name, 16, 16), torch.randn(1, 16, 9, 7)
    with torch.autocast("cpu", torch.bfloat16):
        low_NCHW = module(x_NCHW)
    assert (low_NCHW.float() - module(x_NCHW)).abs().max() < 0.05


@every_upsampler
def test_channels_last_equals_contiguous(name: str) -> None:
    module, x_NCHW = make(name, 8, 8), torch.randn(2, 8, 5, 6)
    expected_NCHW = module(x_NCHW)
    y_NCHW = module.to(memory_format=torch.channels_last)(x_NCHW.to(memory_format=torch.channels_last))
    assert y_NCHW.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y_NCHW, expected_NCHW)


@every_upsampler
def test_state_dict_makes_an_equal_copy(name: str) -> None:
    module, other, x_NCHW = make(name, seed=0), make(name, seed=1), torch.randn(1, 3, 4, 4)
    assert not torch.equal(module(x_NCHW), other(x_NCHW))
    other.load_state_dict(module.state_dict())
    assert torch.equal(module(x_NCHW), other(x_NCHW))


@pytest.mark.parametrize("name", ["nearest_conv", "bilinear_conv"])
def test_constant_image_stays_constant_in_the_interior(name: str) -> None:
    x_NCHW = torch.randn(1, 3, 1, 1).expand(1, 3, 8, 8)
    interior_NCHW = make(name, factor=4)(x_NCHW)[:, :, 5:-5, 5:-5]
    assert interior_NCHW.std(dim=(2, 3)).max() < 1e-6


@every_upsampler
@pytest.mark.parametrize("factor", [2, 8])
def test_second_moment_of_a_constant_unit_input_is_kept_at_init(name: str, factor: int) -> None:
    # constant in space: the one input that interpolation leaves as it is; many channels and images stand for
    # the expectation
    x_NCHW = torch.randn(64, 128, 1, 1).expand(-1, -1, 5, 5)
    middle = slice(2 * factor, 3 * factor)
    interior_NCHW = make(name, 128, 128, factor)(x_NCHW)[..., middle, middle]
    assert interior_NCHW.square().mean().item() == pytest.approx(1.0, rel=0.08)


@every_upsampler
def test_bias_is_zero_at_init(name: str) -> None:
    assert all((value == 0).all() for key, value in make(name).named_parameters() if key.endswith("bias"))


@every_upsampler
def test_initialise_depends_on_the_generator_only(name: str) -> None:
    first, second = make(name, seed=0), make(name, seed=1)
    first.initialise(torch.Generator().manual_seed(5))
    second.initialise(torch.Generator().manual_seed(5))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def conv3_by_loops(x_NCHW: Tensor, conv: nn.Conv2d) -> Tensor:
    """3x3 convolution with zero padding, one output value at a time."""
    assert conv.bias is not None
    _, _, height, width = x_NCHW.shape
    padded_NCHW = F.pad(x_NCHW, (1, 1, 1, 1))
    y_NCHW = torch.empty(x_NCHW.shape[0], conv.out_channels, height, width, dtype=x_NCHW.dtype)
    for i in range(height):
        for j in range(width):
            window = padded_NCHW[:, None, :, i : i + 3, j : j + 3]
            y_NCHW[:, :, i, j] = (window * conv.weight).sum(dim=(2, 3, 4)) + conv.bias
    return y_NCHW


def nearest_by_loops(x_NCHW: Tensor) -> Tensor:
    n, c, height, width = x_NCHW.shape
    y_NCHW = torch.empty(n, c, 2 * height, 2 * width, dtype=x_NCHW.dtype)
    for i in range(2 * height):
        for j in range(2 * width):
            y_NCHW[:, :, i, j] = x_NCHW[:, :, i // 2, j // 2]
    return y_NCHW


def bilinear_by_loops(x_NCHW: Tensor) -> Tensor:
    """Output pixel o lies at (o + 0.5) / 2 - 0.5 of the input; neighbours outside are the edge pixel."""
    n, c, height, width = x_NCHW.shape
    y_NCHW = torch.zeros(n, c, 2 * height, 2 * width, dtype=x_NCHW.dtype)
    for i in range(2 * height):
        for j in range(2 * width):
            v, u = (i + 0.5) / 2 - 0.5, (j + 0.5) / 2 - 0.5
            for row in range(-1, height + 1):
                for column in range(-1, width + 1):
                    weight = max(0.0, 1 - abs(v - row)) * max(0.0, 1 - abs(u - column))
                    inside = x_NCHW[:, :, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
                    y_NCHW[:, :, i, j] += weight * inside
    return y_NCHW


def transposed_by_loops(x_NCHW: Tensor, conv: nn.ConvTranspose2d) -> Tensor:
    """y[o] = sum of x[i] w[k] over o = 2 i - P + k, as the definition says."""
    assert conv.bias is not None
    n, _, height, width = x_NCHW.shape
    kernel, padding = conv.kernel_size[0], int(conv.padding[0])
    y_NCHW = conv.bias[None, :, None, None].repeat(n, 1, 2 * height, 2 * width)
    for i in range(height):
        for j in range(width):
            for k in range(kernel):
                for m in range(kernel):
                    row, column = 2 * i - padding + k, 2 * j - padding + m
                    if 0 <= row < 2 * height and 0 <= column < 2 * width:
                        y_NCHW[:, :, row, column] += x_NCHW[:, :, i, j] @ conv.weight[:, :, k, m]
    return y_NCHW


@every_upsampler
def test_equals_the_plain_loops(name: str) -> None:
    module, x_NCHW = make(name, 2, 3).double(), torch.randn(2, 2, 3, 4, dtype=torch.float64)
    conv = next(m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)))
    nn.init.normal_(conv.bias)  # type: ignore[arg-type]  # these convolutions have a bias
    with torch.no_grad():
        if isinstance(conv, nn.ConvTranspose2d):
            expected_NCHW = transposed_by_loops(x_NCHW, conv)
        else:
            enlarge = nearest_by_loops if name.startswith("nearest") else bilinear_by_loops
            expected_NCHW = conv3_by_loops(enlarge(x_NCHW), conv)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


@every_upsampler
@pytest.mark.parametrize("factor", [0, 1, 3, 6])
def test_factor_that_is_no_power_of_two_is_an_error(name: str, factor: int) -> None:
    with pytest.raises(ConfigError, match=f"not by {factor}"):
        build_upsampler(name, 2, 2, factor)


def test_unknown_name_gets_the_nearest_valid_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'bilinear_conv'"):
        build_upsampler("bilinar_conv", 2, 2)


def test_names_of_all_model_families_are_known_without_torch() -> None:
    packages = ", ".join(
        f"segsuite.{p}" for p in ("upsamplers", "encoders", "models", "losses", "metrics", "metrics.scores")
    )
    code = f"import sys, {packages}; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
