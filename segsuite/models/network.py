"""The wrapper that makes any core network work on images of any size, and the seam that names an upsampling
place."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Seam:
    """A place where an upsampler is plugged in: `name` is its module path in the network, strides count input
    pixels."""

    name: str
    stride_from: int
    stride_to: int
    in_channels: int
    out_channels: int


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
        scale = self.scale_1C11 / 255 if images_NCHW.dtype == torch.uint8 else self.scale_1C11
        x_NCHW = torch.addcmul(self.shift_1C11, images_NCHW.to(scale.dtype), scale)
        logits_NCHW: Tensor = self.core(self._pad(x_NCHW))
        auxiliary_NCHW = getattr(self.core, "auxiliary_logits", None)
        self.auxiliary_logits = None if auxiliary_NCHW is None else auxiliary_NCHW[..., :height, :width]
        return logits_NCHW[..., :height, :width]

    def take_auxiliary_logits(self) -> Tensor | None:
        """`auxiliary_logits`, which are None after that: their graph is not kept longer than the step."""
        taken = self.auxiliary_logits
        self.auxiliary_logits = None
        if taken is not None:
            self.core.auxiliary_logits = None  # type: ignore[assignment]  # a plain attribute
        return taken

    def _pad(self, x_NCHW: Tensor) -> Tensor:
        height, width = x_NCHW.shape[-2:]
        right, bottom = self._missing(width), self._missing(height)
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
