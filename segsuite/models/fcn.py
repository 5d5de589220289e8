"""Fully convolutional networks (Long, Shelhamer, Darrell 2015, arXiv 1411.4038) on any encoder.

Variants 32s, 16s and 8s are the paper's: 1x1 convolutions score the classes on the features of stride 32, 16 and 8;
the coarser scores are enlarged by 2 and added to the finer ones; one last step enlarges by 32, 16 or 8 to the image.
What follows the paper, and what does not:
  * The enlargements by 2 start as bilinear interpolation and are learned, the last one is fixed: "Final layer
    deconvolutional filters are fixed to bilinear interpolation, while intermediate upsampling layers are initialized
    to bilinear upsampling, and then learned" (section 4.3 there; the authors' released networks fix all of them).
    This is `upsampler: null`; any other upsampler is used in every seam, the last one too, unless last_upsampler
    says otherwise.
  * Score layers of the skips start at zero, "so that the net starts with unmodified predictions" (section 4.2). The
    paper starts the coarsest one at zero as well, and finds random values as good; here it is random, so that the
    encoder has a gradient from the first step on. The three variants are trained at once, not one from the other.
  * Scored are what the stages end in: of a VGG, whose stages end in a pooling, pool3 and pool4 as in the paper, which
    are the encoder's features of stride 4 and 8, pooled. With vgg16, head_channels 4096 and 21 classes FCN-8s has
    134,376,905 parameters: those of the paper's layers, and a bias a class in each of the two learned enlargements.
  * The convolutions fc6 (7x7) and fc7 (1x1) with ReLU and dropout 0.5 between encoder and coarsest score are the
    classifier of VGG. Backbones of today have no such layers, so they are left out unless head_channels gives their
    width (the paper's is 4096). The image is not padded by 100 pixels: their zero padding keeps the size.

Variant plain is the smallest network with several seams: the encoder cut at a stride (its later stages are neither
held nor computed), one step of upsampler, normalisation and activation a halving, then a 1x1 convolution to the
classes.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.encoders import build_encoder, pools_stages
from segsuite.encoders.cut import cut
from segsuite.encoders.library import Encoder
from segsuite.models.blocks import guide, guide_channels, initialise_by_name
from segsuite.models.encoder_normalisation import normalise_encoder
from segsuite.models.fcn_variants import SKIP_VARIANTS, check_variant, default_decoder_channels
from segsuite.models.layer_settings import GROUPS
from segsuite.models.layers import Layers
from segsuite.models.matching import match_widths
from segsuite.models.network import Seam, SegmentationNetwork, doubling_seams
from segsuite.upsamplers import UpsamplerSetting, build_upsampler
from segsuite.upsamplers.base import Upsampler

LEARNED_BILINEAR: UpsamplerSetting = {"name": "transposed_k2s", "init": "bilinear"}
FIXED_BILINEAR: UpsamplerSetting = "transposed_bilinear"


class SkipFCN(nn.Module):
    """FCN-32s, -16s or -8s: scores from the coarsest stride to `finest_stride`, then one step to the image.

    (N, 3, H, W) -> (N, num_classes, H, W); H and W multiples of the encoder's last stride.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        finest_stride: int,
        upsampler: UpsamplerSetting,
        last_upsampler: UpsamplerSetting,
        head_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.stride = encoder, encoder.strides[-1]
        self.pools_stages = pools_stages(encoder.name)
        channels = scored_channels(encoder)
        self.strides = [stride for stride in reversed(encoder.strides) if stride >= finest_stride]
        # draws are made by initialise_by_name below, and must not move the global generator
        with torch.random.fork_rng(devices=[]):
            self.head = classifier_head(channels[self.stride], head_channels) if head_channels else nn.Identity()
            widths = [head_channels or channels[self.stride], *(channels[stride] for stride in self.strides[1:])]
            self.scores = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for width in widths)
            self.upsamplers = nn.ModuleList(
                build_upsampler(upsampler, num_classes, num_classes, coarse // fine, guide_channels(encoder, fine))
                for coarse, fine in pairwise(self.strides)
            )
            self.last_upsampler = build_upsampler(
                last_upsampler, num_classes, num_classes, self.strides[-1], guide_channels(encoder, 1)
            )
        initialise_by_name(self, skip=encoder)
        for skip_score in self.scores[1:]:
            nn.init.zeros_(skip_score.weight)  # type: ignore[arg-type]  # a convolution

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.decode(self.encoder(x_NCHW), x_NCHW)

    def decode(self, features: Sequence[Tensor], image_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes, H, W) of the encoder's features, fine to coarse, and the image (N, 3, H, W) they
        come from."""
        y_NCHW = self.low_logits(features, image_NCHW)
        needed = self.last_upsampler.needs_guide
        guide_NCHW = guide(self.encoder, features, image_NCHW, 1) if needed else None
        logits_NCHW: Tensor = self.last_upsampler(y_NCHW, size=_size(image_NCHW), guide=guide_NCHW)
        return logits_NCHW

    def low_logits(self, features: Sequence[Tensor], image_NCHW: Tensor) -> Tensor:
        """Logits before the last step (see models/network.py)."""
        by_stride = dict(zip(self.encoder.strides, features, strict=True))
        y_NCHW: Tensor = self.scores[0](self.head(features[-1]))
        for score, upsampler, stride in zip(self.scores[1:], self.upsamplers, self.strides[1:], strict=True):
            ended = F.max_pool2d(by_stride[stride // 2], 2) if self.pools_stages else by_stride[stride]
            skip_NCHW: Tensor = score(ended)
            guide_NCHW = by_stride[stride] if upsampler.needs_guide else None
            y_NCHW = upsampler(y_NCHW, size=_size(skip_NCHW), guide=guide_NCHW) + skip_NCHW
        return y_NCHW

    def last_step(self) -> Upsampler:
        """What enlarges the low logits to the image."""
        return self.last_upsampler

    def seams(self) -> list[Seam]:
        """Between the scores, coarse to fine, then the last step."""
        names = [f"core.upsamplers.{i}" for i in range(len(self.upsamplers))] + ["core.last_upsampler"]
        classes = self.last_upsampler.out_channels
        steps = pairwise([*self.strides, 1])
        return [Seam(name, coarse, fine, classes, classes) for name, (coarse, fine) in zip(names, steps, strict=True)]


def scored_channels(encoder: Encoder) -> dict[int, int]:
    """Stride -> channels of what is scored there: the encoder's feature of that stride, or where its stages end in a
    pooling the one before, pooled."""
    behind = 2 if pools_stages(encoder.name) else 1
    return {behind * stride: channels for stride, channels in zip(encoder.strides, encoder.channels, strict=True)}


def classifier_head(in_channels: int, channels: int) -> nn.Sequential:
    """fc6 and fc7 of VGG as convolutions: (N, in_channels, H, W) -> (N, channels, H, W)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 7, padding=3),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
    )


class PlainStep(nn.Module):
    """(N, in_channels, H, W) -> (N, out_channels, 2H, 2W): upsampler, normalisation, activation, then attention and
    dropout where there are any."""

    def __init__(
        self,
        upsampler: UpsamplerSetting,
        in_channels: int,
        out_channels: int,
        guide_channels: int,
        layers: Layers,
    ) -> None:
        super().__init__()
        self.upsampler: Upsampler = build_upsampler(upsampler, in_channels, out_channels, 2, guide_channels)
        self.norm, self.activation = layers.norm(out_channels), layers.activate()
        self.attention, self.dropout = layers.attend(out_channels), layers.drop()

    def forward(self, x_NCHW: Tensor, size: tuple[int, int], guide_NCHW: Tensor | None) -> Tensor:
        enlarged_NCHW = self.activation(self.norm(self.upsampler(x_NCHW, size=size, guide=guide_NCHW)))
        y_NCHW: Tensor = self.dropout(self.attention(enlarged_NCHW))
        return y_NCHW


class PlainFCN(nn.Module):
    """Encoder, one PlainStep a halving of its last stride, a 1x1 convolution to the logits.

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
        self.encoder, self.stride = encoder, encoder.strides[-1]
        self.target_strides = [self.stride >> (i + 1) for i in range(self.stride.bit_length() - 1)]
        widths = pairwise([encoder.channels[-1], *decoder_channels])
        with torch.random.fork_rng(devices=[]):
            self.steps = nn.ModuleList(
                PlainStep(upsampler, wide, narrow, guide_channels(encoder, stride), layers)
                for (wide, narrow), stride in zip(widths, self.target_strides, strict=True)
            )
            self.head = nn.Conv2d(decoder_channels[-1], num_classes, 1)
        initialise_by_name(self, skip=encoder)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.decode(self.encoder(x_NCHW), x_NCHW)

    def decode(self, features: Sequence[Tensor], image_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes, H, W) of the encoder's features, fine to coarse, and the image (N, 3, H, W) they
        come from."""
        y_NCHW = features[-1]
        for step, stride in zip(self.steps, self.target_strides, strict=True):
            assert isinstance(step, PlainStep)
            # the encoder's own size of that stride: some backbones (Inception) round it otherwise than by halving
            finer_NCHW = guide(self.encoder, features, image_NCHW, stride)
            y_NCHW = step(y_NCHW, _size(finer_NCHW), finer_NCHW if step.upsampler.needs_guide else None)
        logits_NCHW: Tensor = self.head(y_NCHW)
        return logits_NCHW

    def seams(self) -> list[Seam]:
        """One seam a step, coarse to fine."""
        upsamplers = [step.upsampler for step in self.steps if isinstance(step, PlainStep)]
        return doubling_seams("core.steps", self.target_strides, upsamplers)


def build_fcn(
    name: str,
    num_classes: int,
    encoder: str = "resnet18",
    weights: str = "none",
    variant: str = "8s",
    upsampler: UpsamplerSetting | None = None,
    last_upsampler: UpsamplerSetting | None = None,
    head_channels: int | None = None,
    stride: int = 8,
    decoder_channels: Sequence[int] | None = None,
    match: str = "none",
    match_to: UpsamplerSetting = "bilinear_conv",
    encoder_normalisation: str = "own",
    normalisation: str = "batch",
    normalisation_groups: int = GROUPS,
    activation: str = "relu",
    attention: str = "none",
    dropout: float = 0.0,
) -> SegmentationNetwork:
    """FCN for images of any size; see the top of this file.

    upsampler: of every seam; None: the paper's (plain: bilinear_conv). last_upsampler: of the last seam of 16s and
    8s, where it is another. head_channels: width of fc6 and fc7, None without. stride, decoder_channels (coarse to
    fine, None: those of the U-Net), match and match_to (matching.py) belong to plain, and so do normalisation,
    activation, attention and dropout (see Layers). encoder_normalisation: own or frozen_batch.
    Raises ConfigError for settings that the variant has no use for.
    """
    check_variant(
        variant,
        last_upsampler,
        head_channels,
        stride,
        decoder_channels,
        match,
        {"normalisation": normalisation, "activation": activation, "attention": attention, "dropout": dropout},
    )
    layers = Layers(normalisation, normalisation_groups, activation, dropout, attention)
    built = build_encoder(encoder, weights)
    core: SkipFCN | PlainFCN
    matched = None
    built = normalise_encoder(cut(built, stride) if variant == "plain" else built, encoder_normalisation)
    if variant == "plain":
        widths, matched = match_widths(
            lambda encoder, upsampler, widths: PlainFCN(encoder, num_classes, upsampler, widths, layers),
            built,
            upsampler or "bilinear_conv",
            decoder_channels or default_decoder_channels(stride),
            match,
            match_to,
        )
        core = PlainFCN(built, num_classes, upsampler or "bilinear_conv", widths, layers)
    else:
        last = last_upsampler or upsampler or FIXED_BILINEAR
        core = SkipFCN(built, num_classes, SKIP_VARIANTS[variant], upsampler or LEARNED_BILINEAR, last, head_channels)
    network = SegmentationNetwork(core, num_classes, built, core.stride, core.stride, core.seams())
    network.matched = matched
    return network


def _size(x_NCHW: Tensor) -> tuple[int, int]:
    return x_NCHW.shape[-2], x_NCHW.shape[-1]
