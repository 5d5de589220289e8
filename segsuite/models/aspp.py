"""Atrous spatial pyramid pooling (Chen et al. 2017, arXiv 1706.05587, section 3.3), and the FCN head beside it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsuite.errors import ConfigError

# of output stride 16; the paper doubles them at 8
RATES_AT_16 = (6, 12, 18)


def rates_at(output_stride: int) -> tuple[int, ...]:
    """The paper's rates: the same field of view in pixels of the image at every output stride.

    >>> rates_at(16), rates_at(8), rates_at(32)
    ((6, 12, 18), (12, 24, 36), (3, 6, 9))
    """
    return tuple(rate * 16 // output_stride for rate in RATES_AT_16)


class ConvBnRelu(nn.Sequential):
    """(N, in_channels, H, W) -> (N, out_channels, H, W): convolution `kernel` x `kernel` without bias at `rate`, batch
    norm, ReLU.

    separable: a depthwise and a pointwise convolution with batch norm and ReLU after each, as in DeepLabV3+ (Chen et
    al. 2018, arXiv 1802.02611, section 3.2).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 3, rate: int = 1, separable: bool = False
    ) -> None:
        padding, pointwise = rate * (kernel // 2), separable and kernel > 1
        depthwise = nn.Conv2d(
            in_channels, in_channels, kernel, padding=padding, dilation=rate, groups=in_channels, bias=False
        )
        first = [depthwise, nn.BatchNorm2d(in_channels), nn.ReLU()] if pointwise else []
        last = (
            nn.Conv2d(in_channels, out_channels, 1, bias=False)
            if pointwise
            else nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=rate, bias=False)
        )
        super().__init__(*first, last, nn.BatchNorm2d(out_channels), nn.ReLU())


class PooledBatchNorm(nn.BatchNorm2d):
    """Batch norm of features that are pooled to one pixel, which also trains on a batch of one image.

    A batch of one has one value a channel, whose variance is undefined: PyTorch refuses it (pytorch/vision #1667).
    Here it is normalised with the running statistics, as in evaluation, and leaves them as they are. Larger batches
    and evaluation are nn.BatchNorm2d's own.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, 1, 1), normalised a channel."""
        if self.training and input.numel() == input.shape[1]:
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(input)


class ImagePooling(nn.Module):
    """(N, in_channels, H, W) -> (N, out_channels, H, W): mean over the image, 1x1 convolution, batch norm, ReLU, the
    same at every pixel (which is what bilinear enlargement of one pixel gives)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), PooledBatchNorm(out_channels), nn.ReLU()
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NC11: Tensor = self.project(x_NCHW.mean((2, 3), keepdim=True))
        return y_NC11.expand(-1, -1, *x_NCHW.shape[-2:])


class ASPP(nn.Module):
    """(N, in_channels, H, W) -> (N, channels, H, W), any H and W: a 1x1 convolution, a 3x3 one a rate and the pooled
    image side by side, each to `channels`; then 1x1 convolution, batch norm, ReLU and dropout.

    rates: one or more, at least 1; separable: of the 3x3 convolutions; image_pooling: with that branch or without.
    Raises ConfigError for other rates.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        rates: Sequence[int] = RATES_AT_16,
        image_pooling: bool = True,
        separable: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if not rates or min(rates) < 1:
            raise ConfigError(
                f"ASPP rates {list(rates)} are not one or more numbers of at least 1",
                "model.rates",
                "leave rates out for the paper's",
            )
        self.channels = channels
        self.point = ConvBnRelu(in_channels, channels, 1)
        self.atrous = nn.ModuleList(ConvBnRelu(in_channels, channels, 3, rate, separable) for rate in rates)
        self.pooling = ImagePooling(in_channels, channels) if image_pooling else None
        branches = 1 + len(self.atrous) + image_pooling
        self.project = nn.Sequential(ConvBnRelu(branches * channels, channels, 1), nn.Dropout(dropout))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        branches = [self.point(x_NCHW), *(branch(x_NCHW) for branch in self.atrous)]
        if self.pooling is not None:
            branches.append(self.pooling(x_NCHW))
        y_NCHW: Tensor = self.project(torch.cat(branches, dim=1))
        return y_NCHW


class FCNHead(nn.Sequential):
    """(N, in_channels, H, W) -> logits (N, num_classes, H, W): 3x3 convolution to a quarter of the channels, batch
    norm, ReLU, dropout 0.1, 1x1 convolution; torchvision's auxiliary head."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        width = max(1, in_channels // 4)
        super().__init__(ConvBnRelu(in_channels, width), nn.Dropout(0.1), nn.Conv2d(width, num_classes, 1))
