"""FADE, fusing the assets of decoder and encoder (Lu et al. ECCV 2022, arXiv 2207.10392; poppinace/fade).

The kernel of each fine pixel comes from both maps by a semi-shift convolution: guide and features are compressed by
1x1 convolutions, one 3x3 convolution (shared) runs over both, on the fine grid over the guide and on the coarse grid
over the features, and each fine pixel adds the two at its place. The softmax weighs the 5x5 coarse neighbourhood
(reassembly.py). A gate g = sigmoid(1x1 convolution of the features, repeated s x s) mixes in the guide:
y = g guide + (1 - g) reassembled. Any factor s in one step, with the same parameters.

Here features and guide are always brought to out_channels by 1x1 convolutions of their own (the paper's code adds
them as they are, at equal widths), the features before the sum, which that commutes with. The compressed width is
min(64, channels of both together), the paper's 64 where it can serve; the bias of the shared convolution counts once.

Init: the shared convolution with the variance of the paper's code (Xavier; normal there, uniform here), and so the two
that compress (there PyTorch's own); the gate starts at 1/2 everywhere (weights of 0.001; there Xavier), and the two 1x1
convolutions with twice the usual variance, so that g^2 + (1 - g)^2 = 1/2 leaves the second moment as it was for
features and guide of equal second moment.

C -> D channels, guide G, compressed M: parameters M (C + G + 1) + 25 (9 M + 1) + C + 1 + D (C + G + 2); multiply-adds
per low-resolution pixel C M + 225 M + C D + C + s^2 (G M + 225 M + G D + 25 D).
"""

from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from segsuite.upsamplers.base import keep_second_moment_
from segsuite.upsamplers.guided import GuidedUpsampler
from segsuite.upsamplers.reassembly import reassemble, softmax_inside, split_phases

KERNEL = 5
COMPRESSED_CHANNELS = 64


class Fade(GuidedUpsampler):
    """Kernels from features and guide, and a gate that lets the guide through."""

    # a constant input keeps the guide's structure
    keeps_constants: ClassVar[bool] = False

    def __init__(
        self, in_channels: int, out_channels: int, factor: int = 2, init: str = "random", *, guide_channels: int
    ) -> None:
        super().__init__(in_channels, out_channels, factor, init, guide_channels=guide_channels)
        compressed = min(COMPRESSED_CHANNELS, in_channels + guide_channels)
        self.compress_guide = nn.Conv2d(guide_channels, compressed, 1)
        self.compress_x = nn.Conv2d(in_channels, compressed, 1, bias=False)
        self.content = nn.Conv2d(compressed, KERNEL**2, 3, padding=1)
        self.gate = nn.Conv2d(in_channels, 1, 1)
        self.project_guide = nn.Conv2d(guide_channels, out_channels, 1)
        self.project_x = nn.Conv2d(in_channels, out_channels, 1)
        self.initialise()

    def initialise(self, generator: Generator | None = None) -> None:
        for kernel_part in (self.compress_guide, self.compress_x, self.content):
            nn.init.xavier_uniform_(kernel_part.weight, generator=generator)
            if kernel_part.bias is not None:
                nn.init.zeros_(kernel_part.bias)
        nn.init.normal_(self.gate.weight, std=0.001, generator=generator)
        nn.init.zeros_(self.gate.bias)  # type: ignore[arg-type]  # it has a bias
        for project in (self.project_guide, self.project_x):
            keep_second_moment_(project, generator, gain=2**0.5)

    def enlarge_guided(self, x_NCHW: Tensor, guide_NCHW: Tensor) -> Tensor:
        fine_NHWPT = split_phases(self.content(self.compress_guide(guide_NCHW)), self.factor)
        coarse_NCHW = F.conv2d(self.compress_x(x_NCHW), self.content.weight, padding=1)
        weights_NHWPT = softmax_inside(fine_NHWPT + coarse_NCHW.permute(0, 2, 3, 1)[:, :, :, None])
        reassembled_NCHW = reassemble(self.project_x(x_NCHW), weights_NHWPT, self.factor)
        gate_N1HW = F.interpolate(self.gate(x_NCHW).sigmoid(), scale_factor=float(self.factor), mode="nearest")
        guide_NCHW = self.project_guide(guide_NCHW)
        # CUDA's autocast interpolates in fp32, and lerp takes one type.
        return torch.lerp(reassembled_NCHW, guide_NCHW.to(reassembled_NCHW.dtype), gate_N1HW.to(reassembled_NCHW.dtype))
