"""CARAFE, content-aware reassembly of features (Wang et al. 2019, arXiv 1905.02188; mmcv's CARAFEPack).

A 1x1 convolution (channel compressor, C -> C_m) and a 3x3 convolution (content encoder, C_m -> s^2 k^2) predict
one k x k kernel for each output pixel; its softmax weighs the k x k low-resolution neighbourhood (reassembly.py).
As in the paper k = 5, C_m = 64; C_m = C where C < 64, since between two convolutions without an activation more
channels than C add cost and no function.

A factor 2^k is a chain of k steps with s = 2, each with its own kernels: one step of s = 8 would need 16 times
the kernel channels. The map to out_channels is a 1x1 convolution before the reassembly: the kernels are shared by
all channels and sum to 1, so it commutes exactly, at a quarter of the cost. The kernels are predicted from the
step's input, before that convolution, so a step is bilinear_conv1 with predicted instead of fixed weights.

A step, C -> D channels: parameters C_m (C + 1) + 100 (9 C_m + 1) + D (C + 1); multiply-adds per low-resolution
pixel C C_m + 900 C_m + C D + 100 D. The paper counts 2 (C + 1) C_m + 2 (9 C_m + 1) s^2 k^2 + 2 s^2 k^2 C operations
for the kernels and the reassembly: 199,496 at C = 256.
"""

from typing import ClassVar

from torch import Generator, Tensor, nn

from segsuite.upsamplers.base import DoublingUpsampler, keep_second_moment_
from segsuite.upsamplers.reassembly import reassemble, softmax_inside

KERNEL = 5
COMPRESSED_CHANNELS = 64


class CarafeStep(nn.Module):
    """(N, in_channels, H, W) -> (N, out_channels, 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        compressed = min(COMPRESSED_CHANNELS, in_channels)
        self.compressor = nn.Conv2d(in_channels, compressed, 1)
        # output channels: phase by phase, the taps of a phase beside each other
        self.encoder = nn.Conv2d(compressed, 4 * KERNEL**2, 3, padding=1)
        self.project = nn.Conv2d(in_channels, out_channels, 1)

    def initialise(self, generator: Generator | None) -> None:
        keep_second_moment_(self.compressor, generator)
        keep_second_moment_(self.project, generator)
        # the paper's: all kernels start near the 5x5 mean
        nn.init.normal_(self.encoder.weight, std=0.001, generator=generator)
        nn.init.zeros_(self.encoder.bias)  # type: ignore[arg-type]  # it has a bias

    def forward(self, x_NCHW: Tensor) -> Tensor:
        logits_NHWC = self.encoder(self.compressor(x_NCHW)).permute(0, 2, 3, 1)
        weights_NHWPT = softmax_inside(logits_NHWC.reshape(*logits_NHWC.shape[:3], 4, KERNEL**2))
        return reassemble(self.project(x_NCHW), weights_NHWPT, 2)


class Carafe(DoublingUpsampler):
    """Predicted 5x5 kernels, one an output pixel."""

    keeps_constants: ClassVar[bool] = True

    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        return CarafeStep(in_channels, out_channels)

    def initialise(self, generator: Generator | None = None) -> None:
        for module in self.modules():
            if isinstance(module, CarafeStep):
                module.initialise(generator)
