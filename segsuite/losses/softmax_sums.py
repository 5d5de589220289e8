"""Softmax, reduced at once to the few numbers that losses need, with a closed-form gradient.

Most losses of the softmax p read two things only: log p of the true class at each pixel (cross entropy, focal, poly,
...) and sums over pixels of p, of p squared, and of p where it is the true class (dice, jaccard, tversky, ...). With k
the gradient of a loss to log p[y], plus p[y] times that to the overlap of class y, and a[c] = dL/dmass[c] + 2 p[c]
dL/dsquares[c], the gradient to logit c of a pixel is

    p[c] * (a[c] - sum_j p[j] a[j] - k) + [c = y] k

So a loss is written as ordinary code on these small tensors, terms of a sum share one softmax, and nothing of the
logits' size is kept for the backward but the logits themselves: it goes through the image in strips again, each small
enough for the cache. Beside CE + Dice + Focal of segmentation-models-pytorch this takes a tenth of the time and a sixth
of the memory (benchmarks/losses.py). No matrix product is used, since autocast and TF32 would round it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from segsuite.losses import kernels
from segsuite.losses.strips import Strip, strips

SMALLEST = 1e-30
"""Below this, the logarithm of a probability is taken in the logits' domain."""

Sums = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]


def softmax_sums(
    logits_NCHW: Tensor,
    labels_NHW: Tensor,
    ignore_index: int = 255,
    shift_C: Tensor | None = None,
    sums: bool = True,
    squares: bool = False,
) -> Sums:
    """log p[y] (N, H, W), 0 at void pixels; and over the valid pixels of each image and class, (N, C): the mass sum p,
    the overlap sum p[y = c], sum p^2. What is not asked for is None.

    p is the softmax of logits_NCHW + shift_C, in fp32 (fp64 for fp64 logits). Labels must be classes or void. Void
    pixels get a gradient of exactly 0, whatever their logits. Differentiable once.
    """
    if kernels.take(logits_NCHW):
        from segsuite.losses.kernels.softmax import DirectSums

        by_kernel: Sums = DirectSums.apply(logits_NCHW, labels_NHW, ignore_index, shift_C, sums or squares, squares)
        return by_kernel
    result: Sums = _SoftmaxSums.apply(logits_NCHW, labels_NHW, ignore_index, shift_C, sums or squares, squares)
    return result


class _SoftmaxSums(Function):
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
        ctx.save_for_backward(logits_NCHW, labels_NHW, shift_C)
        ctx.ignore_index = ignore_index
        ctx.set_materialize_grads(False)
        dtype = torch.float64 if logits_NCHW.dtype == torch.float64 else torch.float32
        log_p_NHW = torch.empty(labels_NHW.shape, dtype=dtype, device=logits_NCHW.device)
        mass_NC, overlap_NC, squares_NC = (log_p_NHW.new_zeros(logits_NCHW.shape[:2]) for _ in range(3))
        for images, rows in strips(logits_NCHW):
            strip = Strip(logits_NCHW, labels_NHW, ignore_index, images, rows, shift_C)
            p_nCP, log_p_nP = probabilities(strip)
            log_p_NHW[images, rows] = log_p_nP.view(len(log_p_nP), *strip.shape[2:])
            if not sums:
                continue
            add_sums(strip, p_nCP, mass_NC[images], overlap_NC[images], squares_NC[images] if squares else None)
        if not sums:
            return log_p_NHW, None, None, None
        return log_p_NHW, mass_NC, overlap_NC, squares_NC if squares else None

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        of_log_p_NHW: Tensor | None,
        of_mass_NC: Tensor | None,
        of_overlap_NC: Tensor | None,
        of_squares_NC: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        logits_NCHW, labels_NHW, shift_C = ctx.saved_tensors
        gradient_NCHW = torch.empty_like(logits_NCHW)
        for images, rows in strips(logits_NCHW):
            strip = Strip(logits_NCHW, labels_NHW, ctx.ignore_index, images, rows, shift_C)
            gradient_nCP = gradient_of(
                strip,
                None if of_log_p_NHW is None else of_log_p_NHW[images, rows].reshape(strip.valid_nP.shape),
                *(None if of_sum is None else of_sum[images] for of_sum in (of_mass_NC, of_overlap_NC, of_squares_NC)),
            )
            gradient_NCHW[images, :, rows] = gradient_nCP.view(strip.shape)
        return gradient_NCHW, None, None, None, None, None


def gradient_of(
    strip: Strip,
    of_log_p_nP: Tensor | None,
    of_mass_nC: Tensor | None,
    of_overlap_nC: Tensor | None,
    of_squares_nC: Tensor | None,
) -> Tensor:
    """Gradient to a strip's logits (n, C, P) from those to log p[y] and to the sums of its images; None is 0."""
    p_nCP, valid_nP = strip.softmax(), strip.valid_nP
    k_nP = torch.zeros_like(valid_nP) if of_log_p_nP is None else of_log_p_nP * valid_nP
    if of_overlap_nC is not None:
        k_nP = k_nP + of_overlap_nC.gather(1, strip.labels_nP) * strip.of_label(p_nCP) * valid_nP
    a_nCP = None if of_mass_nC is None else of_mass_nC[..., None]
    if of_squares_nC is not None:
        a_nCP = 2 * p_nCP * of_squares_nC[..., None] + (0.0 if a_nCP is None else a_nCP)
    if a_nCP is None:
        p_nCP.mul_(-k_nP[:, None])
    else:
        subtracted_nP = (p_nCP * a_nCP).sum(1).mul_(valid_nP).add_(k_nP)
        p_nCP.mul_(torch.addcmul(-subtracted_nP[:, None], a_nCP, valid_nP[:, None]))
    return strip.add_at_label(p_nCP, k_nP)


def probabilities(strip: Strip) -> tuple[Tensor, Tensor]:
    """p (n, C, P) and log p[y] (n, P), 0 at void pixels."""
    if strip.on_cpu:
        p_nCP = strip.softmax()
        true_nP = strip.of_label(p_nCP)
        if true_nP.min() >= SMALLEST:  # as precise as log-softmax, at a third of the exponentials
            return p_nCP, true_nP.log_().mul_(strip.valid_nP)
    log_p_nCP = F.log_softmax(strip.logits_nCP, 1)
    log_p_nP = strip.of_label(log_p_nCP) * strip.valid_nP
    return log_p_nCP.exp_(), log_p_nP


def add_sums(strip: Strip, p_nCP: Tensor, mass_nC: Tensor, overlap_nC: Tensor, squares_nC: Tensor | None) -> None:
    """Adds the sums over a strip to those of its images, in place; overwrites p."""
    p_nCP.mul_(strip.valid_nP[:, None])
    mass_nC += p_nCP.sum(2)
    if squares_nC is not None:
        squares_nC += p_nCP.square().sum(2)
    overlap_nC += _overlap(strip, p_nCP)


def _overlap(strip: Strip, p_nCP: Tensor) -> Tensor:
    """Sum of p over the pixels of each class (n, C); p is 0 at void pixels and is overwritten."""
    if not strip.on_cpu:
        return p_nCP.mul_(strip.is_label()).sum(2)
    true_nP = strip.of_label(p_nCP)
    pairs = zip(strip.labels_nP, true_nP.double(), strict=True)
    return torch.stack([torch.bincount(labels_P, true_P, strip.shape[1]) for labels_P, true_P in pairs]).to(p_nCP.dtype)
