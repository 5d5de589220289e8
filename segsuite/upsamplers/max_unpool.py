"""Max-unpooling (SegNet; Badrinarayanan, Kendall, Cipolla 2017, arXiv 1511.00561): each value goes to the place
in its 2x2 cell where the encoder's max-pooling found the maximum, zeros elsewhere, then a convolution.

The places are read from the guide: the indices of its 2x2 max-pooling. Where the encoder pools that very map
(VGG) they are SegNet's own. Factor 2^k is a chain of k steps, each with the guide max-pooled to its size.

Channels: a value needs an index, so what is unpooled has guide_channels G, by a 1x1 convolution where that
differs from in_channels. A guide of fewer channels than both sides (the image has 3) would be a bottleneck:
its indices are used again for the next G channels, U = G ceil(min(C_in, C_out) / G) in all.

Parameters and multiply-adds a low-resolution pixel at factor 2: 9 U C_out, and 36 U C_out (dense: the zeros are
multiplied too), and C_in U of both for the 1x1 convolution.
"""

from torch import Generator, Tensor, nn
from torch.nn import functional as F

from segsuite.upsamplers.base import keep_second_moment_
from segsuite.upsamplers.guided import GuidedUpsampler


class MaxUnpool(GuidedUpsampler):
    """conv1 to the unpooled channels if they differ, then a doubling: unpool to the guide's maxima, conv3."""

    def __init__(
        self, in_channels: int, out_channels: int, factor: int = 2, init: str = "random", *, guide_channels: int
    ) -> None:
        super().__init__(in_channels, out_channels, factor, init, guide_channels=guide_channels)
        doublings = self.doublings()
        self.repeats = -(-min(in_channels, out_channels) // guide_channels)
        unpooled = guide_channels * self.repeats
        self.mix = nn.Identity() if in_channels == unpooled else nn.Conv2d(in_channels, unpooled, 1)
        widths = [unpooled] * (doublings - 1) + [out_channels]
        self.convs = nn.ModuleList(nn.Conv2d(unpooled, width, 3, padding=1) for width in widths)
        self.initialise()

    def enlarge_guided(self, x_NCHW: Tensor, guide_NCHW: Tensor) -> Tensor:
        guide_NCHW, places = guide_NCHW.detach(), []
        for _ in self.convs:
            guide_NCHW, indices_NCHW = F.max_pool2d_with_indices(guide_NCHW, [2, 2])
            places.append(indices_NCHW)
        x_NCHW = self.mix(x_NCHW)
        for conv, indices_NCHW in zip(self.convs, reversed(places), strict=True):
            x_NCHW = conv(unpool(x_NCHW, indices_NCHW.repeat(1, self.repeats, 1, 1)))
        return x_NCHW

    def initialise(self, generator: Generator | None = None) -> None:
        if isinstance(self.mix, nn.Conv2d):
            keep_second_moment_(self.mix, generator)
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            # three of four unpooled values are zero
            keep_second_moment_(conv, generator, gain=2.0)


def unpool(x_NCHW: Tensor, indices_NCHW: Tensor) -> Tensor:
    """(N, C, H, W) and the flat index of each value in the 2H x 2W pixels of its channel -> (N, C, 2H, 2W), zero
    where nothing goes. Each index lies in the 2x2 cell of its value, as F.max_pool2d(.., 2) returns them."""
    # not F.max_unpool2d: torch.use_deterministic_algorithms refuses it on CUDA, although no two values meet here
    n, channels, height, width = x_NCHW.shape
    empty_NCP = x_NCHW.new_zeros(n, channels, 4 * height * width)
    return empty_NCP.scatter(2, indices_NCHW.flatten(2), x_NCHW.flatten(2)).view(n, channels, 2 * height, 2 * width)
