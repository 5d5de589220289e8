"""The gradient that a loss sends to the logits at the start of training, measured and, if asked for, matched.

Two losses at one learning rate are also two step sizes, since their gradients differ in size: "loss A beats loss B" may
only mean that A's step size was the better one. So each trial records the norm of d loss / d logits on its first
training batch, and with `match` its loss is multiplied by the constant that makes the norm equal to that of plain cross
entropy (no class weights, no smoothing) on the same logits. That reference stands for the baseline's because it needs
no other trial: arms with the same seed and network start from the same logits, so each of them is matched to the same
number, whatever the baseline is.

It matters for SGD and with gradient clipping. AdamW divides by the size of the gradient, and is matched to begin with.
"""

from typing import Any

import torch
from torch import Tensor, nn

from segsuite.losses.base import Loss
from segsuite.losses.cross_entropy import CrossEntropy
from segsuite.losses.effective_batch import within
from segsuite.losses.full_resolution import FusedLoss, LowLogits
from segsuite.losses.ranks import norm_over_ranks


def gradient_norm(loss: Loss | FusedLoss, logits_NCHW: Tensor | LowLogits, labels_NHW: Tensor) -> float:
    """Euclidean norm of d loss / d logits of all ranks at the labels' resolution; makes the host wait."""
    if isinstance(logits_NCHW, LowLogits):
        assert isinstance(loss, FusedLoss)
        return loss.gradient_norm(logits_NCHW, labels_NHW)
    logits_NCHW = logits_NCHW.detach()
    if logits_NCHW.dtype != torch.float64:
        logits_NCHW = logits_NCHW.float()
    with torch.enable_grad():
        logits_NCHW.requires_grad_()
        (gradient_NCHW,) = torch.autograd.grad(loss(logits_NCHW, labels_NHW), logits_NCHW)
    return norm_over_ranks(float(torch.linalg.vector_norm(gradient_NCHW, dtype=torch.float64)), gradient_NCHW.device)


class MeasuredLoss(nn.Module):
    """`loss`, with the norm of its gradient measured on the first training batch where neither it nor cross entropy's
    is 0, and with `match` multiplied by `factor` from that batch on.

    What was measured is part of the state dict, so that a training that is continued goes on with the same factor.
    """

    def __init__(self, loss: Loss | FusedLoss, match: bool = False) -> None:
        super().__init__()
        self.loss, self.match = loss, match
        self.gradient_norm: float | None = None
        """Norm of d loss / d logits before it is multiplied by the factor; None until it is measured."""
        self.reference_norm: float | None = None
        """The same of plain cross entropy."""
        self._missed = False
        self.register_load_state_dict_pre_hook(_without_measurement)  # type: ignore[no-untyped-call]  # torch leaves it untyped

    @property
    def factor(self) -> float:
        """What the loss is multiplied by; 1 until it is measured."""
        if not self.match or self.gradient_norm is None or self.reference_norm is None:
            return 1.0
        return self.reference_norm / self.gradient_norm

    def forward(self, logits_NCHW: Tensor | LowLogits, labels_NHW: Tensor) -> Tensor:
        if self.training and self.gradient_norm is None and not self._missed:
            self._measure(logits_NCHW, labels_NHW)
        value: Tensor = self.loss(logits_NCHW, labels_NHW)
        return value if self.factor == 1.0 else self.factor * value

    def _measure(self, logits_NCHW: Tensor | LowLogits, labels_NHW: Tensor) -> None:
        with within(None):
            self._measure_batch(logits_NCHW, labels_NHW)

    def _measure_batch(self, logits_NCHW: Tensor | LowLogits, labels_NHW: Tensor) -> None:
        norm = gradient_norm(self.loss, logits_NCHW, labels_NHW)
        cross_entropy = CrossEntropy(ignore_index=self.loss.ignore_index)
        fused = isinstance(self.loss, FusedLoss)
        reference = gradient_norm(FusedLoss(cross_entropy) if fused else cross_entropy, logits_NCHW, labels_NHW)
        if 0 < norm < float("inf") and 0 < reference < float("inf"):
            self.gradient_norm, self.reference_norm = norm, reference

    def record(self) -> dict[str, float | None]:
        """What a result says of it."""
        return {
            "loss_gradient_norm": self.gradient_norm,
            "loss_reference_norm": self.reference_norm,
            "loss_factor": self.factor,
        }

    def get_extra_state(self) -> dict[str, float | None]:
        """What was measured, for the checkpoint."""
        return {"gradient_norm": self.gradient_norm, "reference_norm": self.reference_norm}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """What `get_extra_state` gave."""
        self.gradient_norm, self.reference_norm = state["gradient_norm"], state["reference_norm"]


def _without_measurement(loss: MeasuredLoss, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Lets a training go on whose checkpoint is older than the measurement; its first batch is past."""
    key = f"{prefix}_extra_state"
    if key not in state:
        state[key] = loss.get_extra_state()
        loss._missed = True
