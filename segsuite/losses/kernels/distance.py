"""The second pass of a distance transform as a Triton kernel."""

import torch
import triton
from torch import Tensor
from triton import language as tl


@triton.jit
def _over_rows(row, out, H, W, RADIUS: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr):
    """The smallest row[other] + (here - other)^2 over the rows at most `radius` away, of BLOCK_H x BLOCK_W pixels."""
    n = tl.program_id(2).to(tl.int64)
    h = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    w = tl.program_id(0) * BLOCK_W + tl.arange(0, BLOCK_W)
    nearest = tl.full((BLOCK_H, BLOCK_W), float("inf"), tl.float32)
    first = tl.program_id(1) * BLOCK_H - RADIUS
    for step in range(0, BLOCK_H + 2 * RADIUS):
        other = first + step
        inside = tl.where((other >= 0) & (other < H), w, W) < W
        squared = tl.load(row + (n * H + other) * W + w, inside, float("inf"))
        apart = (h - other).to(tl.float32)
        nearest = tl.minimum(nearest, squared[None, :] + (apart * apart)[:, None])
    tl.store(out + (n * H + h[:, None]) * W + w[None, :], nearest, (h < H)[:, None] & (w < W)[None, :])


def nearest_over_rows(row_NHW: Tensor, radius: int) -> Tensor:
    """fp32 (N, H, W): the smallest row_NHW[n, other, w] + (h - other)^2 over all rows `other` at most `radius` from h,
    and perhaps some that are further away."""
    images, height, width = row_NHW.shape
    radius = min(radius, height - 1)
    row_NHW = row_NHW.contiguous()
    out = torch.empty_like(row_NHW)
    grid = triton.cdiv(width, 64), triton.cdiv(height, 16), images
    _over_rows[grid](row_NHW, out, height, width, RADIUS=radius, BLOCK_H=16, BLOCK_W=64)
    return out
