"""Convolutions by plain loops, and the counted cost of a module, for the tests of upsamplers."""

from itertools import product

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def float64(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@torch.no_grad()
def random_bias(module: nn.Module) -> None:
    """Biases start at zero, where a test would not see them."""
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            parameter.normal_()


def convolved(x_NCHW: Tensor, weight_OIKK: Tensor, bias_O: Tensor) -> Tensor:
    """Correlation with an odd kernel at every pixel; zeros outside."""
    n, _, height, width = x_NCHW.shape
    reach = weight_OIKK.shape[-1] // 2
    y_NCHW = bias_O[None, :, None, None].repeat(n, 1, height, width)
    for i, j, di, dj in product(range(height), range(width), range(-reach, reach + 1), range(-reach, reach + 1)):
        if 0 <= i + di < height and 0 <= j + dj < width:
            y_NCHW[:, :, i, j] += x_NCHW[:, :, i + di, j + dj] @ weight_OIKK[:, :, di + reach, dj + reach].T
    return y_NCHW


def transposed(x_NCHW: Tensor, weight_IOKK: Tensor, bias_O: Tensor, stride: int, first: int) -> Tensor:
    """(N, O, stride H, stride W): input pixel i adds x[i] w[k] to output o = stride i + first + k, as the
    definition says."""
    n, _, height, width = x_NCHW.shape
    kernel = range(weight_IOKK.shape[-1])
    y_NCHW = bias_O[None, :, None, None].repeat(n, 1, stride * height, stride * width)
    for i, j, k, m in product(range(height), range(width), kernel, kernel):
        row, column = stride * i + first + k, stride * j + first + m
        if 0 <= row < stride * height and 0 <= column < stride * width:
            y_NCHW[:, :, row, column] += x_NCHW[:, :, i, j] @ weight_IOKK[:, :, k, m]
    return y_NCHW


def phase_sums(weight_IOKK: Tensor, stride: int) -> Tensor:
    """(stride^2, I, O): the sums of the taps that one phase of the output grid sees."""
    phases = product(range(stride), range(stride))
    return torch.stack([weight_IOKK[..., a::stride, b::stride].sum(dim=(-2, -1)) for a, b in phases])


def cost(module: nn.Module, *arguments: Tensor | None) -> tuple[int, float]:
    """Parameters without biases, and multiply-adds of convolutions a pixel of the first argument."""
    assert arguments[0] is not None
    counter = FlopCounterMode(display=False)
    with counter:
        module(*arguments)
    pixels = arguments[0].numel() / arguments[0].shape[1]
    parameters = sum(p.numel() for name, p in module.named_parameters() if not name.endswith("bias"))
    return parameters, counter.get_total_flops() / 2 / pixels


def shift(module: nn.Module, channels: int) -> float:
    """How far, in output pixels, the centre of the response lies from the centre of the cell of its input pixel,
    with all weights equal, along each axis (both must agree)."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
        x_NCHW = torch.zeros(1, channels, 9, 9)
        x_NCHW[..., 4, 4] = 1
        response_HW = module(x_NCHW)[0].sum(dim=0).double()
    factor = response_HW.shape[0] // 9
    places = torch.arange(9 * factor, dtype=torch.float64) + 0.5
    rows, columns = response_HW.sum(dim=1), response_HW.sum(dim=0)
    vertical, horizontal = ((places * profile).sum() / profile.sum() - 4.5 * factor for profile in (rows, columns))
    assert abs(vertical - horizontal) < 1e-9
    return float(vertical)
