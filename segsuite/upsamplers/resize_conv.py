"""Resize-convolutions: interpolate by 2, then convolve (Odena, Dumoulin, Olah 2016,
distill.pub/2016/deconv-checkerboard). Zero padding in the convolution; interpolation as in interpolate.py.

Two of them can be computed in two ways, by `implementation`: `direct` is the definition, `polyphase` computes
at low resolution and equals it up to rounding, borders included, and `auto` takes the one that measured faster
(benchmarks/upsamplers.py; figures in docs/results/speed.md). The parameters are those of the convolution and
the same for each, so one is loaded where another was saved.
"""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.upsamplers.base import DoublingUpsampler
from segsuite.upsamplers.interpolate import Interpolate


class _ResizeConv(DoublingUpsampler):
    mode: ClassVar[str]
    kernel: ClassVar[int] = 3
    keeps_constants = True

    def step(self, in_channels: int, out_channels: int) -> nn.Module:
        conv = nn.Conv2d(in_channels, out_channels, self.kernel, padding=self.kernel // 2)
        return nn.Sequential(Interpolate(self.mode), conv)


class BilinearConv(_ResizeConv):
    """Bilinear x2 (weights 3/4 and 1/4 per axis), then conv 3x3.

    9 C_in C_out parameters, 36 C_in C_out multiply-adds a low-resolution pixel. Its polyphase form, a 3x3
    convolution to 4 C_out channels and a shuffle, has as many, and on the outermost pixels it equals the
    definition only with an input padded by repetition; it measured 0.75 to 1.07 times as fast, faster only where
    C_out is a small part of C_in, and is not offered.
    """

    mode = "bilinear"
    deterministic = False


class BicubicConv(_ResizeConv):
    """Bicubic x2 (Keys 1981 with a = -3/4: 4x4 taps, some negative, so edges overshoot), then conv 3x3.

    9 C_in C_out parameters, 36 C_in C_out multiply-adds a low-resolution pixel.
    """

    mode = "bicubic"
    deterministic = False


class _ResizeConvOfTwoForms(_ResizeConv):
    """A resize-convolution that can also be computed at low resolution."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        factor: int = 2,
        init: str = "random",
        implementation: str = "auto",
    ) -> None:
        super().__init__(in_channels, out_channels, factor, init)
        self.implementation = implementation

    def enlarge(self, x_NCHW: Tensor, guide_NCHW: Tensor | None) -> Tensor:
        for step in self.steps:
            assert isinstance(step, nn.Sequential)
            conv = step[1]
            assert isinstance(conv, nn.Conv2d)
            if self.implementation == "polyphase" or (self.implementation == "auto" and self.faster(x_NCHW, conv)):
                x_NCHW = self.polyphase(x_NCHW, conv)
            else:
                x_NCHW = step(x_NCHW)
        return x_NCHW

    @abstractmethod
    def polyphase(self, x_NCHW: Tensor, conv: nn.Conv2d) -> Tensor:
        """One step, computed at low resolution."""

    @abstractmethod
    def faster(self, x_NCHW: Tensor, conv: nn.Conv2d) -> bool:
        """Whether `polyphase` measured faster. Asks nothing of height and width: an exported graph leaves them
        open."""


class NearestConv(_ResizeConvOfTwoForms):
    """Every pixel repeated 2x2, then conv 3x3; 9 C_in C_out parameters.

    direct: 36 C_in C_out multiply-adds a low-resolution pixel. polyphase: one transposed convolution k4 s2 p1
    with an expanded kernel, 16 C_in C_out, and the repeated input is neither computed nor kept for the backward.
    On a CPU polyphase is 1.4 to 3.0 times as fast, forward and backward, in fp32 and bf16 and both layouts, maps
    of 8x8 and less excepted; `auto` takes it there, and direct on other devices, where it has not been measured.

    On a constant input the four phases of direct are the same sums of the same numbers. Those of polyphase are
    equal up to rounding: the taps of the expanded kernel are rounded one by one, which leaves a phase imbalance of
    4e-6 in bf16 and 1e-14 in fp32. Where that matters, set `implementation: direct`.
    """

    mode = "nearest"

    def polyphase(self, x_NCHW: Tensor, conv: nn.Conv2d) -> Tensor:
        return F.conv_transpose2d(x_NCHW, expanded_kernel(conv.weight), conv.bias, stride=2, padding=1)

    def faster(self, x_NCHW: Tensor, conv: nn.Conv2d) -> bool:
        return x_NCHW.device.type == "cpu"


class BilinearConv1(_ResizeConvOfTwoForms):
    """Bilinear x2, then conv 1x1; C_in C_out parameters.

    direct: 4 C_in C_out multiply-adds a low-resolution pixel. polyphase: the convolution first, C_in C_out. They
    commute, bias too, because one acts on channels and the other on space with weights that sum to 1. polyphase is
    1.5 to 5.5 times as fast on a CPU when the convolution does not widen. When it widens 4 times, interpolating the
    wider features costs more than the convolution saves (0.6 times as fast, contiguous layout). `auto` takes
    polyphase unless the convolution widens, on every device, since it does less of the same.
    """

    mode = "bilinear"
    kernel = 1
    deterministic = False

    def polyphase(self, x_NCHW: Tensor, conv: nn.Conv2d) -> Tensor:
        return F.interpolate(conv(x_NCHW), scale_factor=2.0, mode="bilinear", align_corners=False)

    def faster(self, x_NCHW: Tensor, conv: nn.Conv2d) -> bool:
        return conv.out_channels <= conv.in_channels


def expanded_kernel(weight_OIHW: Tensor) -> Tensor:
    """Kernel (C_in, C_out, K + 1, K + 1) of the transposed convolution of stride 2 and padding (K - 1) / 2 that
    equals "every pixel repeated 2x2, then convolution (C_out, C_in, K, K) with zero padding (K - 1) / 2", K odd.

    Repeating is a transposed convolution with ones(2, 2), and the kernel of two in a row is the convolution of
    their kernels: the flipped weight (torch's convolution is a correlation) with ones(2, 2), each tap plus its
    neighbour. Summed in at least fp32 and rounded once, to the dtype of the weight (under autocast the
    transposed convolution rounds it).
    """
    exact = weight_OIHW.to(torch.promote_types(weight_OIHW.dtype, torch.float32)).flip(-1, -2).transpose(0, 1)
    rows = F.pad(exact, (0, 0, 0, 1)) + F.pad(exact, (0, 0, 1, 0))
    return (F.pad(rows, (0, 1)) + F.pad(rows, (1, 0))).to(weight_OIHW.dtype)
