"""U-Net (Ronneberger et al. 2015, arXiv 1505.04597) on any encoder, its upsampler a parameter."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsuite.encoders import build_encoder
from segsuite.encoders.library import Encoder
from segsuite.errors import ConfigError
from segsuite.models.blocks import guide, guide_channels, initialise_by_name
from segsuite.models.encoder_normalisation import normalise_encoder
from segsuite.models.layer_settings import GROUPS
from segsuite.models.layers import ConvNormAct, Layers
from segsuite.models.matching import match_widths
from segsuite.models.network import Seam, SegmentationNetwork, doubling_seams
from segsuite.upsamplers import UpsamplerSetting, build_upsampler


class DecoderBlock(nn.Module):
    """Upsampler to twice the size and `out_channels`, the skip beside it, two convolutions with normalisation and
    activation, then attention and dropout where there are any.

    (N, in_channels, H, W), a skip (N, skip_channels, 2H, 2W) or None, and, where the upsampler needs it, a guide
    (N, guide_channels, 2H, 2W) -> (N, out_channels, 2H, 2W).
    """

    def __init__(
        self,
        upsampler: UpsamplerSetting,
        in_channels: int,
        skip_channels: int,
        guide_channels: int,
        out_channels: int,
        layers: Layers,
    ) -> None:
        super().__init__()
        self.upsampler = build_upsampler(upsampler, in_channels, out_channels, 2, guide_channels)
        self.convs = nn.Sequential(
            ConvNormAct(out_channels + skip_channels, out_channels, layers=layers),
            ConvNormAct(out_channels, out_channels, layers=layers),
        )
        self.attention, self.dropout = layers.attend(out_channels), layers.drop()

    def forward(self, x_NCHW: Tensor, skip_NCHW: Tensor | None, guide_NCHW: Tensor | None = None) -> Tensor:
        # the size of the skip: some backbones (Inception) round it otherwise than by halving
        size = None if skip_NCHW is None else (skip_NCHW.shape[-2], skip_NCHW.shape[-1])
        enlarged_NCHW = self.upsampler(x_NCHW, size=size, guide=guide_NCHW)
        if skip_NCHW is not None:
            enlarged_NCHW = torch.cat([enlarged_NCHW, skip_NCHW], dim=1)
        y_NCHW: Tensor = self.dropout(self.attention(self.convs(enlarged_NCHW)))
        return y_NCHW


class UNet(nn.Module):
    """Encoder, one decoder block a halving of the stride down to 1, a 3x3 convolution to the logits.

    (N, 3, H, W) -> (N, num_classes, H, W); H and W multiples of the encoder's last stride.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        upsampler: UpsamplerSetting,
        decoder_channels: Sequence[int],
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        layers = layers or Layers()
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
                DecoderBlock(
                    upsampler,
                    widths[i],
                    skip_channels.get(stride, 0),
                    guide_channels(encoder, stride),
                    widths[i + 1],
                    layers,
                )
                for i, stride in enumerate(self.skip_strides)
            )
            self.head = nn.Conv2d(widths[-1], num_classes, 3, padding=1)
        initialise_by_name(self, skip=encoder)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.decode(self.encoder(x_NCHW), x_NCHW)

    def decode(self, features: Sequence[Tensor], image_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes, H, W) of the encoder's features, fine to coarse, and the image (N, 3, H, W) they
        come from."""
        y_NCHW = features[-1]
        skips = dict(zip(self.encoder.strides[:-1], features[:-1], strict=True))
        for block, stride in zip(self.blocks, self.skip_strides, strict=True):
            assert isinstance(block, DecoderBlock)
            needed = block.upsampler.needs_guide
            guide_NCHW = guide(self.encoder, features, image_NCHW, stride) if needed else None
            y_NCHW = block(y_NCHW, skips.get(stride), guide_NCHW)
        logits_NCHW: Tensor = self.head(y_NCHW)
        return logits_NCHW

    def seams(self) -> list[Seam]:
        """One seam a decoder block, coarse to fine."""
        upsamplers = [block.upsampler for block in self.blocks if isinstance(block, DecoderBlock)]
        return doubling_seams("core.blocks", self.skip_strides, upsamplers)


def build_unet(
    name: str,
    num_classes: int,
    encoder: str = "resnet18",
    weights: str = "none",
    upsampler: UpsamplerSetting = "bilinear_conv",
    decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    match: str = "none",
    match_to: UpsamplerSetting = "bilinear_conv",
    encoder_normalisation: str = "own",
    normalisation: str = "batch",
    normalisation_groups: int = GROUPS,
    activation: str = "relu",
    attention: str = "none",
    dropout: float = 0.0,
) -> SegmentationNetwork:
    """U-Net for images of any size.

    encoder, weights: names of that family; upsampler, match_to: a name or a mapping (see segsuite.upsamplers);
    decoder_channels: coarse to fine; match: none, parameters or multiply_adds (see matching.py);
    encoder_normalisation: own or frozen_batch; the others: see Layers. Raises ConfigError.
    """
    layers = Layers(normalisation, normalisation_groups, activation, dropout, attention)
    built = normalise_encoder(build_encoder(encoder, weights), encoder_normalisation)
    widths, matched = match_widths(
        lambda encoder, upsampler, widths: UNet(encoder, num_classes, upsampler, widths, layers),
        built,
        upsampler,
        decoder_channels,
        match,
        match_to,
    )
    core = UNet(built, num_classes, upsampler, widths, layers)
    network = SegmentationNetwork(core, num_classes, built, core.stride, core.stride, core.seams())
    network.matched = matched
    return network
