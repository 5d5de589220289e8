"""Encoders of segmentation-models-pytorch, which also wraps timm (`tu-`), and of torchvision (`tv-`, graphs.py), behind
the suite's interface."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from segsuite.encoders.dilation import dilate
from segsuite.encoders.graphs import GraphBody
from segsuite.encoders.names import TORCHVISION, canonical_name, check_output_stride
from segsuite.encoders.weights import IMAGENET_MEAN, IMAGENET_STD, load_pretrained, pretrained
from segsuite.errors import ConfigError, unknown_name
from segsuite.io.imports import without

with without("wandb"):  # timm imports it if it can: 0.5 s, temporary folders, and a pool that forks must not have it
    import segmentation_models_pytorch as smp
    import timm


class Encoder(nn.Module):
    """A backbone with features of several strides; the contract stands in the package docstring."""

    def __init__(self, name: str, body: nn.Module, weights: str = "none", output_stride: int = 32) -> None:
        super().__init__()
        self.name, self.weights, self.body = name, weights, body
        outputs: list[int] = list(body.out_channels)  # type: ignore[arg-type]  # a list on every smp encoder
        # smp puts the input itself first, except for VGG, and 0 channels where a stride has no feature
        self._kept = tuple(i for i, c in enumerate(outputs) if c > 0 and not (i == 0 and c == 3))
        self.channels: tuple[int, ...] = tuple(outputs[i] for i in self._kept)
        self.strides: tuple[int, ...] = tuple(min(2**i, output_stride) for i in self._kept)
        source = pretrained(name, weights)
        if source is not None:
            load_pretrained(body, source)
        self.weights_file: Path | None = source.file if source else None
        self.loaded_weights: dict[str, str] = {source.name: source.sha256} if source else {}
        self.mean, self.std = (source.mean, source.std) if source else (IMAGENET_MEAN, IMAGENET_STD)

    def forward(self, x_NCHW: Tensor) -> list[Tensor]:
        """Features fine to coarse of normalised RGB images."""
        features: list[Tensor] = self.body(x_NCHW)
        return [features[i] for i in self._kept]


def build(
    name: str, weights: str = "none", output_stride: int | None = None, multi_grid: Sequence[int] | None = None
) -> Encoder:
    """The encoder `name` with its weights; see the package docstring. Raises ConfigError."""
    if output_stride is None:
        output_stride = 32
    else:
        check_output_stride(name, output_stride)
    body = construct(canonical_name(name))
    dilate(body, name, output_stride, multi_grid)
    return Encoder(name, body, weights, output_stride)


def construct(smp_name: str, depth: int = 5) -> nn.Module:
    """The smp encoder, or torchvision's, with random weights and the features of strides up to 2^depth. Raises
    ConfigError when timm does not know the name or it has other strides."""
    if smp_name in TORCHVISION:
        return GraphBody(smp_name.removeprefix("tv-"), depth)
    check_timm_name(smp_name)
    with warnings.catch_warnings():
        # smp calls its own `timm-` names deprecated; they are kept for results that were made with them
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            # None, not False: smp 0.6.0 downloads pretrained weights for any other value (`pretrained=weights
            # is not None`)
            body: nn.Module = smp.encoders.get_encoder(smp_name, in_channels=3, depth=depth, weights=None)
        except (ValueError, RuntimeError, AttributeError, TypeError) as error:
            raise ConfigError(
                f"encoder '{smp_name}' cannot give features of strides 2..32: {error}",
                advice="choose a convolutional backbone, for example resnet18 or tf_efficientnet_lite0",
            ) from error
    return body


def check_timm_name(smp_name: str) -> None:
    """Raises ConfigError with the nearest name when `tu-<name>` is not a timm model."""
    name = smp_name.removeprefix("tu-")
    if name != smp_name and not timm.is_model(name):
        raise ConfigError(unknown_name("timm model", name.partition(".")[0], timm.list_models()))
