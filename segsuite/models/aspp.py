"""Atrous spatial pyramid pooling (Chen et al. 2017, arXiv 1706.05587, section 3.3), and the FCN head beside it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsuite.errors import ConfigError
from segsuite.models.layers import ConvNormAct, Layers

# of output stride 16; the paper doubles them at 8
RATES_AT_16 = (6, 12, 18)


def rates_at(output_stride: int) -> tuple[int, ...]:
    """The paper's rates: the same field of view in pixels of the image at every output stride.

    >>> rates_at(16), rates_at(8), rates_at(32)
    ((6, 12, 18), (12, 24, 36), (3, 6, 9))
    """
    return tuple(rate * 16 // output_stride for rate in RATES_AT_16)


class ImagePooling(nn.Module):
    """(N, in_channels, H, W) -> (N, out_channels, H, W): mean over the image, 1x1 convolution, normalisation,
    activation, the same at every pixel (which is what bilinear enlargement of one pixel gives)."""

    def __init__(self, in_channels: int, out_channels: int, layers: Layers | None = None) -> None:
        super().__init__()
        layers = layers or Layers()
        norm = layers.pooled_norm(out_channels)
        conv = nn.Conv2d(in_channels, out_channels, 1, bias=isinstance(norm, nn.Identity))
        self.project = nn.Sequential(conv, norm, layers.activate())

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NC11: Tensor = self.project(x_NCHW.mean((2, 3), keepdim=True))
        return y_NC11.expand(-1, -1, *x_NCHW.shape[-2:])


class ASPP(nn.Module):
    """(N, in_channels, H, W) -> (N, channels, H, W), any H and W: a 1x1 convolution, a 3x3 one a rate and the pooled
    image side by side, each to `channels`; then 1x1 convolution, normalisation, activation and dropout.

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
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        layers = layers or Layers()
        if not rates or min(rates) < 1:
            raise ConfigError(
                f"ASPP rates {list(rates)} are not one or more numbers of at least 1",
                "model.rates",
                "leave rates out for the paper's",
            )
        self.channels = channels
        self.point = ConvNormAct(in_channels, channels, 1, layers=layers)
        self.atrous = nn.ModuleList(ConvNormAct(in_channels, channels, 3, rate, separable, layers) for rate in rates)
        self.pooling = ImagePooling(in_channels, channels, layers) if image_pooling else None
        branches = 1 + len(self.atrous) + image_pooling
        self.project = nn.Sequential(ConvNormAct(branches * channels, channels, 1, layers=layers), nn.Dropout(dropout))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        branches = [self.point(x_NCHW), *(branch(x_NCHW) for branch in self.atrous)]
        if self.pooling is not None:
            branches.append(self.pooling(x_NCHW))
        y_NCHW: Tensor = self.project(torch.cat(branches, dim=1))
        return y_NCHW


class FCNHead(nn.Sequential):
    """(N, in_channels, H, W) -> logits (N, num_classes, H, W): 3x3 convolution to a quarter of the channels,
    normalisation, activation, dropout 0.1, 1x1 convolution; torchvision's auxiliary head."""

    def __init__(self, in_channels: int, num_classes: int, layers: Layers | None = None) -> None:
        width = max(1, in_channels // 4)
        super().__init__(
            ConvNormAct(in_channels, width, layers=layers), nn.Dropout(0.1), nn.Conv2d(width, num_classes, 1)
        )
