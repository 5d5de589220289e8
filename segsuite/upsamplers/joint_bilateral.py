"""Joint bilateral upsampling (Kopf, Cohen, Lischinski, Uyttendaele 2007, doi 10.1145/1239451.1239547): the reference
for guided upsampling that learns nothing.

    y_p = sum_q x_q f(|p' - q|) g(|I_p - I_q|) / the same sum without x_q,

p a fine pixel, p' its place on the coarse half-pixel grid, q the 5x5 coarse neighbours that lie inside the map, f a
Gaussian of 0.5 coarse pixels, g a Gaussian of 0.5 guide units on the root of the mean squared difference over the
guide's channels. I_p is the guide at p, I_q its mean over the s x s pixels of cell q (the paper reads one pixel; with
an even s none lies at the cell's centre).

The two widths are fixed, and our choice: with a flat guide, f gives weights near the bilinear ones (0.70, 0.26, 0.04
per axis at s = 2, against 0.75, 0.25, 0); 0.5 guide units are a ninth of the range from black to white of an image
normalised as for ImageNet, and half the spread of features after batch norm.

Any factor s in one step. No parameters where in_channels == out_channels, else a 1x1 convolution before the sum,
which it commutes with. C -> D channels, guide G: parameters D (C + 1) or 0; multiply-adds per low-resolution pixel
C D (or 0) + 25 s^2 (G + D) + 25 G.
"""

from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from segsuite.upsamplers.base import keep_second_moment_
from segsuite.upsamplers.guided import GuidedUpsampler
from segsuite.upsamplers.reassembly import products, reassemble, softmax_inside, split_phases, windows

KERNEL = 5
SPATIAL_SIGMA = 0.5
RANGE_SIGMA = 0.5


class JointBilateral(GuidedUpsampler):
    """Weights from distance and from the difference in the guide; nothing learned."""

    learned: ClassVar[bool] = False
    keeps_constants: ClassVar[bool] = True

    def __init__(
        self, in_channels: int, out_channels: int, factor: int = 2, init: str = "random", *, guide_channels: int
    ) -> None:
        super().__init__(in_channels, out_channels, factor, init, guide_channels=guide_channels)
        self.project = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        self.initialise()

    def initialise(self, generator: Generator | None = None) -> None:
        if isinstance(self.project, nn.Conv2d):
            keep_second_moment_(self.project, generator)

    def enlarge_guided(self, x_NCHW: Tensor, guide_NCHW: Tensor) -> Tensor:
        range_NHWPT = self.range_term(split_phases(guide_NCHW, self.factor))
        spatial_PT = self.spatial_term(range_NHWPT)
        return reassemble(self.project(x_NCHW), softmax_inside(range_NHWPT + spatial_PT), self.factor)

    def range_term(self, fine_NHWPC: Tensor) -> Tensor:
        """Log of g up to a term that is the same for all taps, (N, H, W, factor^2, 25)."""
        coarse_NHWTC = windows(fine_NHWPC.mean(dim=3).permute(0, 3, 1, 2), KERNEL)
        # |p - q|^2 = |p|^2 - 2 p q + |q|^2, |p|^2 cancels in the softmax; from the cell's own mean, so that a large
        # mean of the guide does not eat the digits of small differences
        centre_NHW1C = coarse_NHWTC[:, :, :, KERNEL**2 // 2, None]
        fine_NHWPC, coarse_NHWTC = fine_NHWPC - centre_NHW1C, coarse_NHWTC - centre_NHW1C
        products_NHWPT = products(fine_NHWPC, coarse_NHWTC)
        squares_NHW1T = coarse_NHWTC.square().sum(dim=-1)[:, :, :, None]
        return (products_NHWPT - squares_NHW1T / 2) / (RANGE_SIGMA**2 * self.guide_channels)

    def spatial_term(self, like: Tensor) -> Tensor:
        """Log of f, (factor^2, 25), of `like`'s kind and place."""
        phases = (torch.arange(self.factor, dtype=like.dtype, device=like.device) + 0.5) / self.factor - 0.5
        taps = torch.arange(KERNEL, dtype=like.dtype, device=like.device) - KERNEL // 2
        squares = (phases[:, None] - taps).square()
        squares_PT = (squares[:, None, :, None] + squares[:, None]).reshape(self.factor**2, KERNEL**2)
        return -squares_PT / (2 * SPATIAL_SIGMA**2)
