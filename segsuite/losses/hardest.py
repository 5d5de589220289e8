"""The mean over the pixels with the largest loss, which top-k and OHEM cross entropy share."""

import torch
from torch import Tensor

from segsuite.losses.effective_batch import batch_share
from segsuite.losses.pixels import Pixels
from segsuite.losses.ranks import gathered, over_ranks


def mean_of_hardest(loss_NHW: Tensor, pixels: Pixels, keep: Tensor, weights_NHW: Tensor | None = None) -> Tensor:
    """Mean, weighted by `weights_NHW`, of the `keep` valid pixels of all ranks with the largest loss (>= 0).

    Pixels that tie for the last places share them, so that their order does not matter.
    """
    values_NHW = loss_NHW.detach().masked_fill(~pixels.valid_NHW, -1.0)
    values = gathered(values_NHW)  # every rank looks for the threshold among all: no sum could tell it
    threshold = _largest(values, keep.clamp_min(1), pixels.on_cpu)
    share = (keep - (values > threshold).sum()) / (values == threshold).sum()
    kept_NHW = (values_NHW > threshold) + (values_NHW == threshold) * share
    kept_NHW = kept_NHW.to(loss_NHW.dtype) * pixels.valid_NHW
    if weights_NHW is not None:
        kept_NHW = kept_NHW * weights_NHW
    kept_sum = over_ranks(kept_NHW.sum())
    mean = over_ranks((kept_NHW * loss_NHW).sum()) / torch.where(kept_sum > 0, kept_sum, 1.0)
    return batch_share(mean, pixels.ignore_index)


def _largest(values: Tensor, k: Tensor, on_cpu: bool) -> Tensor:
    """The k-th largest of `values`, NaN if any is; without waiting for a device."""
    if not on_cpu:
        return values.sort(descending=True).values.index_select(0, k.long().view(1) - 1)
    return values.kthvalue(len(values) - int(k) + 1).values


def share_of(pixels: Pixels, fraction: float) -> Tensor:
    """Number of pixels that is the nearest to `fraction` of the valid ones, and at least 1 if there are any."""
    count = pixels.valid_count.double()
    return torch.minimum((fraction * count).round().clamp_min(1.0), count)
