"""U-Net (Ronneberger et al. 2015, arXiv 1505.04597) on any encoder, its upsampler a parameter."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsuite.encoders import build_encoder
from segsuite.encoders.library import Encoder
from segsuite.errors import ConfigError
from segsuite.models.blocks import ConvBnRelu, initialise_by_name
from segsuite.models.network import Seam, SegmentationNetwork
from segsuite.upsamplers import build_upsampler


class DecoderBlock(nn.Module):
    """Upsampler to twice the size and `out_channels`, the skip beside it, two conv-bn-relu.

    (N, in_channels, H, W) and a skip (N, skip_channels, 2H, 2W) or None -> (N, out_channels, 2H, 2W).
    """

    def __init__(self, upsampler: str, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsampler = build_upsampler(upsampler, in_channels, out_channels, factor=2)
        self.convs = nn.Sequential(
            ConvBnRelu(out_channels + skip_channels, out_channels), ConvBnRelu(out_channels, out_channels)
        )

    def forward(self, x_NCHW: Tensor, skip_NCHW: Tensor | None) -> Tensor:
        # the size of the skip: some backbones (Inception) round it otherwise than by halving
        size = None if skip_NCHW is None else (skip_NCHW.shape[-2], skip_NCHW.shape[-1])
        enlarged_NCHW = self.upsampler(x_NCHW, size=size, guide=skip_NCHW)
        if skip_NCHW is not None:
            enlarged_NCHW = torch.cat([enlarged_NCHW, skip_NCHW], dim=1)
        y_NCHW: Tensor = self.convs(enlarged_NCHW)
        return y_NCHW


class UNet(nn.Module):
    """Encoder, one decoder block a halving of the stride down to 1, a 3x3 convolution to the logits.

    (N, 3, H, W) -> (N, num_classes, H, W); H and W multiples of the encoder's last stride.
    """

    def __init__(self, encoder: Encoder, num_classes: int, upsampler: str, decoder_channels: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.stride = encoder.strides[-1]
        halvings = self.stride.bit_length() - 1
        if len(decoder_channels) != halvings:
            raise ConfigError(
                f"decoder_channels has {len(decoder_channels)} numbers, encoder '{encoder.name}' of stride "
                f"{self.stride} needs {halvings}",
                advice="give one width a doubling of the resolution, coarse to fine",
            )
        skip_channels = dict(zip(encoder.strides[:-1], encoder.channels[:-1], strict=True))
        self.skip_strides = [self.stride >> (i + 1) for i in range(halvings)]
        widths = [encoder.channels[-1], *decoder_channels]
        # the convolutions' own draws (overwritten below) must not move the global generator: dropout would
        # differ between arms
        with torch.random.fork_rng(devices=[]):
            self.blocks = nn.ModuleList(
                DecoderBlock(upsampler, widths[i], skip_channels.get(stride, 0), widths[i + 1])
                for i, stride in enumerate(self.skip_strides)
            )
            self.head = nn.Conv2d(widths[-1], num_classes, 3, padding=1)
        initialise_by_name(self, skip=encoder)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        features = self.encoder(x_NCHW)
        y_NCHW: Tensor = features[-1]
        skips = dict(zip(self.encoder.strides[:-1], features[:-1], strict=True))
        for block, stride in zip(self.blocks, self.skip_strides, strict=True):
            y_NCHW = block(y_NCHW, skips.get(stride))
        logits_NCHW: Tensor = self.head(y_NCHW)
        return logits_NCHW

    def seams(self) -> list[Seam]:
        """One seam a decoder block, coarse to fine."""
        upsamplers = [block.upsampler for block in self.blocks if isinstance(block, DecoderBlock)]
        return [
            Seam(f"core.blocks.{i}.upsampler", 2 * stride, stride, up.in_channels, up.out_channels)
            for i, (stride, up) in enumerate(zip(self.skip_strides, upsamplers, strict=True))
        ]


def build_unet(
    name: str,
    num_classes: int,
    encoder: str = "resnet18",
    weights: str = "none",
    upsampler: str = "bilinear_conv",
    decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
) -> SegmentationNetwork:
    """U-Net for images of any size. encoder, weights, upsampler: names of those families; decoder_channels:
    coarse to fine."""
    built = build_encoder(encoder, weights)
    core = UNet(built, num_classes, upsampler, decoder_channels)
    return SegmentationNetwork(core, num_classes, built, core.stride, core.stride, core.seams())
