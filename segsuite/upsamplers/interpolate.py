"""Interpolation, and bilinear interpolation as an upsampler of its own.

Half-pixel grid (align_corners=False) everywhere, as in torchvision and mmseg: output pixel o of factor s lies
at (o + 1/2) / s - 1/2 of the input, and neighbours outside are the edge pixel. The interpolation weights of an
output pixel sum to 1, so constants are kept.

CUDA's backward of bilinear and bicubic interpolation adds with atomics: two runs of one seed differ (mmseg
#255; torch.use_deterministic_algorithms lists `interpolate` with linear, bilinear, bicubic and trilinear, not
with nearest). Under torch.use_deterministic_algorithms(True) torch 2.15 computes both by a slower, repeatable
decomposition.
"""

from torch import Generator, Tensor, nn
from torch.nn import functional as F

from segsuite.errors import ConfigError
from segsuite.upsamplers.base import Upsampler, keep_second_moment_


class Interpolate(nn.Module):
    """(N, C, H, W) to (N, C, H * factor, W * factor) by `mode`: nearest, bilinear or bicubic; no parameters."""

    def __init__(self, mode: str, factor: int = 2) -> None:
        super().__init__()
        self.mode, self.factor = mode, factor

    def forward(self, x_NCHW: Tensor) -> Tensor:
        align = None if self.mode == "nearest" else False
        return F.interpolate(x_NCHW, scale_factor=float(self.factor), mode=self.mode, align_corners=align)

    def extra_repr(self) -> str:
        return f"{self.mode}, factor={self.factor}"


class Bilinear(Upsampler):
    """Bilinear interpolation by any integer factor >= 2 in one step.

    No parameters when in_channels == out_channels. Only when they differ, a 1x1 convolution (with bias) before
    the interpolation brings the features to out_channels: C_in C_out + C_out parameters, although `learned` is
    False. Raises ConfigError for a factor below 2.
    """

    learned = False
    deterministic = False
    keeps_constants = True

    def __init__(self, in_channels: int, out_channels: int, factor: int = 2, init: str = "random") -> None:
        super().__init__(in_channels, out_channels, factor, init)
        if factor < 2:
            raise ConfigError(
                f"{type(self).__name__} enlarges by 2, 3, 4, ..., not by {factor}",
                advice="choose a whole factor of at least 2",
            )
        self.project = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
        self.interpolate = Interpolate("bilinear", factor)
        self.initialise()

    def enlarge(self, x_NCHW: Tensor, guide_NCHW: Tensor | None) -> Tensor:
        y_NCHW: Tensor = self.interpolate(self.project(x_NCHW))
        return y_NCHW

    def initialise(self, generator: Generator | None = None) -> None:
        if isinstance(self.project, nn.Conv2d):
            keep_second_moment_(self.project, generator)
