"""Settings of networks."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from segsuite.config.base import PATH, Settings
from segsuite.config.decoder import OwnNetwork
from segsuite.config.deeplabv3 import DeepLabV3Model, DeepLabV3PlusModel
from segsuite.config.encoder import EncoderName
from segsuite.config.fcn import FcnModel
from segsuite.config.upsampler import Match, Upsampler, check_match
from segsuite.models import MODELS

SMP_MODELS = sorted(name for name in MODELS if name.startswith("smp/"))
PlainValue = str | int | float | bool | None | tuple[Any, ...]


class UNetModel(OwnNetwork):
    """U-Net: an encoder, and a decoder that enlarges by 2 and joins the encoder's features five times."""

    name: Literal["unet"]
    """Which network."""
    upsampler: Upsampler = "bilinear_conv"
    """Operator that enlarges features in each seam of the decoder."""
    decoder_channels: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (256, 128, 64, 32, 16), min_length=1, max_length=5
    )
    """Output channels of the decoder's blocks, coarse to fine; each block enlarges by 2."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability with which a channel of a block's output is zero in training, 0 to below 1."""
    match: Match = "none"
    """Scales decoder_channels by one factor until the network has as many parameters, or multiply-adds, as with the
    upsampler `match_to`; what was achieved is in the result."""
    match_to: Upsampler = "bilinear_conv"
    """Upsampler whose network is the measure of `match`."""

    @model_validator(mode="after")
    def _compatible(self) -> "UNetModel":
        check_match(self.match, self.match_to)
        return self


class SmpModel(Settings):
    """Any architecture of segmentation-models-pytorch, as it is: `smp/Unet`, `smp/DeepLabV3Plus`, ..."""

    name: Annotated[str, Field(pattern=r"^smp/[A-Za-z0-9]+$", json_schema_extra={"enum": SMP_MODELS})]
    """smp/ and the architecture's name."""
    encoder: EncoderName = "resnet18"
    """Backbone: a name of segmentation-models-pytorch, or `tu-` and a name of timm."""
    weights: str = Field("none", json_schema_extra=PATH)
    """Encoder weights: `none` (random), `imagenet` (a local copy, else a download), or a .safetensors or .pth file;
    `@` and the first 8 to 64 digits of its SHA-256 behind it refuse any other file."""
    options: dict[str, PlainValue] = Field(default_factory=dict)
    """Further arguments of the architecture's constructor, e.g. {decoder_interpolation: bilinear}."""


def _network(value: Any) -> str | None:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    if not isinstance(name, str):
        return None
    if not name.startswith("smp/"):
        return name
    return "smp" if name in SMP_MODELS else name


Model = Annotated[
    Annotated[DeepLabV3Model, Tag("deeplabv3")]
    | Annotated[DeepLabV3PlusModel, Tag("deeplabv3plus")]
    | Annotated[FcnModel, Tag("fcn")]
    | Annotated[UNetModel, Tag("unet")]
    | Annotated[SmpModel, Tag("smp")],
    Discriminator(_network),
]
