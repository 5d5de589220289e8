"""Two forms of one operator each, timed by benchmarks/upsamplers.py: those of the suite, and some that did not win."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.upsamplers import build_upsampler

FUSION = "four levels: concat, then 1x1"


class _OneConv(nn.Module):
    """Has the parameters of a 3x3 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def kernels(self, per_axis: Tensor) -> Tensor:
        """(4 C_out, C_in, k, k): for each phase, the 3x3 kernel mixed by `per_axis` (phase, k, 3) on both axes."""
        weight_OIHW, k = self.conv.weight, per_axis.shape[1]
        mixed = torch.einsum("pik,oqkl,rjl->oprqij", per_axis, weight_OIHW, per_axis)
        return mixed.reshape(-1, weight_OIHW.shape[1], k, k)


class NearestByPhases(_OneConv):
    """nearest x2 and conv 3x3 as a 2x2 convolution for each of the four phases, then interleaved."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        (n, _, height, width), channels = x_NCHW.shape, self.conv.out_channels
        kernels = self.kernels(torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]]))
        z = F.conv2d(x_NCHW, kernels, padding=1).view(n, channels, 2, 2, height + 1, width + 1)
        phases = [z[:, :, a, b, a : a + height, b : b + width] for a in (0, 1) for b in (0, 1)]
        y = torch.stack(phases, -1).view(n, channels, height, width, 2, 2).transpose(3, 4)
        return y.reshape(n, channels, 2 * height, 2 * width) + self.conv.bias[:, None, None]


class BilinearByShuffle(_OneConv):
    """bilinear x2 and conv 3x3 as a 3x3 convolution to 4 C_out channels and a shuffle; the outermost pixels differ."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        low_rows = [[3.0, 1, 0], [1, 3, 3], [0, 0, 1]]
        high_rows = [[1.0, 0, 0], [3, 3, 1], [0, 1, 3]]
        kernels = self.kernels(torch.tensor([low_rows, high_rows]) / 4)
        low_NCHW = F.conv2d(F.pad(x_NCHW, (1, 1, 1, 1), mode="replicate"), kernels)
        return F.pixel_shuffle(low_NCHW, 2) + self.conv.bias[:, None, None]


class ConcatThenConv(nn.Module):
    """Four levels enlarged to the finest, joined, one 1x1 convolution (the head of SegFormer, arXiv 2105.15203)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * in_channels, out_channels, 1)

    def forward(self, *levels: Tensor) -> Tensor:
        return self.conv(torch.cat([levels[0], *(_enlarged(x_NCHW, levels[0]) for x_NCHW in levels[1:])], 1))


class ConvThenSum(ConcatThenConv):
    """The same, each level by its own part of the convolution before it is enlarged and added."""

    def forward(self, *levels: Tensor) -> Tensor:
        parts = self.conv.weight.split(levels[0].shape[1], dim=1)
        y_NCHW = F.conv2d(levels[0], parts[0], self.conv.bias)
        for x_NCHW, part in zip(levels[1:], parts[1:], strict=True):
            y_NCHW = y_NCHW + _enlarged(F.conv2d(x_NCHW, part), y_NCHW)
        return y_NCHW


def _enlarged(x_NCHW: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x_NCHW, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _upsampler(name: str, implementation: str = "auto") -> Callable[[int, int], nn.Module]:
    return partial(build_upsampler, {"name": name, "implementation": implementation})


# Name -> what makes its direct and its fast form, from in_channels and out_channels.
FORMS: dict[str, tuple[Callable[[int, int], nn.Module], Callable[[int, int], nn.Module]]] = {
    "nearest_conv": (_upsampler("nearest_conv", "direct"), _upsampler("nearest_conv", "polyphase")),
    "bilinear_conv1": (_upsampler("bilinear_conv1", "direct"), _upsampler("bilinear_conv1", "polyphase")),
    FUSION: (ConcatThenConv, ConvThenSum),
    "nearest_conv by 2x2 phases": (_upsampler("nearest_conv", "direct"), NearestByPhases),
    "bilinear_conv by shuffle": (_upsampler("bilinear_conv"), BilinearByShuffle),
}


def pair(name: str, in_channels: int, out_channels: int) -> dict[str, nn.Module]:
    """`direct` and `fast` with the same parameters."""
    torch.manual_seed(0)
    direct, fast = (make(in_channels, out_channels) for make in FORMS[name])
    with torch.no_grad():
        for target, source in zip(fast.parameters(), direct.parameters(), strict=True):
            target.copy_(source)
    return {"direct": direct, "fast": fast}
