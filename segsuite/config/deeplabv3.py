"""Settings of DeepLabV3 and DeepLabV3+."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segsuite.config.base import Settings
from segsuite.config.decoder import OwnNetwork
from segsuite.config.upsampler import Upsampler
from segsuite.encoders import check_multi_grid, check_output_stride
from segsuite.errors import ConfigError
from segsuite.models.hybrid_rates import check_hybrid_rates
from segsuite.models.output_stride import at_output_stride

Rate = Annotated[int, Field(ge=1)]


class DeepLabModel(OwnNetwork):
    """What both versions have in common."""

    name: Literal["deeplabv3", "deeplabv3plus"]
    """Which network."""
    output_stride: Literal[8, 16, 32] = 16
    """Stride of the encoder's last features, in pixels; 8 and 16 replace its later strides by dilation. Weights fit any
    of the three."""
    rates: tuple[Rate, ...] | None = Field(None, min_length=1)
    """Dilation rates of the pyramid's 3x3 convolutions, one or more, at least 1, in pixels of the features. None: the
    paper's, (6, 12, 18) at output stride 16 and twice that at 8."""
    multi_grid: tuple[Rate, ...] | None = Field(None, min_length=1)
    """Unit rates of the last stage's blocks, one a block, at least 1, e.g. (1, 2, 4) for resnet50; they multiply its
    dilation. None: none. Only ResNets."""
    hybrid_rates: tuple[Annotated[tuple[Rate, ...], Field(min_length=1)], ...] | None = Field(
        None, min_length=1, max_length=3
    )
    """Dilation rates themselves of the blocks of the last stages, at least 1, one list a stage, the last one for the
    last stage, against gridding, e.g. ((1, 2, 3), (3, 4, 5)); a list begins anew where its stage has more blocks. None:
    those of output_stride and multi_grid. Only ResNets."""
    aspp_channels: int = Field(256, ge=1)
    """Channels of each branch of the pyramid, and of what follows it, at least 1."""
    image_pooling: bool = True
    """Whether the mean of the whole image is a branch of the pyramid."""
    upsampler: Upsampler = "bilinear"
    """Operator in each seam of the decoder."""
    auxiliary_weight: float = Field(0.0, ge=0)
    """Weight, at least 0, of the loss of a second head on the encoder's features before the last ones, in training
    only; 0: no such head (torchvision: 0.5)."""

    @model_validator(mode="after")
    def _possible(self) -> "DeepLabModel":
        try:
            check_output_stride(self.encoder, self.output_stride)
            if self.multi_grid is not None:
                check_multi_grid(self.encoder, self.multi_grid)
            check_hybrid_rates(self.encoder, self.hybrid_rates, self.multi_grid)
        except ConfigError as error:
            raise ValueError(f"{error.what}: {error.advice}") from None
        return self


def check_evaluation_stride(model: Settings, output_stride: int) -> None:
    """Raises ConfigError unless the weights of the network `model` fit it at `output_stride`, too."""
    values = at_output_stride(model.model_dump(), output_stride)
    check_output_stride(values["encoder"], output_stride)


class DeepLabV3Model(DeepLabModel):
    """DeepLabV3 (Chen et al. 2017): dilated encoder, atrous spatial pyramid pooling, one enlargement to the image."""

    name: Literal["deeplabv3"]
    """Which network."""
    separable: bool = False
    """Whether the 3x3 convolutions after the encoder are depthwise separable."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Probability of dropout after the pyramid, 0 to below 1."""


class DeepLabV3PlusModel(DeepLabModel):
    """DeepLabV3+ (Chen et al. 2018): DeepLabV3 with a decoder on the encoder's features of stride 4."""

    name: Literal["deeplabv3plus"]
    """Which network."""
    low_level_channels: int = Field(48, ge=1)
    """Channels that the encoder's features of stride 4 are reduced to, at least 1."""
    separable: bool = True
    """Whether the 3x3 convolutions after the encoder are depthwise separable."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Probability of dropout after the pyramid, 0 to below 1."""
