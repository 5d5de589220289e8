"""Settings of an upsampler: its name, or a mapping of its name and what else it offers."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from segsuite.config.base import Settings
from segsuite.config.sentences import written
from segsuite.errors import ConfigError, unknown_name
from segsuite.upsamplers import UPSAMPLERS, check_settings


def _upsampler(name: str) -> str:
    if name not in UPSAMPLERS:
        raise PydanticCustomError("unknown_name", "{what}", {"what": unknown_name("upsampler", name, UPSAMPLERS)})
    return name


UpsamplerName = Annotated[str, AfterValidator(_upsampler), Field(json_schema_extra={"enum": sorted(UPSAMPLERS)})]


class UpsamplerSettings(Settings):
    """An upsampler with settings of its own; one that needs none is written as its name alone."""

    name: UpsamplerName
    """Which upsampler."""
    init: Literal["random", "torch", "equal_phases", "bilinear"] = "random"
    """How its weights start. random: keeps the second moment of its input; torch: PyTorch's own; equal_phases: a
    constant stays constant at the start (ICNR for pixel_shuffle); bilinear: starts as bilinear interpolation."""
    implementation: Literal["auto", "direct", "polyphase"] = "auto"
    """How it is computed, the same up to rounding. auto: the faster one; direct: as it is defined."""

    @model_validator(mode="after")
    def _offered(self) -> "UpsamplerSettings":
        try:
            check_settings(self.name, self.init, self.implementation)
        except ConfigError as error:
            raise PydanticCustomError("unknown_name", "{what}", {"what": error.what}) from error
        return self


def _name_alone(value: Any) -> Any:
    """The name alone where nothing else is set: the same trial, whichever way it is written."""
    if isinstance(value, UpsamplerSettings) and value == UpsamplerSettings(name=value.name):
        return value.name
    return value


Upsampler = Annotated[
    Annotated[UpsamplerName, Tag("name")] | Annotated[UpsamplerSettings, Tag("settings")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "settings"),
    AfterValidator(_name_alone),
]

Match = Literal["none", "parameters", "multiply_adds"]


def check_match(match: str, match_to: str | UpsamplerSettings) -> None:
    """Raises ValueError when `match_to` is set though nothing is matched to it."""
    if match == "none" and match_to != "bilinear_conv":
        shown = match_to if isinstance(match_to, str) else match_to.model_dump()
        raise ValueError(
            f"match is 'none', so match_to, which is {written(shown)}, changes nothing: leave match_to out, or set "
            "match to parameters or multiply_adds"
        )
