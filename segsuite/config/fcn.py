"""Settings of the fully convolutional networks."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segsuite.config.decoder import OwnNetwork
from segsuite.config.upsampler import Match, Upsampler, check_match
from segsuite.encoders import check_features, pools_stages
from segsuite.errors import ConfigError
from segsuite.models.fcn_variants import LAYERS, check_variant


class FcnModel(OwnNetwork):
    """Fully convolutional network (Long et al. 2015): class scores on the encoder's features, enlarged."""

    name: Literal["fcn"]
    """Which network."""
    variant: Literal["32s", "16s", "8s", "plain"] = "8s"
    """32s, 16s, 8s: the paper's, with scores of strides 32, 32 and 16, or 32, 16 and 8; plain: the encoder, cut at a
    stride, then one upsampler with normalisation and activation a halving; only plain takes normalisation, activation,
    attention and dropout."""
    upsampler: Upsampler | None = None
    """Operator in every seam. None: in plain bilinear_conv, else the paper's: bilinear at the start, and learned but
    for the last step."""
    last_upsampler: Upsampler | None = None
    """Operator of the last step of 16s and 8s, by 16 or 8 to the image; None: the same as in the other seams."""
    head_channels: int | None = Field(None, ge=1)
    """Width of two convolutions with dropout before the coarsest scores, at least 1 (VGG's fc6 and fc7: 4096); None:
    without them. Not in plain."""
    stride: Literal[8, 16, 32] = 8
    """Stride of the features that plain starts from, in pixels; the encoder's later stages are left out."""
    decoder_channels: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(None, min_length=3, max_length=5)
    """Output channels of the steps of plain, coarse to fine, one a halving of its stride; None: those of the U-Net at
    the same strides, (64, 32, 16) at stride 8."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability with which a channel of a block's output is zero in training, 0 to below 1."""
    match: Match = "none"
    """Scales the widths of plain by one factor until the network has as many parameters, or multiply-adds, as with the
    upsampler `match_to`; what was achieved is in the result."""
    match_to: Upsampler = "bilinear_conv"
    """Upsampler whose network is the measure of `match`."""

    def revision(self) -> dict[str, str]:
        """Once, 16s and 8s scored the features of a VGG that its poolings get instead of those that they give."""
        revised = self.variant in ("16s", "8s") and pools_stages(self.encoder)
        return {"scored": "pooled"} if revised else {}

    @model_validator(mode="after")
    def _compatible(self) -> "FcnModel":
        last = self.last_upsampler
        try:
            check_features(self.encoder, self.stride if self.variant == "plain" else 32)
            check_variant(
                self.variant,
                last if last is None or isinstance(last, str) else last.model_dump(),
                self.head_channels,
                self.stride,
                self.decoder_channels,
                self.match,
                {name: getattr(self, name) for name in LAYERS},
            )
        except ConfigError as error:
            raise ValueError(f"{error.what}: {error.advice}") from None
        check_match(self.match, self.match_to)
        return self
