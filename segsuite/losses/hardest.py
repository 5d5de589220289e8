"""The mean over the pixels with the largest loss, which top-k and OHEM cross entropy share."""

import torch
from torch import Tensor

from segsuite.losses.pixels import Pixels


def mean_of_hardest(loss_NHW: Tensor, pixels: Pixels, keep: Tensor, weights_NHW: Tensor | None = None) -> Tensor:
    """Mean, weighted by `weights_NHW`, of the `keep` valid pixels of the batch with the largest loss (>= 0).

    Pixels that tie for the last places share them, so that their order does not matter.
    """
    values = loss_NHW.detach().masked_fill(~pixels.valid_NHW, -1.0).flatten()
    threshold = _largest(values, keep.clamp_min(1), pixels.on_cpu)
    above, tied = values > threshold, values == threshold
    share = (keep - above.sum()) / tied.sum()
    kept_NHW = (above + tied * share).to(loss_NHW.dtype).view_as(loss_NHW) * pixels.valid_NHW
    if weights_NHW is not None:
        kept_NHW = kept_NHW * weights_NHW
    kept_sum = kept_NHW.sum()
    return (kept_NHW * loss_NHW).sum() / torch.where(kept_sum > 0, kept_sum, 1.0)


def _largest(values: Tensor, k: Tensor, on_cpu: bool) -> Tensor:
    """The k-th largest of `values`, NaN if any is; without waiting for a device."""
    if not on_cpu:
        return values.sort(descending=True).values.index_select(0, k.long().view(1) - 1)
    return values.kthvalue(len(values) - int(k) + 1).values


def share_of(pixels: Pixels, fraction: float) -> Tensor:
    """Number of pixels that is the nearest to `fraction` of the valid ones, and at least 1 if there are any."""
    count = pixels.valid_count.double()
    return torch.minimum((fraction * count).round().clamp_min(1.0), count)
