"""softmax_sums.py as Triton kernels: logits are read once in each direction.

A program takes some pixels with all of their classes. Sums over pixels are written program by program and added up
afterwards, so nothing is atomic and two runs give the same bits. Where a label is neither a class nor void log p is
NaN, so that the training ends with an error and no index is wrong.
"""

from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from triton import language as tl

TILE = 4096  # logits a program holds at a time
Sums = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]


@triton.jit
def softmax(x, c, y, void, C):
    """p, one-hot label and log p[y] along axis 0 of the logits x; void pixels have a label of no class."""
    x = tl.where(void, 0.0, x)
    x = tl.where(c < C, x, -float("inf"))
    x = x - tl.max(x, 0)
    e = tl.exp(x)
    total = tl.sum(e, 0)
    is_label = c == y
    log_p = tl.sum(tl.where(is_label, x, 0.0), 0) - tl.log(total)
    log_p = tl.where(y < C, log_p, float("nan"))
    return e / total, is_label, tl.where(void, 0.0, log_p)


@triton.jit
def gradient(p, is_label, void, of_log_p, of_mass, of_overlap, of_squares):
    """Gradient to the logits from those to log p[y] and, of each class, to the sums."""
    k = of_log_p + tl.sum(tl.where(is_label, of_overlap * p, 0.0), 0)
    a = of_mass + 2 * p * of_squares
    found = p * (a - tl.sum(p * a, 0) - k) + tl.where(is_label, k, 0.0)
    return tl.where(void, 0.0, found)


@triton.jit
def _direct(
    logits, labels, shift, of_log_p, of_sums, log_p_out, sums_out, gradient_out,
    N, C, H, W, ignore, logits_n, logits_c, logits_h, logits_w, gradient_n, gradient_c, gradient_h, gradient_w,
    SHIFTED: tl.constexpr, SUMS: tl.constexpr, BACKWARD: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Forward or backward of logits at the labels' resolution; a program takes BLOCK_P pixels of an image."""
    block, n = tl.program_id(0), tl.program_id(1).to(tl.int64)
    pixel = block * BLOCK_P + tl.arange(0, BLOCK_P)
    c = tl.arange(0, BLOCK_C)
    inside, is_class = pixel < H * W, c < C
    h, w = pixel // W, pixel % W
    mask = is_class[:, None] & inside[None, :]
    at = logits + n * logits_n + c[:, None] * logits_c + (h * logits_h + w * logits_w)[None, :]
    x = tl.load(at, mask, 0.0).to(tl.float32)
    if SHIFTED:
        x += tl.load(shift + c, is_class, 0.0)[:, None]
    at_pixel = n * H * W + pixel
    y = tl.load(labels + at_pixel, inside, ignore).to(tl.int32)
    void = (y == ignore) | ~inside
    p, is_label, log_p = softmax(x, c[:, None], y[None, :], void[None, :], C)
    if BACKWARD:
        of_log_p_values = tl.load(of_log_p + at_pixel, inside, 0.0)
        at_class, step = of_sums + n * C + c, N * C
        found = gradient(
            p, is_label, void[None, :], of_log_p_values[None, :],
            tl.load(at_class, is_class, 0.0)[:, None], tl.load(at_class + step, is_class, 0.0)[:, None],
            tl.load(at_class + 2 * step, is_class, 0.0)[:, None],
        )  # fmt: skip
        target = gradient_out + n * gradient_n + c[:, None] * gradient_c + (h * gradient_h + w * gradient_w)[None, :]
        tl.store(target, found, mask)
    else:
        tl.store(log_p_out + at_pixel, tl.sum(log_p, 0), inside)
        if SUMS:
            p = tl.where(void[None, :], 0.0, p)
            target, step = sums_out + (n * tl.num_programs(0) + block) * C + c, N * tl.num_programs(0) * C
            tl.store(target, tl.sum(p, 1), is_class)
            tl.store(target + step, tl.sum(tl.where(is_label, p, 0.0), 1), is_class)
            tl.store(target + 2 * step, tl.sum(p * p, 1), is_class)


class DirectSums(Function):
    """softmax_sums.softmax_sums; see there."""

    @staticmethod
    def forward(
        ctx: Any,
        logits_NCHW: Tensor,
        labels_NHW: Tensor,
        ignore_index: int,
        shift_C: Tensor | None,
        sums: bool,
        squares: bool,
    ) -> Sums:
        given = logits_NCHW, labels_NHW.contiguous(), shift_C
        ctx.save_for_backward(*given)
        ctx.ignore_index = ignore_index
        ctx.set_materialize_grads(False)
        images, classes, height, width = logits_NCHW.shape
        log_p_NHW = torch.empty(labels_NHW.shape, device=logits_NCHW.device)
        programs = triton.cdiv(height * width, _pixels(classes))
        sums_3NBC = log_p_NHW.new_empty(3, images, programs if sums else 0, classes)
        _launch_direct(given, ignore_index, (programs, images), sums, log_p_NHW, sums_3NBC)
        return added_up(log_p_NHW, sums_3NBC, sums, squares)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor | None) -> tuple[Tensor | None, ...]:
        logits_NCHW, labels_NHW, _ = ctx.saved_tensors
        images, classes, height, width = logits_NCHW.shape
        gradient_NCHW = torch.empty_like(logits_NCHW)
        grid = triton.cdiv(height * width, _pixels(classes)), images
        given = slopes_of(slopes, labels_NHW, classes)
        _launch_direct(ctx.saved_tensors, ctx.ignore_index, grid, False, *given, gradient_NCHW)
        return gradient_NCHW, None, None, None, None, None


def _launch_direct(
    saved: tuple[Tensor, Tensor, Tensor | None],
    ignore_index: int,
    grid: tuple[int, int],
    sums: bool,
    log_p_NHW: Tensor,
    sums_3: Tensor,
    gradient_NCHW: Tensor | None = None,
) -> None:
    logits_NCHW, labels_NHW, shift_C = saved
    images, classes, height, width = logits_NCHW.shape
    target = logits_NCHW if gradient_NCHW is None else gradient_NCHW
    _direct[grid](
        logits_NCHW, labels_NHW, shift_or(shift_C, log_p_NHW), log_p_NHW, sums_3, log_p_NHW, sums_3, target,
        images, classes, height, width, ignore_index, *logits_NCHW.stride(), *target.stride(),
        SHIFTED=shift_C is not None, SUMS=sums, BACKWARD=gradient_NCHW is not None,
        BLOCK_C=power(classes), BLOCK_P=_pixels(classes),
    )  # fmt: skip


def added_up(log_p_NHW: Tensor, sums_3NBC: Tensor, sums: bool, squares: bool) -> Sums:
    if not sums:
        return log_p_NHW, None, None, None
    mass_NC, overlap_NC, squares_NC = sums_3NBC.sum(2, dtype=torch.float64).float()
    return log_p_NHW, mass_NC, overlap_NC, squares_NC if squares else None


def slopes_of(slopes: tuple[Tensor | None, ...], labels_NHW: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Gradients to log p[y] and to the three sums, 0 where there are none."""
    of_log_p, *of_sums = slopes
    images = len(labels_NHW)
    if of_log_p is None:
        of_log_p = torch.zeros(labels_NHW.shape, device=labels_NHW.device)
    zero = of_log_p.new_zeros(images, classes)
    return of_log_p.contiguous(), torch.stack([zero if one is None else one.to(zero.dtype) for one in of_sums])


def shift_or(shift_C: Tensor | None, instead: Tensor) -> Tensor:
    return instead if shift_C is None else shift_C.float().contiguous()


def power(number: int, least: int = 2) -> int:
    return max(least, triton.next_power_of_2(number))


def _pixels(classes: int) -> int:
    return max(16, TILE // power(classes))
