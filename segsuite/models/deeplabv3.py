"""DeepLabV3 (Chen et al. 2017, arXiv 1706.05587) and DeepLabV3+ (Chen et al. 2018, arXiv 1802.02611) on any encoder.

DeepLabV3 is torchvision's network: encoder at `output_stride`, ASPP, a 3x3 convolution (which the paper does not
have), 1x1 convolution to the classes, one enlargement to the image. DeepLabV3+ enlarges the ASPP's features to stride
4, joins them with the encoder's feature there (1x1 convolution to 48 channels), applies two 3x3 convolutions and
enlarges by 4. Every enlargement is `upsampler`.

Parameters and their names do not depend on the output stride: weights trained at 16 are evaluated at 8 by building
the network with 8 and loading them; the rates double with `rates: null`, as in the paper (section 4.1). The setting
evaluation.output_stride does that (output_stride.py).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.encoders import build_encoder
from segsuite.encoders.library import Encoder
from segsuite.models.aspp import ASPP, FCNHead, rates_at
from segsuite.models.blocks import guide, guide_channels, initialise_by_name
from segsuite.models.encoder_normalisation import normalise_encoder
from segsuite.models.hybrid_dilation import dilate_stages
from segsuite.models.hybrid_rates import check_hybrid_rates
from segsuite.models.layer_settings import GROUPS
from segsuite.models.layers import ConvNormAct, Layers
from segsuite.models.network import Seam, SegmentationNetwork
from segsuite.upsamplers import UpsamplerSetting, build_upsampler
from segsuite.upsamplers.base import Upsampler

LOW_STRIDE = 4


class DeepLab(nn.Module, ABC):
    """Encoder, ASPP, and an auxiliary head on the feature before the last one; subclasses make logits of them.

    (N, 3, H, W) -> (N, num_classes, H, W); H and W multiples of the encoder's last stride. In training with an
    auxiliary head (auxiliary_weight above 0), `auxiliary_logits` (N, num_classes, H, W) are those of the last
    forward, enlarged bilinearly.
    """

    def __init__(self, encoder: Encoder, num_classes: int, aspp: ASPP, auxiliary_weight: float, layers: Layers) -> None:
        super().__init__()
        self.encoder, self.aspp, self.stride = encoder, aspp, encoder.strides[-1]
        self.auxiliary = FCNHead(encoder.channels[-2], num_classes, layers) if auxiliary_weight else None
        self.attention, self.head_attention = layers.attend(aspp.channels), layers.attend(aspp.channels)
        self.auxiliary_weight = auxiliary_weight
        self.auxiliary_logits: Tensor | None = None

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits of normalised images."""
        return self.decode(self.encoder(x_NCHW), x_NCHW)

    def decode(self, features: Sequence[Tensor], image_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes, H, W) of the encoder's features, fine to coarse, and the normalised image."""
        low_NChw = self.low_logits(features, image_NCHW)
        if self.auxiliary_logits is not None:
            self.auxiliary_logits = F.interpolate(
                self.auxiliary_logits, image_NCHW.shape[-2:], mode="bilinear", align_corners=False
            )
        return enlarge(self.last_step(), low_NChw, guide(self.encoder, features, image_NCHW, 1))

    def low_logits(self, features: Sequence[Tensor], image_NCHW: Tensor) -> Tensor:
        """Logits before the last step (see models/network.py); the auxiliary ones are low then too."""
        self.auxiliary_logits = None
        if self.training and self.auxiliary is not None:
            self.auxiliary_logits = self.auxiliary(features[-2])
        return self.logits(self.attention(self.aspp(features[-1])), features)

    @abstractmethod
    def logits(self, context_NCHW: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Logits before the last step; context: what the ASPP gives."""

    @abstractmethod
    def last_step(self) -> Upsampler:
        """What enlarges them to the image."""

    @abstractmethod
    def seams(self) -> list[Seam]:
        """The enlargements, coarse to fine."""


class DeepLabV3(DeepLab):
    """3x3 convolution, classifier, one enlargement to the image."""

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        aspp: ASPP,
        upsampler: UpsamplerSetting,
        separable: bool = False,
        auxiliary_weight: float = 0.0,
        layers: Layers | None = None,
    ) -> None:
        layers = layers or Layers()
        super().__init__(encoder, num_classes, aspp, auxiliary_weight, layers)
        self.head = ConvNormAct(aspp.channels, aspp.channels, separable=separable, layers=layers)
        self.classifier = nn.Conv2d(aspp.channels, num_classes, 1)
        self.upsampler = build_upsampler(upsampler, num_classes, num_classes, self.stride, guide_channels(encoder, 1))

    def logits(self, context_NCHW: Tensor, features: Sequence[Tensor]) -> Tensor:
        coarse_NCHW: Tensor = self.classifier(self.head_attention(self.head(context_NCHW)))
        return coarse_NCHW

    def last_step(self) -> Upsampler:
        return self.upsampler

    def seams(self) -> list[Seam]:
        classes = self.classifier.out_channels
        return [Seam("core.upsampler", self.stride, 1, classes, classes)]


class DeepLabV3Plus(DeepLab):
    """Enlargement to stride 4, the encoder's feature there beside it, two 3x3 convolutions, classifier, enlargement
    by 4."""

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        aspp: ASPP,
        upsampler: UpsamplerSetting,
        separable: bool = True,
        auxiliary_weight: float = 0.0,
        low_level_channels: int = 48,
        layers: Layers | None = None,
    ) -> None:
        layers = layers or Layers()
        super().__init__(encoder, num_classes, aspp, auxiliary_weight, layers)
        width, factor = aspp.channels, self.stride // LOW_STRIDE
        self._low = encoder.strides.index(LOW_STRIDE)
        self.low_level = ConvNormAct(encoder.channels[self._low], low_level_channels, 1, layers=layers)
        self.upsampler = build_upsampler(upsampler, width, width, factor, encoder.channels[self._low])
        self.head = nn.Sequential(
            ConvNormAct(width + low_level_channels, width, separable=separable, layers=layers),
            ConvNormAct(width, width, separable=separable, layers=layers),
        )
        self.classifier = nn.Conv2d(width, num_classes, 1)
        self.last_upsampler = build_upsampler(
            upsampler, num_classes, num_classes, LOW_STRIDE, guide_channels(encoder, 1)
        )

    def logits(self, context_NCHW: Tensor, features: Sequence[Tensor]) -> Tensor:
        low_NCHW = features[self._low]
        enlarged_NCHW = enlarge(self.upsampler, context_NCHW, low_NCHW)
        joined_NCHW = torch.cat([enlarged_NCHW, self.low_level(low_NCHW)], dim=1)
        fine_NCHW: Tensor = self.classifier(self.head_attention(self.head(joined_NCHW)))
        return fine_NCHW

    def last_step(self) -> Upsampler:
        return self.last_upsampler

    def seams(self) -> list[Seam]:
        width, classes = self.aspp.channels, self.classifier.out_channels
        return [
            Seam("core.upsampler", self.stride, LOW_STRIDE, width, width),
            Seam("core.last_upsampler", LOW_STRIDE, 1, classes, classes),
        ]


def enlarge(upsampler: Upsampler, x_NCHW: Tensor, guide_NCHW: Tensor) -> Tensor:
    """`x` at the size of its guide."""
    y_NCHW: Tensor = upsampler(x_NCHW, (guide_NCHW.shape[-2], guide_NCHW.shape[-1]), guide_NCHW)
    return y_NCHW


def build_deeplabv3(
    name: str,
    num_classes: int,
    encoder: str = "resnet18",
    weights: str = "none",
    output_stride: int = 16,
    rates: Sequence[int] | None = None,
    multi_grid: Sequence[int] | None = None,
    hybrid_rates: Sequence[Sequence[int]] | None = None,
    aspp_channels: int = 256,
    image_pooling: bool = True,
    separable: bool = False,
    dropout: float = 0.5,
    upsampler: UpsamplerSetting = "bilinear",
    auxiliary_weight: float = 0.0,
    encoder_normalisation: str = "own",
    normalisation: str = "batch",
    normalisation_groups: int = GROUPS,
    activation: str = "relu",
    attention: str = "none",
) -> SegmentationNetwork:
    """DeepLabV3 for images of any size.

    output_stride: of the encoder, 8, 16 or 32; rates: of the ASPP, None: the paper's at this stride; multi_grid: unit
    rates of a ResNet's last blocks; hybrid_rates: the rates themselves of the blocks of its last stages (see
    hybrid_dilation.py); separable: depthwise-separable 3x3 convolutions; dropout: probability after the ASPP;
    auxiliary_weight: of the auxiliary head's loss, 0: no head; encoder_normalisation: own or frozen_batch;
    normalisation, activation and attention: see Layers. Raises ConfigError.
    """
    layers = Layers(normalisation, normalisation_groups, activation, attention=attention)
    built = _encoder(encoder, weights, output_stride, multi_grid, hybrid_rates, encoder_normalisation)
    # draws are made by initialise_by_name below, and must not move the global generator
    with torch.random.fork_rng(devices=[]):
        aspp = _aspp(built, aspp_channels, rates, image_pooling, separable, dropout, layers)
        core = DeepLabV3(built, num_classes, aspp, upsampler, separable, auxiliary_weight, layers)
    return _network(core, built, num_classes)


def build_deeplabv3plus(
    name: str,
    num_classes: int,
    encoder: str = "resnet18",
    weights: str = "none",
    output_stride: int = 16,
    rates: Sequence[int] | None = None,
    multi_grid: Sequence[int] | None = None,
    hybrid_rates: Sequence[Sequence[int]] | None = None,
    aspp_channels: int = 256,
    low_level_channels: int = 48,
    image_pooling: bool = True,
    separable: bool = True,
    dropout: float = 0.1,
    upsampler: UpsamplerSetting = "bilinear",
    auxiliary_weight: float = 0.0,
    encoder_normalisation: str = "own",
    normalisation: str = "batch",
    normalisation_groups: int = GROUPS,
    activation: str = "relu",
    attention: str = "none",
) -> SegmentationNetwork:
    """DeepLabV3+ for images of any size; settings as of build_deeplabv3. low_level_channels: width of the encoder's
    feature of stride 4 in the decoder. Raises ConfigError."""
    layers = Layers(normalisation, normalisation_groups, activation, attention=attention)
    built = _encoder(encoder, weights, output_stride, multi_grid, hybrid_rates, encoder_normalisation)
    with torch.random.fork_rng(devices=[]):
        aspp = _aspp(built, aspp_channels, rates, image_pooling, separable, dropout, layers)
        core = DeepLabV3Plus(
            built, num_classes, aspp, upsampler, separable, auxiliary_weight, low_level_channels, layers
        )
    return _network(core, built, num_classes)


def _encoder(
    name: str,
    weights: str,
    output_stride: int,
    multi_grid: Sequence[int] | None,
    hybrid_rates: Sequence[Sequence[int]] | None,
    normalisation: str,
) -> Encoder:
    check_hybrid_rates(name, hybrid_rates, multi_grid)
    built = build_encoder(name, weights, output_stride, multi_grid)
    dilate_stages(built.body, hybrid_rates or ())
    return normalise_encoder(built, normalisation)


def _aspp(
    encoder: Encoder,
    channels: int,
    rates: Sequence[int] | None,
    image_pooling: bool,
    separable: bool,
    dropout: float,
    layers: Layers,
) -> ASPP:
    rates = rates or rates_at(encoder.strides[-1])
    return ASPP(encoder.channels[-1], channels, rates, image_pooling, separable, dropout, layers)


def _network(core: DeepLab, encoder: Encoder, num_classes: int) -> SegmentationNetwork:
    initialise_by_name(core, skip=encoder)
    # two pixels a side at least: batch norm in training on a batch of one
    return SegmentationNetwork(core, num_classes, encoder, core.stride, 2 * core.stride, core.seams())
