"""Transposed convolutions without checkerboards against loops over their effective kernels."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.upsamplers import build_upsampler
from segsuite.upsamplers.balanced import hold
from segsuite.upsamplers.base import Upsampler
from tests.upsamplers.references import convolved, cost, float64, phase_sums, random_bias, shift, transposed


def convolutions(module: Upsampler) -> list[nn.ConvTranspose2d]:
    return [part for part in module.modules() if isinstance(part, nn.ConvTranspose2d)]


def balanced_by_loops(weight_IOKK: Tensor) -> Tensor:
    """Every tap less a quarter of what its phase sums to above the mean of the four phases."""
    balanced_IOKK = weight_IOKK.clone()
    mean_IO = weight_IOKK.sum(dim=(2, 3)) / 4
    for k, m in product(range(4), range(4)):
        phase_IO = sum(weight_IOKK[:, :, a, b] for a, b in product((k % 2, k % 2 + 2), (m % 2, m % 2 + 2)))
        balanced_IOKK[:, :, k, m] -= (phase_IO - mean_IO) / 4
    return balanced_IOKK


def held_by_loops(weight_IOKK: Tensor) -> Tensor:
    """The 5x5 kernel of a 4x4 kernel and the mean over 2x2 pixels after it."""
    held_IOKK = torch.zeros(*weight_IOKK.shape[:2], 5, 5, dtype=weight_IOKK.dtype)
    for k, m, a, b in product(range(4), range(4), range(2), range(2)):
        held_IOKK[:, :, k + a, m + b] += weight_IOKK[:, :, k, m] / 4
    return held_IOKK


@pytest.mark.parametrize("factor", [2, 4])
def test_balanced_equals_loops_over_the_balanced_kernel(factor: int) -> None:
    module, x_NCHW = build_upsampler("transposed_balanced", 2, 3, factor).double(), float64(2, 2, 3, 4)
    random_bias(module)
    expected_NCHW = x_NCHW
    with torch.no_grad():
        for conv in convolutions(module):
            conv.weight.normal_()
            assert conv.bias is not None
            expected_NCHW = transposed(expected_NCHW, balanced_by_loops(conv.weight), conv.bias, 2, -1)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


def test_balanced_kernel_keeps_equal_phase_sums_to_1e_14_while_it_is_trained() -> None:
    module = build_upsampler("transposed_balanced", 4, 3).double()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (module(float64(2, 4, 5, 5)) - float64(2, 3, 10, 10)).square().mean().backward()
        optimizer.step()
    impulses = torch.eye(4, dtype=torch.float64)[:, :, None, None] * F.pad(torch.ones(1, 1).double(), (2, 2, 2, 2))
    bias = convolutions(module)[0].bias
    assert bias is not None
    sums_PIO = phase_sums((module(impulses) - bias[:, None, None]).detach(), 2)
    assert (sums_PIO - sums_PIO.mean(dim=0)).abs().max() < 1e-14 * sums_PIO.abs().max()


def test_balanced_starts_as_k4_with_equal_phases() -> None:
    module = build_upsampler("transposed_balanced", 3, 5, 4)
    other = build_upsampler({"name": "transposed_k4", "init": "equal_phases"}, 3, 5, 4)
    for upsampler in (module, other):
        upsampler.initialise(torch.Generator().manual_seed(1))
    assert [key for key, _ in module.named_parameters()] == [key for key, _ in other.named_parameters()]
    x_NCHW = torch.randn(1, 3, 4, 5)
    torch.testing.assert_close(module(x_NCHW), other(x_NCHW))


def test_hold_equals_loops_over_the_composed_kernel() -> None:
    module, x_NCHW = build_upsampler("transposed_hold", 2, 3, 4).double(), float64(2, 2, 3, 4)
    random_bias(module)
    first, second = convolutions(module)
    assert first.bias is not None
    assert second.bias is not None
    with torch.no_grad():
        # tap 0 of kernel 4 belongs to output -1; the mean with the pixel before adds a tap behind, and the other
        # way round
        between_NCHW = transposed(x_NCHW, held_by_loops(first.weight), first.bias, 2, -1)
        expected_NCHW = transposed(between_NCHW, held_by_loops(second.weight), second.bias, 2, -2)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_hold_is_off_the_grid_by_half_a_pixel_of_the_final_output(factor: int) -> None:
    assert shift(build_upsampler("transposed_hold", 1, 1, factor), 1) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("name", ["transposed_k4", "transposed_balanced"])
@pytest.mark.parametrize("factor", [2, 4])
def test_kernel_4_is_on_the_half_pixel_grid(name: str, factor: int) -> None:
    assert shift(build_upsampler(name, 1, 1, factor), 1) == pytest.approx(0, abs=1e-6)


def test_kernel_3_and_a_hold_is_nearest_neighbour_and_a_convolution() -> None:
    x_NCHW, weight_OIKK, bias_O = float64(1, 2, 3, 4), float64(3, 2, 3, 3), torch.zeros(3).double()
    held_NCHW = hold(F.conv_transpose2d(x_NCHW, weight_OIKK.transpose(0, 1), stride=2, padding=0))
    nearest_NCHW = x_NCHW.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    expected_NCHW = convolved(nearest_NCHW, weight_OIKK.flip(2, 3) / 4, bias_O)
    torch.testing.assert_close(held_NCHW, expected_NCHW)


def pattern_along_rows(name: str) -> float:
    """Difference of even and odd rows, over their rms, of the response to an input that varies along x only."""
    torch.manual_seed(0)
    module = build_upsampler(name, 16, 16).double()
    with torch.no_grad():
        y_NCHW = module(float64(4, 16, 1, 9).expand(-1, -1, 9, -1))[..., 6:12, 6:12]
    difference = y_NCHW[..., 0::2, :] - y_NCHW[..., 1::2, :]
    return float(difference.square().mean().sqrt() / y_NCHW.square().mean().sqrt())


def test_hold_keeps_an_input_that_is_constant_along_one_axis_clean() -> None:
    assert pattern_along_rows("transposed_hold") < 1e-14


def test_balance_does_not() -> None:
    assert pattern_along_rows("transposed_balanced") > 0.5


@pytest.mark.parametrize("name", ["transposed_balanced", "transposed_hold"])
def test_cost_is_that_of_k4(name: str) -> None:
    x_NCHW = torch.randn(1, 3, 4, 6)
    assert cost(build_upsampler(name, 3, 5), x_NCHW) == cost(build_upsampler("transposed_k4", 3, 5), x_NCHW)
