"""Losses at the labels' resolution from logits that still have to be enlarged to it (`full_resolution: fused`).

A network that ends in bilinear interpolation without parameters gives its logits before that step, and these losses
enlarge them strip by strip (enlargement.py): value and gradient as of the enlarged logits, in a fraction of the memory
and the time. Cross entropy alone goes through the logits once (fused_cross_entropy.py). Every other loss reads the
softmax through log p[y] and sums of p (softmax_sums.py), so it goes through them twice: for these numbers, and in the
backward, when the gradient to them is known, for the gradient to the logits.
"""

import math
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from segsuite.errors import ConfigError
from segsuite.losses import build_loss, check_fused, kernels
from segsuite.losses.base import Loss, check_length
from segsuite.losses.cross_entropy import CrossEntropy
from segsuite.losses.enlargement import Enlargement, Part
from segsuite.losses.fused_cross_entropy import check_shapes, enlarged_cross_entropy
from segsuite.losses.pixels import Pixels
from segsuite.losses.ranks import norm_over_ranks
from segsuite.losses.softmax_sums import Sums, add_sums, gradient_of, probabilities
from segsuite.losses.strips import Strip
from segsuite.losses.weighted_sum import WeightedSum


class LowLogits(NamedTuple):
    """Logits (N, C, h, w), and the height and width that bilinear interpolation (align_corners=False) enlarges them to.

    Labels may be smaller, if the enlarged logits would be cut at the right and bottom, or larger, if their last row and
    column would be repeated.
    """

    low_NChw: Tensor
    enlarged: tuple[int, int]


def build_fused_loss(name: str, **settings: Any) -> "FusedLoss":
    """The loss `name` with its settings, for logits that still have to be enlarged. Raises ConfigError as build_loss
    does, and for a loss that cannot be computed so."""
    check_fused(name, **settings)
    return FusedLoss(build_loss(name, **settings))


class FusedLoss(nn.Module):
    """forward(logits: LowLogits, labels_NHW) -> scalar: `loss` of the enlarged logits."""

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        self.loss, self.weight, self.ignore_index = loss, 1.0, loss.ignore_index
        if isinstance(loss, WeightedSum) and len(loss.weights) == 1:
            (only,), (self.weight,) = loss.losses, loss.weights
            assert isinstance(only, Loss)
            self.loss = only

    def forward(self, logits: LowLogits, labels_NHW: Tensor) -> Tensor:
        """Scalar fp32 (fp64 for fp64 logits). Raises DataError and ConfigError as the loss does."""
        return self.weight * self._value(logits, labels_NHW)

    def gradient_norm(self, logits: LowLogits, labels_NHW: Tensor) -> float:
        """Euclidean norm of d loss / d logits of all ranks at the labels' resolution, where the logits never are; makes
        the host wait."""
        low_NChw = logits.low_NChw.detach()
        if low_NChw.dtype != torch.float64:
            low_NChw = low_NChw.float()
        square_sum = torch.zeros((), dtype=low_NChw.dtype, device=low_NChw.device)
        with torch.enable_grad():
            value = self._value(LowLogits(low_NChw.requires_grad_(), logits.enlarged), labels_NHW, square_sum)
            torch.autograd.grad(value, low_NChw)
        return self.weight * norm_over_ranks(math.sqrt(float(square_sum)), low_NChw.device)

    def _value(self, logits: LowLogits, labels_NHW: Tensor, square_sum: Tensor | None = None) -> Tensor:
        by_kernel = square_sum is None and kernels.take(logits.low_NChw)
        if isinstance(self.loss, CrossEntropy) and not (by_kernel and self.loss.label_smoothing == 0):
            check_length("class_weights", self.loss.class_weights_C, logits.low_NChw.shape[1])
            value: Tensor = enlarged_cross_entropy(
                *(logits.low_NChw, labels_NHW, logits.enlarged, self.ignore_index, self.loss.class_weights_C),
                label_smoothing=self.loss.label_smoothing,
                square_sum=square_sum,
            )
            return value
        return self.loss.of(
            EnlargedPixels(logits, labels_NHW, self.ignore_index, self.loss.sums, self.loss.squares, square_sum)
        )


class EnlargedPixels(Pixels):
    """Pixels of the enlarged logits, which are never made: losses may read all but `logits_NCHW` and `probabilities`.

    square_sum: a scalar to which the backward adds the sum of the squares of the gradient to the enlarged logits.
    """

    def __init__(
        self,
        logits: LowLogits,
        labels_NHW: Tensor,
        ignore_index: int = 255,
        sums: bool = False,
        squares: bool = False,
        square_sum: Tensor | None = None,
    ) -> None:
        super().__init__(logits.low_NChw, labels_NHW, ignore_index, sums, squares)
        size = (labels_NHW.shape[1], labels_NHW.shape[2])
        self.enlargement, self.square_sum = Enlargement(logits.low_NChw, logits.enlarged, size), square_sum

    def check_shapes(self, logits_NCHW: Tensor, labels_NHW: Tensor) -> None:
        """Raises ValueError unless there are logits and labels of as many images."""
        check_shapes(logits_NCHW, labels_NHW)

    @cached_property
    def prediction_NHW(self) -> Tensor:
        """Class of the largest enlarged logit."""
        prediction_NHW = torch.empty(self.labels_NHW.shape, dtype=torch.int64, device=self.labels_NHW.device)
        for part in self.enlargement.parts():
            self.enlargement.put(self.enlargement.strip(part).max(dim=1).indices, part, prediction_NHW)
        return prediction_NHW

    def probabilities(self) -> Tensor:
        """Raises ConfigError: they are what is not made."""
        raise ConfigError(
            "the loss reads all probabilities, which full_resolution: fused does not make",
            advice="set full_resolution to direct",
        )

    def softmax_sums(self, shift_C: Tensor | None = None, sums: bool = False, squares: bool = False) -> Sums:
        if self.square_sum is None and kernels.take(self.logits_NCHW):
            from segsuite.losses.kernels.enlarged import EnlargedSums

            by_kernel: Sums = EnlargedSums.apply(
                *(self.logits_NCHW, self.labels_NHW, self.ignore_index, shift_C, sums or squares, squares),
                *(self.enlargement.rows, self.enlargement.columns),
            )
            return by_kernel
        result: Sums = _EnlargedSums.apply(
            *(self.logits_NCHW, self.labels_NHW, self.ignore_index, shift_C, sums or squares, squares),
            *(self.enlargement, self.square_sum),
        )
        return result


class _EnlargedSums(Function):
    """softmax_sums.py for strips of enlarged logits."""

    @staticmethod
    def forward(
        ctx: Any,
        low_NChw: Tensor,
        labels_NHW: Tensor,
        ignore_index: int,
        shift_C: Tensor | None,
        sums: bool,
        squares: bool,
        enlargement: Enlargement,
        square_sum: Tensor | None,
    ) -> Sums:
        ctx.save_for_backward(low_NChw, labels_NHW, shift_C)
        ctx.ignore_index, ctx.enlargement, ctx.square_sum = ignore_index, enlargement, square_sum
        ctx.set_materialize_grads(False)
        log_p_NHW = torch.empty(labels_NHW.shape, dtype=enlargement.dtype, device=low_NChw.device)
        mass_NC, overlap_NC, squares_NC = (log_p_NHW.new_zeros(low_NChw.shape[:2]) for _ in range(3))
        for part in enlargement.parts():
            strip = _strip(enlargement, part, labels_NHW, ignore_index, shift_C)
            p_nCP, log_p_nP = probabilities(strip)
            enlargement.put(log_p_nP.view(len(log_p_nP), *strip.shape[2:]), part, log_p_NHW)
            if sums:
                of_images = (total_NC[part.images] for total_NC in (mass_NC, overlap_NC, squares_NC))
                mass_nC, overlap_nC, squares_nC = of_images
                add_sums(strip, p_nCP, mass_nC, overlap_nC, squares_nC if squares else None)
        if not sums:
            return log_p_NHW, None, None, None
        return log_p_NHW, mass_NC, overlap_NC, squares_NC if squares else None

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_log_p_NHW: Tensor | None, *of_sums_NC: Tensor | None) -> tuple[Tensor | None, ...]:
        low_NChw, labels_NHW, shift_C = ctx.saved_tensors
        enlargement: Enlargement = ctx.enlargement
        gradient_NChw = torch.zeros(low_NChw.shape, dtype=enlargement.dtype, device=low_NChw.device)
        for part in enlargement.parts():
            strip = _strip(enlargement, part, labels_NHW, ctx.ignore_index, shift_C)
            of_log_p_nP = None
            if of_log_p_NHW is not None:
                of_log_p_nP = enlargement.values(of_log_p_NHW, part).view(strip.valid_nP.shape)
            of_sums_nC = (None if of_sum_NC is None else of_sum_NC[part.images] for of_sum_NC in of_sums_NC)
            gradient_nCP = gradient_of(strip, of_log_p_nP, *of_sums_nC)
            if ctx.square_sum is not None:
                ctx.square_sum += gradient_nCP.square().sum()
            enlargement.add_transposed(gradient_nCP.view(strip.shape), part, gradient_NChw)
        return gradient_NChw.to(low_NChw.dtype), None, None, None, None, None, None, None


def _strip(
    enlargement: Enlargement, part: Part, labels_NHW: Tensor, ignore_index: int, shift_C: Tensor | None
) -> Strip:
    labels_nRX = enlargement.labels(labels_NHW, part, ignore_index)
    return Strip(enlargement.strip(part), labels_nRX, ignore_index, slice(None), slice(None), shift_C)
