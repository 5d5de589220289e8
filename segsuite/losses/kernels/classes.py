"""Sums over the pixels of each class as a Triton kernel, deterministic and without waiting for the device."""

import torch
import triton
from torch import Tensor
from triton import language as tl

from segsuite.losses.kernels.softmax import TILE, power


@triton.jit
def _class_sums(
    labels, values, out, C, P, ignore, WEIGHTED: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr
):
    """The sum of values, or the number, of BLOCK_P pixels of an image for each class."""
    block, n = tl.program_id(0), tl.program_id(1).to(tl.int64)
    pixel, c = block * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_C)
    inside = pixel < P
    y = tl.load(labels + n * P + pixel, inside, ignore).to(tl.int32)
    y = tl.where(inside & (y != ignore), y, -1)
    value = tl.where(c[:, None] == y[None, :], 1.0, 0.0)
    if WEIGHTED:
        value *= tl.load(values + n * P + pixel, inside, 0.0).to(tl.float32)[None, :]
    tl.store(out + (n * tl.num_programs(0) + block) * C + c, tl.sum(value, 1), c < C)


def class_sums(labels_NHW: Tensor, num_classes: int, ignore_index: int, values_NHW: Tensor | None = None) -> Tensor:
    """fp64 (N, C): the sum of `values_NHW` over the valid pixels of each class in each image; without values their
    number."""
    images, pixels = len(labels_NHW), labels_NHW[0].numel()
    block_p = max(16, TILE // power(num_classes))
    blocks = triton.cdiv(pixels, block_p)
    out = torch.empty(images, blocks, num_classes, device=labels_NHW.device)
    labels_NHW = labels_NHW.contiguous()
    values = out if values_NHW is None else values_NHW.contiguous()
    _class_sums[blocks, images](
        labels_NHW, values, out, num_classes, pixels, ignore_index,
        WEIGHTED=values_NHW is not None, BLOCK_C=power(num_classes), BLOCK_P=block_p,
    )  # fmt: skip
    return out.sum(1, dtype=torch.float64)
