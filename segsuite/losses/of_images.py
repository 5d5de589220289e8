"""The loss of each image on its own, for validation: independent of the size of batches and of the number of ranks."""

import torch
from torch import Tensor, nn

from segsuite.losses.effective_batch import within
from segsuite.losses.full_resolution import FusedLoss
from segsuite.losses.gradient_norm import MeasuredLoss
from segsuite.losses.ranks import on_this_rank

VOID = 255


@torch.no_grad()
def losses_of_images(loss: nn.Module, logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    """What `loss` is for each image alone that has a pixel which is not void, (M,) float64 on the CPU, M <= N. Nothing
    is measured and no other rank is asked.

    >>> labels_NHW = torch.tensor([[[0, 1]], [[255, 255]]])
    >>> losses_of_images(nn.CrossEntropyLoss(ignore_index=255), torch.zeros(2, 2, 1, 2), labels_NHW)
    tensor([0.6931], dtype=torch.float64)
    """
    factor, plain = 1.0, loss
    if isinstance(plain, MeasuredLoss):
        factor, plain = plain.factor, plain.loss
    if isinstance(plain, FusedLoss):  # the logits are at full resolution, for the prediction
        factor, plain = factor * plain.weight, plain.loss
    ignored = int(getattr(plain, "ignore_index", VOID))
    with on_this_rank(), within(None):
        values = [
            plain(logits_NCHW[n : n + 1], labels_NHW[n : n + 1]).double().cpu()
            for n, valid in enumerate((labels_NHW != ignored).flatten(1).any(1).tolist())
            if valid
        ]
    return factor * torch.stack(values) if values else torch.zeros(0, dtype=torch.float64)
