"""What the decoders of the suite are made of: normalisation, activation, dropout and attention, settings of all."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from segsuite.models.attention import SpatialChannelAttention
from segsuite.models.layer_settings import GROUPS, check_layers
from segsuite.models.normalisation import normalisation, pooled_normalisation

ACTIVATION: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "relu6": lambda: nn.ReLU6(inplace=True),
}


@dataclass(frozen=True)
class Layers:
    """The layers of a decoder. Raises ConfigError for unknown names.

    normalisation, normalisation_groups: see normalisation.py; activation: relu, leaky_relu (slope 0.01), silu (swish),
    mish or relu6; dropout: probability with which a channel of a block's output is zero in training (Tompson et al.
    2015, arXiv 1411.4280); attention: none or scse, after a block (attention.py).
    """

    normalisation: str = "batch"
    normalisation_groups: int = GROUPS
    activation: str = "relu"
    dropout: float = 0.0
    attention: str = "none"

    def __post_init__(self) -> None:
        check_layers(self.normalisation, self.normalisation_groups, self.activation, self.attention)

    def norm(self, channels: int) -> nn.Module:
        """Of features (N, channels, H, W); nn.Identity for none."""
        return normalisation(self.normalisation, channels, self.normalisation_groups)

    def pooled_norm(self, channels: int) -> nn.Module:
        """Of features (N, channels, 1, 1); nn.Identity for none and instance."""
        return pooled_normalisation(self.normalisation, channels, self.normalisation_groups)

    def activate(self) -> nn.Module:
        """The activation; it may overwrite its input."""
        return ACTIVATION[self.activation]()

    def attend(self, channels: int) -> nn.Module:
        """The attention after a block with that many channels."""
        return SpatialChannelAttention(channels) if self.attention == "scse" else nn.Identity()

    def drop(self) -> nn.Module:
        """The dropout after a block; draws no random number without one."""
        return nn.Dropout2d(self.dropout) if self.dropout else nn.Identity()


class ConvNormAct(nn.Sequential):
    """(N, in_channels, H, W) -> (N, out_channels, H, W): convolution `kernel` x `kernel` at `rate`, normalisation,
    activation. The convolution has a bias only without normalisation.

    separable: a depthwise and a pointwise convolution with normalisation and activation after each, as in DeepLabV3+
    (Chen et al. 2018, arXiv 1802.02611, section 3.2).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        rate: int = 1,
        separable: bool = False,
        layers: Layers | None = None,
    ) -> None:
        layers = layers or Layers()
        padding, bias = rate * (kernel // 2), layers.normalisation == "none"
        steps: list[nn.Module] = []
        if separable and kernel > 1:
            depthwise = nn.Conv2d(
                in_channels, in_channels, kernel, padding=padding, dilation=rate, groups=in_channels, bias=bias
            )
            steps += [depthwise, layers.norm(in_channels), layers.activate()]
            kernel, rate, padding = 1, 1, 0
        steps += [
            nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=rate, bias=bias),
            layers.norm(out_channels),
            layers.activate(),
        ]
        super().__init__(*steps)
