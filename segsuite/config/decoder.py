"""Settings that the suite's own networks share: encoder, normalisation, activation, attention."""

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from segsuite.config.base import PATH, Settings
from segsuite.config.encoder import EncoderName
from segsuite.errors import ConfigError
from segsuite.models.layer_settings import GROUPS, SYNCHRONISED, check_layers, instead_of_synchronised


class OwnNetwork(Settings):
    """What the suite's own networks have in common."""

    name: str
    """Which network."""
    encoder: EncoderName = "resnet18"
    """Backbone: a name of segmentation-models-pytorch, or `tu-` and a name of timm."""
    weights: str = Field("none", json_schema_extra=PATH)
    """Encoder weights: `none` (random), `imagenet` (a local copy, else a download), or a .safetensors or .pth file;
    `@` and the first 8 to 64 digits of its SHA-256 behind it refuse any other file."""
    encoder_normalisation: Literal["own", "frozen_batch"] = "own"
    """Batch norm of the encoder. own: trains as it is; frozen_batch: statistics, weights and biases stay as they are
    loaded, for small batches."""
    normalisation: Literal["batch", "group", "instance", "layer", "none"] = "batch"
    """Normalisation of the decoder; group, instance and layer do not depend on the batch. batch: over the images of all
    processes that train a trial; layer: over the channels at each pixel."""
    normalisation_groups: int = Field(GROUPS, ge=1)
    """For group: how many groups, at least 1; where they do not divide the channels, the next smaller number that
    does."""
    activation: Literal["relu", "leaky_relu", "silu", "mish", "relu6"] = "relu"
    """Activation of the decoder; silu is also called swish, leaky_relu has slope 0.01."""
    attention: Literal["none", "scse"] = "none"
    """Attention after each block of the decoder; scse: spatial and channel squeeze and excitation."""

    @field_validator("encoder_normalisation", "normalisation", mode="before")
    @classmethod
    def _not_synchronised(cls, name: Any, info: ValidationInfo) -> Any:
        if name == SYNCHRONISED:
            advice = instead_of_synchronised("batch" if info.field_name == "normalisation" else "own")
            raise PydanticCustomError("unknown_name", "{what}", {"what": f"'{name}' is no longer a name; {advice}"})
        return name

    @model_validator(mode="after")
    def _consistent(self) -> "OwnNetwork":
        try:
            check_layers(self.normalisation, self.normalisation_groups, self.activation, self.attention)
        except ConfigError as error:
            raise ValueError(f"{error.what}: {error.advice}") from None
        return self
