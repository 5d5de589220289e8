"""Settings of networks and losses."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from segsuite.config.base import PATH, Settings
from segsuite.encoders import check_encoder_name
from segsuite.errors import ConfigError, unknown_name
from segsuite.models import MODELS
from segsuite.upsamplers import UPSAMPLERS

SMP_MODELS = sorted(name for name in MODELS if name.startswith("smp/"))
PlainValue = str | int | float | bool | None | tuple[Any, ...]


def _encoder(name: str) -> str:
    try:
        check_encoder_name(name)
    except ConfigError as error:
        raise PydanticCustomError("unknown_name", "{what}", {"what": error.what}) from error
    return name


def _upsampler(name: str) -> str:
    if name not in UPSAMPLERS:
        raise PydanticCustomError("unknown_name", "{what}", {"what": unknown_name("upsampler", name, UPSAMPLERS)})
    return name


EncoderName = Annotated[str, AfterValidator(_encoder)]
UpsamplerName = Annotated[str, AfterValidator(_upsampler), Field(json_schema_extra={"enum": sorted(UPSAMPLERS)})]


class UNetModel(Settings):
    """U-Net: an encoder, and a decoder that enlarges by 2 and joins the encoder's features five times."""

    name: Literal["unet"]
    """Which network."""
    encoder: EncoderName = "resnet18"
    """Backbone: a name of segmentation-models-pytorch, or `tu-` and a name of timm."""
    weights: str = Field("none", json_schema_extra=PATH)
    """Encoder weights: `none` (random), `imagenet` (a local copy, else a download), or a .safetensors or .pth file."""
    upsampler: UpsamplerName = "bilinear_conv"
    """Operator that enlarges features in each seam of the decoder."""
    decoder_channels: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (256, 128, 64, 32, 16), min_length=1, max_length=5
    )
    """Output channels of the decoder's blocks, coarse to fine; each block enlarges by 2."""


class SmpModel(Settings):
    """Any architecture of segmentation-models-pytorch, as it is: `smp/Unet`, `smp/DeepLabV3Plus`, ..."""

    name: Annotated[str, Field(pattern=r"^smp/[A-Za-z]+$", json_schema_extra={"enum": SMP_MODELS})]
    """smp/ and the architecture's name."""
    encoder: EncoderName = "resnet18"
    """Backbone: a name of segmentation-models-pytorch, or `tu-` and a name of timm."""
    weights: str = Field("none", json_schema_extra=PATH)
    """Encoder weights: `none` (random), `imagenet` (a local copy, else a download), or a .safetensors or .pth file."""
    options: dict[str, PlainValue] = Field(default_factory=dict)
    """Further arguments of the architecture's constructor, e.g. {decoder_interpolation: bilinear}."""


def _network(value: Any) -> str | None:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    if not isinstance(name, str):
        return None
    if not name.startswith("smp/"):
        return name
    return "smp" if name in SMP_MODELS else name


Model = Annotated[Annotated[UNetModel, Tag("unet")] | Annotated[SmpModel, Tag("smp")], Discriminator(_network)]


class CrossEntropyLoss(Settings):
    """Softmax cross entropy, averaged over the pixels that are not void."""

    name: Literal["cross_entropy"] = "cross_entropy"
    """Which loss."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target spread evenly over all classes, 0 to below 1."""
    class_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    """One weight a class, at least 0; None: all 1. The weighted sum is divided by the sum of the pixels' weights."""


Loss = CrossEntropyLoss
