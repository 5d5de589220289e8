"""Normalisation of decoders, by its name. All of them have a weight and a bias a channel, which start at 1 and 0.

Over what mean and variance are taken, for features (N, C, H, W):
  * batch: N, H, W, a channel (Ioffe and Szegedy 2015, arXiv 1502.03167); running ones in evaluation. Where several
    processes train one trial, N are the images of all of them (train/batch_norm.py);
  * group: H, W and the channels of a group, an image (Wu and He 2018, arXiv 1803.08494);
  * instance: H, W, an image and channel (Ulyanov et al. 2016, arXiv 1607.08022);
  * layer: C, a pixel (Ba et al. 2016, arXiv 1607.06450, at each place, as in ConvNeXt, Liu et al. 2022, arXiv
    2201.03545, eps 1e-6 as there);
  * none: nothing; the convolution before it then has a bias.
Group, instance and layer do not depend on the batch: they train on one image and are the same in evaluation.

Features that are pooled to one pixel are special: instance norm would make zeros of them, and so would group norm with
one channel a group; batch norm of one image has no variance. See `pooled_normalisation`.
"""

from collections.abc import Callable
from contextvars import ContextVar

from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.models.layer_settings import groups_of

BATCH_IS_SHARED: ContextVar[bool] = ContextVar("BATCH_IS_SHARED", default=False)
"""Whether batch norm takes its statistics over the images of several processes, of which each has at least one."""


class PooledBatchNorm(nn.BatchNorm2d):
    """Batch norm of features that are pooled to one pixel, which also trains on a batch of one image.

    A batch of one has one value a channel, whose variance is undefined: PyTorch refuses it (pytorch/vision #1667).
    Here it is normalised with the running statistics, as in evaluation, and leaves them as they are. Larger batches,
    of one process or of several with one image each, and evaluation are nn.BatchNorm2d's own.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, 1, 1), normalised a channel."""
        if self.training and input.numel() == input.shape[1] and not BATCH_IS_SHARED.get():
            mean, variance = self.running_mean, self.running_var
            return F.batch_norm(input, mean, variance, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(input)


class ChannelLayerNorm(nn.LayerNorm):
    """(N, C, H, W), normalised over the channels at each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


Make = Callable[[int, int], nn.Module]
"""(channels, groups) -> module."""

NORMALISATION: dict[str, Make] = {
    "batch": lambda channels, groups: nn.BatchNorm2d(channels),
    "group": lambda channels, groups: nn.GroupNorm(groups_of(channels, groups), channels),
    "instance": lambda channels, groups: nn.InstanceNorm2d(channels, affine=True),
    "layer": lambda channels, groups: ChannelLayerNorm(channels),
    "none": lambda channels, groups: nn.Identity(),
}

POOLED: dict[str, Make] = {
    **NORMALISATION,
    "batch": lambda channels, groups: PooledBatchNorm(channels),
    "group": lambda channels, groups: (
        nn.GroupNorm(groups_of(channels, min(groups, channels // 2)), channels) if channels > 1 else nn.Identity()
    ),
    "instance": lambda channels, groups: nn.Identity(),
}


def normalisation(name: str, channels: int, groups: int) -> nn.Module:
    """The normalisation `name` of features with `channels` channels.

    groups: of group norm; where they do not divide the channels, the next smaller number that does (16 channels have
    16 groups, 47 have one).
    """
    return NORMALISATION[name](channels, groups)


def pooled_normalisation(name: str, channels: int, groups: int) -> nn.Module:
    """The same of features (N, channels, 1, 1): instance is left out, group has at least two channels a group, and
    batch also trains on one image."""
    return POOLED[name](channels, groups)
