"""Losses: how far logits are from labels.

Contract (tests/contracts/test_losses.py runs it for every name below):
  * forward(logits_NCHW, labels_NHW) gives a scalar fp32, also from bf16 logits or under autocast;
  * labels are uint8, int32 or int64 class ids, 255 (`ignore_index`) = void;
  * void pixels have no weight: their logits may be anything, NaN too, and their gradient is exactly 0;
  * a batch of void pixels only gives exactly 0 with a gradient of exactly 0;
  * a label that is neither a class nor void raises DataError naming it (on a CPU; on CUDA the kernel's own
    assertion stops the process, because a check there would make every step wait for the device).

A new loss is one file and one line here. This module imports no torch.
"""

import inspect
from typing import TYPE_CHECKING, Any

from segsuite.errors import ConfigError, unknown_name
from segsuite.families import resolve

if TYPE_CHECKING:
    from torch import nn

LOSSES: dict[str, str] = {
    "cross_entropy": "segsuite.losses.cross_entropy:CrossEntropy",
}


def build_loss(name: str, **settings: Any) -> "nn.Module":
    """The loss `name` with its settings. Raises ConfigError for an unknown name or setting, or a value out of
    range."""
    loss_class = resolve("loss", LOSSES, name)
    known = inspect.signature(loss_class).parameters
    for setting in settings:
        if setting not in known:
            raise ConfigError(unknown_name(f"setting of loss '{name}'", setting, known))
    loss: nn.Module = loss_class(**settings)
    return loss
