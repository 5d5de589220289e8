"""The wrapper that makes any core network work on images of any size, and the seam that names an upsampling
place."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.errors import ConfigError
from segsuite.upsamplers.base import Upsampler
from segsuite.upsamplers.interpolate import Bilinear


@dataclass(frozen=True)
class Seam:
    """A place where an upsampler is plugged in: `name` is its module path in the network, strides count input
    pixels."""

    name: str
    stride_from: int
    stride_to: int
    in_channels: int
    out_channels: int


def doubling_seams(steps: str, target_strides: Sequence[int], upsamplers: Sequence[Upsampler]) -> list[Seam]:
    """The seams of a decoder that enlarges by 2 to each of `target_strides`; `steps` is the path of its list of steps,
    each of which holds its upsampler as `upsampler`."""
    return [
        Seam(f"{steps}.{i}.upsampler", 2 * stride, stride, up.in_channels, up.out_channels)
        for i, (stride, up) in enumerate(zip(target_strides, upsamplers, strict=True))
    ]


class Preprocessing(Protocol):
    """Mean and std of RGB images on the 0..1 scale; an Encoder has them, and Pretrained weights too."""

    @property
    def mean(self) -> tuple[float, float, float]: ...

    @property
    def std(self) -> tuple[float, float, float]: ...


class SegmentationNetwork(nn.Module):
    """normalise -> pad -> core -> crop.

    core: (N, 3, H, W) normalised, H and W multiples of `stride` and at least `min_size` -> (N, num_classes,
    H, W); `core.encoder` is its pretrained part. Padding is 0 after normalisation, the mean colour, and its
    logits are cut off.

    A core with an auxiliary head has `auxiliary_weight` and leaves its logits in `auxiliary_logits` when it
    trains. They are here, cut likewise, until they are taken: `auxiliary_logits` (N, num_classes, H, W) or None,
    whose loss times `auxiliary_weight` belongs to the training loss.

    A core that ends in an enlargement has `low_logits(features, image_NCHW)`, the logits (N, num_classes, h, w) before
    it, and `last_step()`, the upsampler that makes it. Where that is bilinear interpolation without parameters, the
    loss can do it instead (`low_logits` here).
    """

    scale_1C11: Tensor
    shift_1C11: Tensor
    matched: dict[str, Any] | None = None
    """What matching.py made of the decoder's widths, when they were to be matched."""

    def __init__(
        self,
        core: nn.Module,
        num_classes: int,
        preprocessing: Preprocessing,
        stride: int = 32,
        min_size: int = 32,
        seams: Iterable[Seam] = (),
    ) -> None:
        super().__init__()
        self.core, self.num_classes, self.stride, self.min_size = core, num_classes, stride, min_size
        self._seams = list(seams)
        self.auxiliary_weight: float = getattr(core, "auxiliary_weight", 0.0)
        self.auxiliary_logits: Tensor | None = None
        std = torch.tensor(preprocessing.std)
        # in the state dict: a checkpoint must not be used with the preprocessing of other weights
        self.register_buffer("scale_1C11", (1 / std).view(1, 3, 1, 1))
        self.register_buffer("shift_1C11", (-torch.tensor(preprocessing.mean) / std).view(1, 3, 1, 1))

    @property
    def encoder(self) -> nn.Module:
        """The pretrained part."""
        encoder = self.core.encoder
        assert isinstance(encoder, nn.Module)
        return encoder

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits (N, num_classes, H, W) of RGB images (N, 3, H, W), uint8 0..255 or float 0..1, any H, W >=
        1."""
        height, width = images_NCHW.shape[-2:]
        logits_NCHW: Tensor = self.core(self.prepared(images_NCHW))
        auxiliary_NCHW = getattr(self.core, "auxiliary_logits", None)
        self.auxiliary_logits = None if auxiliary_NCHW is None else auxiliary_NCHW[..., :height, :width]
        return logits_NCHW[..., :height, :width]

    def low_logits(self, images_NCHW: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Logits (N, num_classes, h, w) before the bilinear interpolation that the core ends in, and the height and
        width that it enlarges them to: those of the padded images, of which the upper left (H, W) are the images'.

        `auxiliary_logits` are low then too; they are enlarged to `padded_size`. Raises ConfigError when the core does
        not end so.
        """
        step = self._last_bilinear()
        x_NCHW = self.prepared(images_NCHW)
        core: Any = self.core
        low_NChw: Tensor = core.low_logits(self.encoder(x_NCHW), x_NCHW)
        self.auxiliary_logits = getattr(self.core, "auxiliary_logits", None)
        return low_NChw, (low_NChw.shape[-2] * step.factor, low_NChw.shape[-1] * step.factor)

    def _last_bilinear(self) -> Bilinear:
        core: Any = self.core
        step = core.last_step() if hasattr(core, "last_step") else None
        if not isinstance(step, Bilinear) or any(True for _ in step.parameters()):
            raise ConfigError(
                "the network does not end in bilinear interpolation of its logits, which full_resolution: fused makes "
                "part of the loss",
                advice="set full_resolution to direct, or choose upsampler bilinear for the last step",
            )
        return step

    def take_auxiliary_logits(self) -> Tensor | None:
        """`auxiliary_logits`, which are None after that: their graph is not kept longer than the step."""
        taken = self.auxiliary_logits
        self.auxiliary_logits = None
        if taken is not None:
            self.core.auxiliary_logits = None  # type: ignore[assignment]  # a plain attribute
        return taken

    def padded_size(self, images_NCHW: Tensor) -> tuple[int, int]:
        """Height and width of the images as the core sees them."""
        height, width = images_NCHW.shape[-2:]
        return height + self._missing(height), width + self._missing(width)

    def prepared(self, images_NCHW: Tensor) -> Tensor:
        """Normalised and padded."""
        scale = self.scale_1C11 / 255 if images_NCHW.dtype == torch.uint8 else self.scale_1C11
        x_NCHW = torch.addcmul(self.shift_1C11, images_NCHW.to(scale.dtype), scale)
        height, width = self.padded_size(x_NCHW)
        right, bottom = width - x_NCHW.shape[-1], height - x_NCHW.shape[-2]
        return F.pad(x_NCHW, (0, right, 0, bottom)) if right or bottom else x_NCHW

    def _missing(self, length: int) -> int:
        return max(-length % self.stride, self.min_size - length)

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the pretrained part."""
        return self.encoder.parameters()

    def decoder_parameters(self) -> Iterator[nn.Parameter]:
        """All other parameters."""
        of_encoder = {id(parameter) for parameter in self.encoder.parameters()}
        return (parameter for parameter in self.parameters() if id(parameter) not in of_encoder)

    def seams(self) -> list[Seam]:
        """The places where an upsampler is plugged in, coarse to fine."""
        return list(self._seams)
