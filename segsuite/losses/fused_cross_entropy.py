"""Cross entropy at the labels' resolution from logits of a lower one, without logits at the labels' resolution."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from segsuite.losses.base import check_length, check_range
from segsuite.losses.cross_entropy import weight_divisor
from segsuite.losses.enlargement import Enlargement
from segsuite.losses.labels import unknown_label
from segsuite.losses.ranks import over_ranks, world_size
from segsuite.losses.softmax_sums import probabilities
from segsuite.losses.strips import Strip, on_cpu


def upsample_cross_entropy(
    logits_NChw: Tensor,
    labels_NHW: Tensor,
    ignore_index: int = 255,
    weight: Tensor | Sequence[float] | None = None,
    align_corners: bool = False,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean cross entropy of logits that are enlarged bilinearly to the size of the labels.

    The value and the gradient of

        logits_NCHW = F.interpolate(logits_NChw, labels_NHW.shape[1:], mode="bilinear", align_corners=align_corners)
        F.cross_entropy(logits_NCHW, labels_NHW, weight, ignore_index=ignore_index, label_smoothing=label_smoothing)

    up to rounding, in a fraction of the memory and time: that keeps about three tensors of N * C * H * W numbers, this
    keeps one of N * C * h * w and goes through the labels strip by strip. Each strip is enlarged, its softmax taken,
    and its gradient brought back to the logits at once, so the backward only multiplies.

    logits_NChw: (N, C, h, w), of any floating type and memory format; computed in fp32, fp64 when they are, under
    autocast too. labels_NHW: (N, H, W) class ids 0..C-1 of any integer type, or `ignore_index` (any integer) for pixels
    that do not count. H / h and W / w may be anything, whole or not, and need not be equal. weight: one number >= 0 a
    class; the mean is then weighted. label_smoothing: 0..1, spread over all classes.

    Returns a scalar, fp32 or fp64. Differs from the two lines above where they give NaN: without a pixel that counts
    (or with weight 0 only) the value is 0 and so is the gradient, and logits that only ignored pixels see may be NaN or
    infinite. On CUDA it uses no atomics, so it is deterministic where F.interpolate's backward is not, and the host
    does not wait, save in the first call for a size (give weight as a tensor there). Differentiable once. Not traced by
    torch.compile, which breaks the graph here.

    Raises DataError naming a label that is neither a class nor `ignore_index` (on a CPU; not checked on CUDA), and
    ValueError or ConfigError for shapes or settings that do not fit.

    >>> logits_NChw = torch.zeros(1, 4, 2, 2, requires_grad=True)
    >>> loss = upsample_cross_entropy(logits_NChw, torch.zeros(1, 7, 9, dtype=torch.uint8))
    >>> loss.backward()
    >>> print(f"{loss.item():.4f}", logits_NChw.grad[0].sum(dim=(1, 2)))
    1.3863 tensor([-0.7500,  0.2500,  0.2500,  0.2500])
    """
    if labels_NHW.dtype != torch.int64 and not 0 <= ignore_index <= 255:
        labels_NHW = labels_NHW.long()  # uint8 could not hold it
    size = (labels_NHW.shape[-2], labels_NHW.shape[-1])
    loss: Tensor = enlarged_cross_entropy(
        logits_NChw, labels_NHW, size, ignore_index, weight, align_corners, label_smoothing
    )
    return loss


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch leaves it untyped
def enlarged_cross_entropy(
    logits_NChw: Tensor,
    labels_NHW: Tensor,
    enlarged: tuple[int, int],
    ignore_index: int = 255,
    weight: Tensor | Sequence[float] | None = None,
    align_corners: bool = False,
    label_smoothing: float = 0.0,
    square_sum: Tensor | None = None,
) -> Tensor:
    """The same for logits that are enlarged to `enlarged` (height, width), then cut at the right and bottom, or their
    last row and column repeated, to the size of the labels.

    square_sum: a scalar to which the sum of the squares of the gradient at the labels' resolution is added.
    """
    check_shapes(logits_NChw, labels_NHW)
    check_range("label_smoothing", label_smoothing, 0, 1)
    num_classes, device = logits_NChw.shape[1], logits_NChw.device
    weight_C = None if weight is None else torch.as_tensor(weight, device=device).detach()
    check_length("weight", weight_C, num_classes)
    if on_cpu(labels_NHW):
        check_labels(labels_NHW, num_classes, ignore_index)
    enlargement = Enlargement(logits_NChw, enlarged, (labels_NHW.shape[1], labels_NHW.shape[2]), align_corners)
    squares = enlargement.low_NChw.new_zeros((), dtype=enlargement.sum_dtype)
    loss_sum, weight_sum = _UpsampleCrossEntropy.apply(
        logits_NChw,
        labels_NHW,
        ignore_index,
        None if weight_C is None else weight_C.to(enlargement.dtype),
        label_smoothing,
        enlargement,
        torch.is_grad_enabled() and logits_NChw.requires_grad,
        None if square_sum is None else squares,
    )
    total = weight_divisor(weight_C, num_classes, ignore_index, lambda: weight_sum, enlargement.sum_dtype)
    if square_sum is not None:
        square_sum += squares / (total / world_size()) ** 2  # the gradient of a sum over ranks is world size times it
    return (over_ranks(loss_sum) / total).to(enlargement.dtype)


def check_shapes(logits_NChw: Tensor, labels_NHW: Tensor) -> None:
    """Raises ValueError unless there are logits and labels of as many images."""
    if logits_NChw.ndim != 4 or labels_NHW.ndim != 3 or len(logits_NChw) != len(labels_NHW):
        raise ValueError(
            f"logits {tuple(logits_NChw.shape)} and labels {tuple(labels_NHW.shape)} are not (N, C, h, w) and (N, H, W)"
        )


def check_labels(labels_NHW: Tensor, num_classes: int, ignore_index: int) -> None:
    """Raises DataError naming a label that is neither a class nor `ignore_index`; looks at the values."""
    unknown_NHW = (
        (labels_NHW >= num_classes)
        if labels_NHW.dtype == torch.uint8
        else (labels_NHW < 0) | (labels_NHW >= num_classes)
    )
    unknown_NHW &= labels_NHW != ignore_index
    if unknown_NHW.any():
        raise unknown_label(int(labels_NHW[unknown_NHW][0]), num_classes, ignore_index)


class _UpsampleCrossEntropy(Function):
    """The sum of the weighted losses, and that of the weights."""

    @staticmethod
    def forward(
        ctx: Any,
        logits_NChw: Tensor,
        labels_NHW: Tensor,
        ignore_index: int,
        weight_C: Tensor | None,
        smoothing: float,
        enlargement: Enlargement,
        with_gradient: bool,
        square_sum: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        dtype = enlargement.sum_dtype
        shape = logits_NChw.shape if with_gradient else (0,)
        gradient_NChw = torch.zeros(shape, dtype=enlargement.dtype, device=logits_NChw.device)
        loss_sum, weight_sum = (gradient_NChw.new_zeros((), dtype=dtype) for _ in range(2))
        whole = slice(None)
        for part in enlargement.parts():
            labels_nRX = enlargement.labels(labels_NHW, part, ignore_index)
            strip = Strip(enlargement.strip(part), labels_nRX, ignore_index, whole, whole)
            p_nCP, log_p_nP = probabilities(strip)
            weight_nP = strip.valid_nP
            if weight_C is not None:
                weight_nP = weight_nP * weight_C[strip.labels_nP]
            weight_sum += weight_nP.sum(dtype=dtype)
            loss_sum -= (1 - smoothing) * (weight_nP * log_p_nP).sum(dtype=dtype)
            if smoothing:
                loss_sum -= smoothing * _mean_log_p(strip, log_p_nP, weight_C).sum(dtype=dtype)
            if with_gradient:
                gradient_nCP = _gradient(strip, p_nCP, weight_nP, weight_C, smoothing)
                if square_sum is not None:
                    square_sum += gradient_nCP.square().sum(dtype=dtype)
                enlargement.add_transposed(gradient_nCP.view(strip.shape), part, gradient_NChw)
        ctx.save_for_backward(gradient_NChw)
        ctx.mark_non_differentiable(weight_sum)
        ctx.dtype = logits_NChw.dtype
        return loss_sum, weight_sum

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (gradient_NChw,) = ctx.saved_tensors
        scaled_NChw = gradient_NChw * gradient.to(gradient_NChw.dtype)
        return scaled_NChw.to(ctx.dtype), None, None, None, None, None, None, None


def _mean_log_p(strip: Strip, log_p_nP: Tensor, weight_C: Tensor | None) -> Tensor:
    """Mean over classes of weight * log p at each valid pixel (n, P)."""
    logits_nCP = strip.logits_nCP
    log_sum_nP = strip.of_label(logits_nCP) - log_p_nP
    if weight_C is None:
        return (logits_nCP.mean(1) - log_sum_nP) * strip.valid_nP
    mean_nP = (logits_nCP * weight_C[:, None]).mean(1) - log_sum_nP * weight_C.mean()
    return mean_nP * strip.valid_nP


def _gradient(strip: Strip, p_nCP: Tensor, weight_nP: Tensor, weight_C: Tensor | None, smoothing: float) -> Tensor:
    """Gradient of the loss's sum to the strip's logits (n, C, P); overwrites p."""
    if not smoothing:
        return strip.add_at_label(p_nCP.mul_(weight_nP[:, None]), -weight_nP)
    ones_C = p_nCP.new_ones(p_nCP.shape[1]) if weight_C is None else weight_C
    spread_nP = smoothing * strip.valid_nP
    p_nCP.mul_(((1 - smoothing) * weight_nP + spread_nP * ones_C.mean())[:, None])
    p_nCP.addcmul_(-spread_nP[:, None], ones_C[:, None] / len(ones_C))
    return strip.add_at_label(p_nCP, (smoothing - 1) * weight_nP)
