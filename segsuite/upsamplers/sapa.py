"""SAPA, similarity-aware point affiliation (Lu et al. NeurIPS 2022, arXiv 2209.12866), the bilinear variant SAPA-B.

Each fine pixel takes the features of those of its k x k coarse neighbours that resemble it: with q the embedding of
the guide at the fine pixel and k_t those of the coarse neighbours, the weights are softmax_t(q . k_t), k = 5, as in
tiny-smart/sapa. Guide and features are normalised first, by the group norm of that code (32 groups): the layer norm
over channels of the first release leaves of an image as guide its hue only, since it removes brightness and
contrast. Groups: the largest divisor of the channels up to 32.

Left out, since the result is the same without: scale and shift of the norms and the bias of the keys (the
embeddings scale, the bias of the queries shifts, and what is added to all keys cancels in the softmax); embedding
channels beyond in_channels (the paper's code has 32, here min(32, in_channels)). The 1x1 convolution to
out_channels comes before the weighted sum, which it commutes with. Any factor s in one step, with the same
parameters.

C -> D channels, guide G, embedding E: parameters E (C + G + 1) + D (C + 1); multiply-adds per low-resolution pixel
C E + C D + s^2 (G E + 25 E + 25 D).
"""

from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from segsuite.upsamplers.base import keep_second_moment_
from segsuite.upsamplers.guided import GuidedUpsampler
from segsuite.upsamplers.reassembly import products, reassemble, softmax_inside, split_phases, windows

KERNEL = 5
EMBEDDING_CHANNELS = 32
NORM_GROUPS = 32


class Sapa(GuidedUpsampler):
    """Weights from the similarity of each fine guide pixel to its 5x5 coarse neighbours."""

    keeps_constants: ClassVar[bool] = True

    def __init__(
        self, in_channels: int, out_channels: int, factor: int = 2, init: str = "random", *, guide_channels: int
    ) -> None:
        super().__init__(in_channels, out_channels, factor, init, guide_channels=guide_channels)
        embedding = min(EMBEDDING_CHANNELS, in_channels)
        self.query = nn.Conv2d(guide_channels, embedding, 1)
        self.key = nn.Conv2d(in_channels, embedding, 1, bias=False)
        self.project = nn.Conv2d(in_channels, out_channels, 1)
        self.initialise()

    def initialise(self, generator: Generator | None = None) -> None:
        # the paper's code: all similarities start near 0, all weights near 1/25
        nn.init.normal_(self.query.weight, std=0.02, generator=generator)
        nn.init.zeros_(self.query.bias)  # type: ignore[arg-type]  # it has a bias
        nn.init.normal_(self.key.weight, std=0.02, generator=generator)
        keep_second_moment_(self.project, generator)

    def enlarge_guided(self, x_NCHW: Tensor, guide_NCHW: Tensor) -> Tensor:
        query_NHWPE = split_phases(self.query(normalised(guide_NCHW)), self.factor)
        key_NHWTE = windows(self.key(normalised(x_NCHW)), KERNEL)
        weights_NHWPT = softmax_inside(products(query_NHWPE, key_NHWTE))
        return reassemble(self.project(x_NCHW), weights_NHWPT, self.factor)


def normalised(x_NCHW: Tensor) -> Tensor:
    """Group norm without parameters: mean 0, variance 1 over space and the channels of a group; 0 where all
    values of a group are equal."""
    channels = x_NCHW.shape[1]
    groups = next(g for g in range(min(NORM_GROUPS, channels), 0, -1) if channels % g == 0)
    # not F.group_norm: it refuses a 1x1 map of one image, whose only weight is 1 whatever the similarity
    return torch.group_norm(x_NCHW, groups)
