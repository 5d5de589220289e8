"""Weighted sums over the low-resolution neighbourhood of each output pixel, with weights of their own a pixel
(content-aware reassembly, CARAFE, Wang et al. 2019, arXiv 1905.02188).

    y[n, c, s i + a, s j + b] = sum_t w[n, i, j, (a, b), t] x[n, c, i + t_row, j + t_column],
    t over a k x k window centred on (i, j), w = softmax over the taps t that lie inside the map.

mmcv's kernels normalise over all k^2 taps and read zeros outside the map, which pulls a border of k // 2 cells
towards zero, even for a constant input. Here taps outside get no weight: the weights of each output pixel sum
to 1 everywhere, so constants stay constant up to the border, and a 1x1 convolution with its bias commutes with
the sum exactly. In the interior the two are the same.

Layout: one dimension for the s^2 phases (a, b) of an output pixel and one for the k^2 taps, channels last
(NHWPT, NHWPC, NHWTC), so that the sum is one batched matrix product (P, T) x (T, C) a cell. On a core it takes a
third to a half of the time of unfold and einsum; the price is memory: k^2 C values a cell are kept for the backward.
All of it is bit-repeatable on CUDA (slices, copies and matrix products; no atomics).
"""

from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional as F


def reassemble(x_NCHW: Tensor, weights_NHWPT: Tensor, factor: int) -> Tensor:
    """The weighted sums, (N, C, H * factor, W * factor), in the memory format of `x`.

    weights (N, H, W, factor^2, k^2), k odd; phases and taps row by row. They are used as they are:
    `softmax_inside` makes them.
    """
    windows_NHWTC = windows(x_NCHW, isqrt(weights_NHWPT.shape[-1]))
    y_NCHW = join_phases(weights_NHWPT @ windows_NHWTC, factor)
    channels_last = x_NCHW.is_contiguous(memory_format=torch.channels_last)
    return y_NCHW.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def softmax_inside(logits_NHWPT: Tensor) -> Tensor:
    """Softmax over the taps that lie inside the map; 0 for the others. The centre tap always lies inside."""
    _, height, width, _, taps = logits_NHWPT.shape
    kernel = isqrt(taps)
    inside = _inside(height, kernel, logits_NHWPT)[:, None, :, None] & _inside(width, kernel, logits_NHWPT)[:, None, :]
    outside_HWPT = ~inside.view(height, width, 1, taps)
    return logits_NHWPT.masked_fill(outside_HWPT, -torch.inf).softmax(dim=-1)


def _inside(size: int, kernel: int, like: Tensor) -> Tensor:
    """Bool (size, kernel): does the tap of this cell lie inside the axis?"""
    positions = torch.arange(size, device=like.device)[:, None] + torch.arange(kernel, device=like.device)
    return (positions >= kernel // 2) & (positions < size + kernel // 2)


def windows(x_NCHW: Tensor, kernel: int) -> Tensor:
    """The kernel x kernel neighbourhood of each cell, (N, H, W, kernel^2, C); zeros outside the map."""
    height, width = x_NCHW.shape[-2:]
    margin = kernel // 2
    padded_NHWC = F.pad(x_NCHW.permute(0, 2, 3, 1), (0, 0, margin, margin, margin, margin))
    taps = [padded_NHWC[:, i : i + height, j : j + width] for i in range(kernel) for j in range(kernel)]
    return torch.stack(taps, dim=3)


def products(fine_NHWPC: Tensor, windows_NHWTC: Tensor) -> Tensor:
    """Inner product of each fine pixel with each tap of its neighbourhood, (N, H, W, P, T)."""
    # in this order the gradient of the windows, the largest tensor, comes out in their own layout
    return (windows_NHWTC @ fine_NHWPC.transpose(-1, -2)).transpose(-1, -2)


def split_phases(x_NCHW: Tensor, factor: int) -> Tensor:
    """(N, C, H * factor, W * factor) as (N, H, W, factor^2, C): the pixels of each cell beside each other."""
    n, channels, height, width = x_NCHW.shape
    x_NHWC = x_NCHW.permute(0, 2, 3, 1)
    x_NHaWbC = x_NHWC.reshape(n, height // factor, factor, width // factor, factor, channels)
    return x_NHaWbC.transpose(2, 3).reshape(n, height // factor, width // factor, factor * factor, channels)


def join_phases(x_NHWPC: Tensor, factor: int) -> Tensor:
    """(N, H, W, factor^2, C) as (N, C, H * factor, W * factor), channels last in memory; undoes split_phases."""
    n, height, width, _, channels = x_NHWPC.shape
    x_NHaWbC = x_NHWPC.view(n, height, width, factor, factor, channels).transpose(2, 3)
    return x_NHaWbC.reshape(n, height * factor, width * factor, channels).permute(0, 3, 1, 2)
