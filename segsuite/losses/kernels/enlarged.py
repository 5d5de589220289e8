"""The sums of enlarged logits as Triton kernels: the enlarged logits are never made, not even in strips.

As in enlargement.py the outputs between two inputs of an axis are a group, and a cell is a group of rows and one of
columns. A program takes some cells of one row of cells, with the logits at their four corners in registers; the
backward brings the gradient of their pixels to these corners, and the corners of neighbouring cells are added up
afterwards.
"""

from functools import lru_cache
from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from triton import language as tl

from segsuite.losses.enlargement import Axis
from segsuite.losses.kernels.softmax import TILE, Sums, added_up, gradient, power, shift_or, slopes_of, softmax


@triton.jit
def _enlarged(
    low, labels, shift, of_log_p, of_sums, fraction_y, output_y, fraction_x, output_x,
    log_p_out, sums_out, corners_out,
    N, C, h, w, H, W, K_x, ignore, low_n, low_c, low_h, low_w,
    SHIFTED: tl.constexpr, SUMS: tl.constexpr, BACKWARD: tl.constexpr,
    K_y: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Forward or backward of enlarged logits; a program takes BLOCK_G cells of a row of cells of an image, and goes
    through the rows of pixels in them."""
    strip, gy, n = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    gx, c, k = strip * BLOCK_G + tl.arange(0, BLOCK_G), tl.arange(0, BLOCK_C), tl.arange(0, BLOCK_K)
    is_class, is_cell = c < C, gx <= w
    mask = is_class[:, None] & is_cell[None, :]
    top, bottom = tl.maximum(gy - 1, 0) * low_h, tl.minimum(gy, h - 1) * low_h
    left, right = tl.maximum(gx - 1, 0)[None, :] * low_w, tl.minimum(gx, w - 1)[None, :] * low_w
    at = low + n * low_n + c[:, None] * low_c
    top_left, top_right = tl.load(at + top + left, mask, 0.0), tl.load(at + top + right, mask, 0.0)
    bottom_left, bottom_right = tl.load(at + bottom + left, mask, 0.0), tl.load(at + bottom + right, mask, 0.0)
    moved = tl.zeros((BLOCK_C, 1), tl.float32)
    if SHIFTED:
        moved += tl.load(shift + c, is_class, 0.0)[:, None]
    place, is_place = gx[:, None] * K_x + k[None, :], is_cell[:, None] & (k < K_x)[None, :]
    fx, x = tl.load(fraction_x + place, is_place, 0.0), tl.load(output_x + place, is_place, -1)
    zeros = tl.zeros((BLOCK_C, BLOCK_G), tl.float32)
    # Backward: the gradient to the four corners. Forward: the sums of p, of p of the label, and of p squared.
    first, second, third, fourth = zeros, zeros, zeros, zeros
    if BACKWARD:
        at_class = of_sums + n * C + c
        of_mass = tl.load(at_class, is_class, 0.0)[:, None, None]
        of_overlap = tl.load(at_class + N * C, is_class, 0.0)[:, None, None]
        of_squares = tl.load(at_class + 2 * N * C, is_class, 0.0)[:, None, None]
    for ky in range(0, K_y):
        fy, row = tl.load(fraction_y + gy * K_y + ky), tl.load(output_y + gy * K_y + ky)
        inside = tl.where(row >= 0, x, -1) >= 0
        from_left = top_left.to(tl.float32) + fy * (bottom_left.to(tl.float32) - top_left.to(tl.float32)) + moved
        to_right = top_right.to(tl.float32) + fy * (bottom_right.to(tl.float32) - top_right.to(tl.float32)) + moved
        logits = from_left[:, :, None] + fx[None, :, :] * (to_right - from_left)[:, :, None]
        at_pixel = (n * H + row) * W + x
        y = tl.load(labels + at_pixel, inside, ignore).to(tl.int32)
        void = (y == ignore) | ~inside
        p, is_label, log_p = softmax(logits, c[:, None, None], y[None, :, :], void[None, :, :], C)
        if BACKWARD:
            k_values = tl.load(of_log_p + at_pixel, inside, 0.0)
            d = gradient(p, is_label, void[None, :, :], k_values[None, :, :], of_mass, of_overlap, of_squares)
            on_right = tl.sum(d * fx[None, :, :], 2)
            on_left = tl.sum(d, 2) - on_right
            first, second = first + (1 - fy) * on_left, second + (1 - fy) * on_right
            third, fourth = third + fy * on_left, fourth + fy * on_right
        else:
            tl.store(log_p_out + at_pixel, tl.sum(log_p, 0), inside)
            if SUMS:
                p = tl.where(void[None, :, :], 0.0, p)
                first += tl.sum(p, 2)
                second += tl.sum(tl.where(is_label, p, 0.0), 2)
                third += tl.sum(p * p, 2)
    if BACKWARD:
        target = corners_out + ((n * C + c[:, None]) * (h + 1) + gy) * (w + 1) + gx[None, :]
        step = N * C * (h + 1) * (w + 1)
        tl.store(target, first, mask)
        tl.store(target + step, second, mask)
        tl.store(target + 2 * step, third, mask)
        tl.store(target + 3 * step, fourth, mask)
    elif SUMS:
        programs = tl.num_programs(0) * tl.num_programs(1)
        target = sums_out + (n * programs + gy * tl.num_programs(0) + strip) * C + c
        step = N * programs * C
        tl.store(target, tl.sum(first, 1), is_class)
        tl.store(target + step, tl.sum(second, 1), is_class)
        tl.store(target + 2 * step, tl.sum(third, 1), is_class)


class EnlargedSums(Function):
    """The same of low logits (N, C, h, w), of their enlargement by `rows` and `columns` to the labels' size."""

    @staticmethod
    def forward(
        ctx: Any,
        low_NChw: Tensor,
        labels_NHW: Tensor,
        ignore_index: int,
        shift_C: Tensor | None,
        sums: bool,
        squares: bool,
        rows: Axis,
        columns: Axis,
    ) -> Sums:
        given = low_NChw, labels_NHW.contiguous(), shift_C
        ctx.save_for_backward(*given)
        ctx.ignore_index, ctx.axes = ignore_index, (rows, columns)
        ctx.set_materialize_grads(False)
        images, classes, height, _ = low_NChw.shape
        log_p_NHW = torch.empty(labels_NHW.shape, device=low_NChw.device)
        programs = _strips(low_NChw, columns) * (height + 1)
        sums_3NBC = log_p_NHW.new_empty(3, images, programs if sums else 0, classes)
        _launch_enlarged(given, ctx.axes, ignore_index, sums, log_p_NHW, sums_3NBC)
        return added_up(log_p_NHW, sums_3NBC, sums, squares)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor | None) -> tuple[Tensor | None, ...]:
        low_NChw, labels_NHW, _ = ctx.saved_tensors
        images, classes, height, width = low_NChw.shape
        corners = torch.empty(4, images, classes, height + 1, width + 1, device=low_NChw.device)
        given = slopes_of(slopes, labels_NHW, classes)
        _launch_enlarged(ctx.saved_tensors, ctx.axes, ctx.ignore_index, False, *given, corners)
        top_left, top_right, bottom_left, bottom_right = corners
        rows_left, rows_right = _to_inputs(top_left, bottom_left, 2), _to_inputs(top_right, bottom_right, 2)
        gradient_NChw = _to_inputs(rows_left, rows_right, 3).to(low_NChw.dtype)
        return gradient_NChw, None, None, None, None, None, None, None


def _launch_enlarged(
    saved: tuple[Tensor, Tensor, Tensor | None],
    axes: tuple[Axis, Axis],
    ignore_index: int,
    sums: bool,
    log_p_NHW: Tensor,
    sums_3: Tensor,
    corners: Tensor | None = None,
) -> None:
    low_NChw, labels_NHW, shift_C = saved
    images, classes, height, width = low_NChw.shape
    tables = [table for axis in axes for table in _tables(axis)]
    places = [axis.output_GK.shape[1] for axis in axes]
    grid = _strips(low_NChw, axes[1]), height + 1, images
    _enlarged[grid](
        low_NChw, labels_NHW, shift_or(shift_C, log_p_NHW), log_p_NHW, sums_3, *tables,
        log_p_NHW, sums_3, log_p_NHW if corners is None else corners,
        images, classes, height, width, *labels_NHW.shape[1:], places[1], ignore_index, *low_NChw.stride(),
        SHIFTED=shift_C is not None, SUMS=sums, BACKWARD=corners is not None,
        K_y=places[0], BLOCK_C=power(classes), BLOCK_G=_cells(classes, places[1]), BLOCK_K=power(places[1], 1),
    )  # fmt: skip


@lru_cache(maxsize=64)
def _tables(axis: Axis) -> tuple[Tensor, Tensor]:
    """Of each place of each group the fraction, and the output or -1 where it is unused."""
    return axis.fraction_GK.float(), axis.output_GK.masked_fill(~axis.used_GK, -1).int()


def _to_inputs(first: Tensor, last: Tensor, dim: int) -> Tensor:
    """Gradients to the inputs of an axis from those of each group to the input before and after it; beyond the ends the
    outermost inputs are repeated."""
    length = first.shape[dim] - 1
    found = last.narrow(dim, 0, length) + first.narrow(dim, 1, length)
    found.select(dim, 0).add_(first.select(dim, 0))
    found.select(dim, length - 1).add_(last.select(dim, length))
    return found


def _cells(classes: int, places: int) -> int:
    return max(1, TILE // (power(classes) * power(places, 1)))


def _strips(low_NChw: Tensor, columns: Axis) -> int:
    return triton.cdiv(low_NChw.shape[3] + 1, _cells(low_NChw.shape[1], columns.output_GK.shape[1]))
