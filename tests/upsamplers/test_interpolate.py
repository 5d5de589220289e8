"""Interpolation and resize-convolutions against their formulas, one output value at a time."""

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from segsuite.errors import ConfigError
from segsuite.upsamplers import build_upsampler
from segsuite.upsamplers.base import Upsampler

SIZES = [(1, 1), (1, 3), (2, 2), (3, 5)]
resize_convs = pytest.mark.parametrize("name", ["nearest_conv", "bilinear_conv", "bicubic_conv", "bilinear_conv1"])


def float64(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def hat(distance: float) -> float:
    return max(0.0, 1 - abs(distance))


def cubic(distance: float) -> float:
    """Cubic convolution kernel of Keys 1981 with a = -3/4 (0 at the distances 1 and 2)."""
    s, a = abs(distance), -0.75
    if s < 1:
        return (a + 2) * s**3 - (a + 3) * s**2 + 1
    return a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a if s < 2 else 0.0


def interpolated_by_loops(x_NCHW: Tensor, factor: int, kernel: Callable[[float], float]) -> Tensor:
    """Output pixel o lies at (o + 1/2) / factor - 1/2; what lies outside is the edge pixel."""
    n, c, height, width = x_NCHW.shape
    y_NCHW = torch.zeros(n, c, height * factor, width * factor, dtype=x_NCHW.dtype)
    for i, j in product(range(height * factor), range(width * factor)):
        v, u = (i + 0.5) / factor - 0.5, (j + 0.5) / factor - 0.5
        for di, dj in product(range(-1, 3), repeat=2):
            row, column = math.floor(v) + di, math.floor(u) + dj
            pixel_NC = x_NCHW[:, :, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            y_NCHW[:, :, i, j] += kernel(v - row) * kernel(u - column) * pixel_NC
    return y_NCHW


def repeated_by_loops(x_NCHW: Tensor) -> Tensor:
    n, c, height, width = x_NCHW.shape
    y_NCHW = torch.empty(n, c, 2 * height, 2 * width, dtype=x_NCHW.dtype)
    for i, j in product(range(2 * height), range(2 * width)):
        y_NCHW[:, :, i, j] = x_NCHW[:, :, i // 2, j // 2]
    return y_NCHW


ENLARGED: dict[str, Callable[[Tensor], Tensor]] = {
    "nearest_conv": repeated_by_loops,
    "bilinear_conv": lambda x_NCHW: interpolated_by_loops(x_NCHW, 2, hat),
    "bilinear_conv1": lambda x_NCHW: interpolated_by_loops(x_NCHW, 2, hat),
    "bicubic_conv": lambda x_NCHW: interpolated_by_loops(x_NCHW, 2, cubic),
}


def convolved_by_loops(x_NCHW: Tensor, conv: nn.Conv2d) -> Tensor:
    """Correlation with the kernel at every pixel; zeros outside."""
    assert conv.bias is not None
    n, _, height, width = x_NCHW.shape
    reach = conv.kernel_size[0] // 2
    y_NCHW = conv.bias[None, :, None, None].repeat(n, 1, height, width)
    for i, j, di, dj in product(range(height), range(width), range(-reach, reach + 1), range(-reach, reach + 1)):
        if 0 <= i + di < height and 0 <= j + dj < width:
            y_NCHW[:, :, i, j] += x_NCHW[:, :, i + di, j + dj] @ conv.weight[:, :, di + reach, dj + reach].T
    return y_NCHW


def convolutions(module: Upsampler) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


@resize_convs
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("factor", [2, 4])
def test_equals_interpolation_then_convolution_by_loops(name: str, size: tuple[int, int], factor: int) -> None:
    module, x_NCHW = build_upsampler(name, 3, 2, factor).double(), float64(2, 3, *size)
    expected_NCHW = x_NCHW
    with torch.no_grad():
        for conv in convolutions(module):
            assert conv.bias is not None
            conv.bias.copy_(float64(2))
            expected_NCHW = convolved_by_loops(ENLARGED[name](expected_NCHW), conv)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("factor", [2, 3, 4, 5, 8])
def test_bilinear_equals_interpolation_by_loops(size: tuple[int, int], factor: int) -> None:
    x_NCHW = float64(2, 3, *size)
    expected_NCHW = interpolated_by_loops(x_NCHW, factor, hat)
    torch.testing.assert_close(build_upsampler("bilinear", 3, 3, factor)(x_NCHW), expected_NCHW, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_bilinear_keeps_a_plane_on_the_half_pixel_grid(factor: int) -> None:
    height, width = 5, 6
    rows, columns = torch.arange(height, dtype=torch.float64)[:, None], torch.arange(width, dtype=torch.float64)
    y_HW = build_upsampler("bilinear", 1, 1, factor)((2 * rows - 3 * columns + 1)[None, None])[0, 0]
    fine_rows = (torch.arange(height * factor, dtype=torch.float64)[:, None] + 0.5) / factor - 0.5
    fine_columns = (torch.arange(width * factor, dtype=torch.float64) + 0.5) / factor - 0.5
    edge = factor // 2  # further out the edge pixel is repeated
    inside = (slice(edge, height * factor - edge), slice(edge, width * factor - edge))
    torch.testing.assert_close(y_HW[inside], (2 * fine_rows - 3 * fine_columns + 1)[inside], rtol=0, atol=1e-12)


def test_bilinear_has_parameters_only_when_the_widths_differ() -> None:
    assert not build_upsampler("bilinear", 4, 4, 8).state_dict()
    assert sum(p.numel() for p in build_upsampler("bilinear", 4, 3, 8).parameters()) == 4 * 3 + 3


def test_bilinear_of_other_width_is_a_1x1_convolution_and_then_the_interpolation() -> None:
    module, x_NCHW = build_upsampler("bilinear", 3, 2, 3).double(), float64(2, 3, 3, 4)
    (conv,) = convolutions(module)
    nn.init.normal_(conv.bias)  # type: ignore[arg-type]  # it has one
    with torch.no_grad():
        expected_NCHW = interpolated_by_loops(convolved_by_loops(x_NCHW, conv), 3, hat)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [-2, 0, 1])
def test_bilinear_by_less_than_two_is_an_error(factor: int) -> None:
    with pytest.raises(ConfigError, match=f"not by {factor}"):
        build_upsampler("bilinear", 2, 2, factor)
