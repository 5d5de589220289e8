"""Transposed convolutions and their initialisations against loops, FCN's formula and linear algebra."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.errors import ConfigError
from segsuite.upsamplers import build_upsampler
from segsuite.upsamplers.base import Upsampler
from segsuite.upsamplers.initialisations import bilinear_filter, equal_phases_, equalise_phases, torch_default_
from tests.upsamplers.references import cost, float64, phase_sums, random_bias, transposed

# Name -> kernel, and the output row of tap 0 of input row 0.
GEOMETRY = {"transposed_k2": (2, 0), "transposed_k3": (3, -1), "transposed_k4": (4, -1)}


def convolutions(module: Upsampler) -> list[nn.ConvTranspose2d]:
    return [part for part in module.modules() if isinstance(part, nn.ConvTranspose2d)]


def bilinear(name: str, channels: int, factor: int) -> Upsampler:
    return build_upsampler({"name": name, "init": "bilinear"}, channels, channels, factor).double()


def interior(y_NCHW: Tensor, margin: int) -> Tensor:
    return y_NCHW[..., margin:-margin, margin:-margin]


@pytest.mark.parametrize("name", GEOMETRY)
@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("height_width", [(1, 1), (3, 4)])
def test_chain_equals_plain_loops(name: str, factor: int, height_width: tuple[int, int]) -> None:
    module, x_NCHW = build_upsampler(name, 2, 3, factor).double(), float64(2, 2, *height_width)
    random_bias(module)
    kernel, first = GEOMETRY[name]
    expected_NCHW = x_NCHW
    with torch.no_grad():
        for conv in convolutions(module):
            assert conv.kernel_size == (kernel, kernel)
            assert conv.bias is not None
            expected_NCHW = transposed(expected_NCHW, conv.weight, conv.bias, 2, first)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_k2s_equals_plain_loops(factor: int) -> None:
    module, x_NCHW = build_upsampler("transposed_k2s", 2, 3, factor).double(), float64(1, 2, 2, 3)
    random_bias(module)
    (conv,) = convolutions(module)
    assert conv.bias is not None
    with torch.no_grad():
        expected_NCHW = transposed(x_NCHW, conv.weight, conv.bias, factor, -factor // 2)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


@pytest.mark.parametrize("name", ["transposed_k2s", "transposed_bilinear"])
@pytest.mark.parametrize("factor", [16, 32])
def test_one_step_reaches_the_factors_of_fcn(name: str, factor: int) -> None:
    assert build_upsampler(name, 2, 2, factor)(torch.randn(1, 2, 3, 2)).shape == (1, 2, 3 * factor, 2 * factor)


@pytest.mark.parametrize("factor", [1, 3, 12])
def test_one_step_refuses_other_factors(factor: int) -> None:
    with pytest.raises(ConfigError, match=f"not by {factor}"):
        build_upsampler("transposed_k2s", 2, 2, factor)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(3, 5, 3),
        nn.ConvTranspose2d(3, 5, 4, 2),
        nn.ConvTranspose2d(4, 4, (1, 3), (1, 2), groups=4, bias=False),
    ],
)
def test_torch_init_draws_what_reset_parameters_draws(conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
    torch.manual_seed(3)
    conv.reset_parameters()
    expected = [parameter.clone() for parameter in conv.parameters()]
    torch_default_(conv, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(conv.parameters(), expected, strict=True))


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (4, 2), (5, 2), (5, 3), (8, 4)])
def test_equalised_kernel_is_the_nearest_one_with_equal_phase_sums(kernel: int, stride: int) -> None:
    weight_IOKK = float64(2, 3, kernel, kernel)
    sums_PIO = phase_sums(weight_IOKK, stride)
    # rows of C: which taps a phase has; the projection onto C w = target is w - C^T (C C^T)^-1 (C w - target)
    phase = (torch.arange(kernel)[:, None] % stride) * stride + torch.arange(kernel) % stride
    taps_PK = (phase.flatten() == torch.arange(stride**2)[:, None]).double()
    target_PF = (0.7 * sums_PIO.mean(dim=0)).flatten().expand(stride**2, -1)
    flat_KF = weight_IOKK.permute(2, 3, 0, 1).flatten(0, 1).flatten(1)
    excess_PF = torch.linalg.solve(taps_PK @ taps_PK.T, taps_PK @ flat_KF - target_PF)
    expected_IOKK = (flat_KF - taps_PK.T @ excess_PF).view(kernel, kernel, 2, 3).permute(2, 3, 0, 1)
    torch.testing.assert_close(equalise_phases(weight_IOKK, stride, gain=0.7), expected_IOKK)


@pytest.mark.parametrize(("name", "factor"), [("transposed_k2", 4), ("transposed_k3", 2), ("transposed_k2s", 4)])
def test_equal_phases_init_makes_all_phase_sums_equal(name: str, factor: int) -> None:
    for conv in convolutions(build_upsampler({"name": name, "init": "equal_phases"}, 4, 3, factor)):
        sums_PIO = phase_sums(conv.weight.detach(), conv.stride[0])
        assert sums_PIO.std() > 0.1
        torch.testing.assert_close(sums_PIO, sums_PIO[:1].expand_as(sums_PIO))


def test_equal_phases_leave_each_phase_distributed_as_random_draws_are() -> None:
    conv = nn.ConvTranspose2d(64, 64, 4, 2, bias=False)
    equal_phases_(conv, torch.Generator().manual_seed(0))
    taps_SK = conv.weight.detach()[..., 0::2, 1::2].reshape(-1, 4)
    covariance_KK = taps_SK.T @ taps_SK / len(taps_SK)
    # 4096 samples: five standard errors are 5 sqrt(2 / 4096)
    torch.testing.assert_close(covariance_KK * 64 * 4, torch.eye(4), rtol=0, atol=5 * (2 / 4096) ** 0.5)


def fcn_kernel(size: int) -> Any:
    """The bilinear kernel as FCN's published code makes it, from its description: two ramps around the centre."""
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 == 1 else factor - 0.5
    rows, columns = np.ogrid[:size, :size]
    return (1 - abs(rows - centre) / factor) * (1 - abs(columns - centre) / factor)


@pytest.mark.parametrize(
    ("name", "factor", "kernel"), [("transposed_k3", 2, 3), ("transposed_k4", 2, 4), ("transposed_k2s", 8, 16)]
)
def test_bilinear_init_is_the_formula_of_fcn_on_the_diagonal(name: str, factor: int, kernel: int) -> None:
    weight_IOKK = convolutions(bilinear(name, 3, factor))[0].weight.detach()
    expected_IOKK = torch.eye(3, dtype=torch.float64)[:, :, None, None] * torch.from_numpy(fcn_kernel(kernel))
    torch.testing.assert_close(weight_IOKK, expected_IOKK, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "factor"),
    [("transposed_k4", 2), ("transposed_k2s", 2), ("transposed_k2s", 4), ("transposed_k2s", 16)]
    + [("transposed_bilinear", factor) for factor in (2, 4, 8)],
)
def test_bilinear_kernels_interpolate_in_the_interior(name: str, factor: int) -> None:
    init = {} if name == "transposed_bilinear" else {"init": "bilinear"}
    module, x_NCHW = build_upsampler({"name": name, **init}, 2, 2, factor).double(), float64(1, 2, 5, 6)
    expected_NCHW = F.interpolate(x_NCHW, scale_factor=float(factor), mode="bilinear", align_corners=False)
    torch.testing.assert_close(interior(module(x_NCHW), factor // 2), interior(expected_NCHW, factor // 2))


def test_bilinear_init_of_kernel_2_repeats_pixels() -> None:
    x_NCHW = float64(1, 2, 3, 4)
    expected_NCHW = x_NCHW.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    torch.testing.assert_close(bilinear("transposed_k2", 2, 4)(x_NCHW), expected_NCHW)


def test_bilinear_init_of_kernel_3_interpolates_on_the_corner_grid() -> None:
    x_NCHW = float64(1, 2, 4, 4)
    corners_NCHW = F.interpolate(x_NCHW, size=(7, 7), mode="bilinear", align_corners=True)
    torch.testing.assert_close(bilinear("transposed_k3", 2, 2)(x_NCHW)[..., :7, :7], corners_NCHW)


def test_bilinear_init_between_other_channels_mixes_and_interpolates() -> None:
    module = build_upsampler({"name": "transposed_k4", "init": "bilinear"}, 3, 5, 2)
    weight_IOKK = convolutions(module)[0].weight.detach()
    mix_IO = weight_IOKK.sum(dim=(2, 3)) / 4
    assert mix_IO.std() > 0.1
    taps = bilinear_filter(4, 2).float()
    torch.testing.assert_close(weight_IOKK, mix_IO[:, :, None, None] * taps.outer(taps))


def test_frozen_bilinear_has_nothing_to_learn_between_equal_channels() -> None:
    module = build_upsampler("transposed_bilinear", 4, 4, 4)
    assert not list(module.parameters())
    assert not module.state_dict()


def test_frozen_bilinear_between_other_channels_is_a_1x1_convolution_before_it() -> None:
    module, x_NCHW = build_upsampler("transposed_bilinear", 2, 3, 4).double(), float64(1, 2, 3, 4)
    random_bias(module)
    (conv,) = (part for part in module.modules() if isinstance(part, nn.Conv2d))
    assert conv.bias is not None
    with torch.no_grad():
        mixed_NCHW = torch.einsum("nihw,oi->nohw", x_NCHW, conv.weight[:, :, 0, 0]) + conv.bias[:, None, None]
        kernel_CCKK = torch.eye(3, dtype=torch.float64)[:, :, None, None] * torch.from_numpy(fcn_kernel(8))
        expected_NCHW = transposed(mixed_NCHW, kernel_CCKK, torch.zeros(3, dtype=torch.float64), 4, -2)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


@pytest.mark.parametrize(
    ("name", "factor", "parameters", "multiply_adds"),
    [
        ("transposed_k2", 2, 4 * 15, 4 * 15),
        ("transposed_k3", 2, 9 * 15, 9 * 15),
        ("transposed_k4", 2, 16 * 15, 16 * 15),
        ("transposed_k4", 4, 16 * 15 + 16 * 25, 16 * 15 + 4 * 16 * 25),
        ("transposed_k2s", 8, 256 * 15, 256 * 15),
        ("transposed_bilinear", 8, 15, 15 + 256 * 5),
    ],
)
def test_cost_is_as_documented(name: str, factor: int, parameters: int, multiply_adds: int) -> None:
    assert cost(build_upsampler(name, 3, 5, factor), torch.randn(1, 3, 4, 6)) == (parameters, multiply_adds)
