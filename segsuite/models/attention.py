"""Attention in decoders: concurrent spatial and channel squeeze and excitation (scSE)."""

from torch import Tensor, nn


class SpatialChannelAttention(nn.Module):
    """scSE (Roy et al. 2018, arXiv 1803.02579, equations 1 to 3, and 1808.08127): (N, C, H, W) -> (N, C, H, W).

    Every channel is weighed by what the image holds of all channels (mean over the image, two 1x1 convolutions with a
    ReLU between, sigmoid), every pixel by a 1x1 convolution to one channel and sigmoid; the two are added. Both weights
    are near 1/2 at the start, so that their sum leaves the features nearly as they are. The hidden width is half the
    channels, the papers' r = 2, and at least 1.
    """

    def __init__(self, channels: int, reduction: int = 2) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.channel = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
        self.spatial = nn.Conv2d(channels, 1, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        of_channels_NC11: Tensor = self.channel(x_NCHW.mean((2, 3), keepdim=True)).sigmoid()
        of_pixels_N1HW: Tensor = self.spatial(x_NCHW).sigmoid()
        return x_NCHW * (of_channels_NC11 + of_pixels_N1HW)
