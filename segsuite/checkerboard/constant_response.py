"""What a decoder makes of a scene without any content: the same feature vector in all places.

Each level of features is constant in space, with the vectors of one place of a real image, so that whatever differs
within a cell of S x S output pixels (S: the stride of the coarsest features) was made by the decoder alone. It is
measured in the middle cell of a map that reaches 128 pixels further on each side (4 cells at stride 32), since the
zero padding of convolutions is a content of its own. That is beyond what can be seen in practice of a U-Net's
receptive field, whose rim at 156 pixels has no weight; how much of the border is seen is measured by the neighbouring
cell, which is nearer to it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MARGIN_PIXELS = 128
AT_ONCE = 4

Decode = Callable[[Sequence[Tensor], Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Places:
    """Feature vectors of K places: one (K, C) a level, fine to coarse, the (normalised) image's last in `image_KC`."""

    levels: tuple[Tensor, ...]
    strides: tuple[int, ...]
    image_KC: Tensor


@dataclass(frozen=True, eq=False)
class Response:
    """Class-centred logits of the middle cell and of the one right of it, each (K, C, S, S)."""

    middle_KCSS: Tensor
    beside_KCSS: Tensor

    def index(self, signal_variance: float) -> float:
        """Constant-response index: variance of the logits over the phases, summed over classes, mean over places, in
        units of the logits' variance on real images."""
        return _relative(self.middle_KCSS.var(dim=(-2, -1), correction=0).sum(1), signal_variance)

    def border(self, signal_variance: float) -> float:
        """What the same would be from the border's influence alone: half the mean square difference between pixels of
        the same phase in two cells."""
        difference = (self.middle_KCSS - self.beside_KCSS).square().mean(dim=(-2, -1)) / 2
        return _relative(difference.sum(1), signal_variance)

    def flips(self) -> float:
        """Share of the S x S phases whose class is not the most frequent one of its cell."""
        classes = self.middle_KCSS.argmax(dim=1).flatten(1)
        return float((classes != classes.mode(dim=1, keepdim=True).values).double().mean())

    def border_flips(self) -> float:
        """Share of pixels whose class differs from that of the same phase in the neighbouring cell."""
        return float((self.middle_KCSS.argmax(dim=1) != self.beside_KCSS.argmax(dim=1)).double().mean())


def places_of(features: Sequence[Tensor], image_1CHW: Tensor, count: int, first: int = 0) -> Places:
    """Vectors of `count` places of one image, spread evenly by a fixed sequence (R2) from its number `first` on.

    features: (1, C, h, w) each, fine to coarse. A place is a pixel of the coarsest level; finer levels give the pixel
    in the middle of it.
    """
    height = image_1CHW.shape[-2]
    strides = tuple(2 ** round(math.log2(height / level.shape[-2])) for level in features)
    plastic = 1.324717957244746  # x^3 = x + 1
    points = [((0.5 + i / plastic) % 1, (0.5 + i / plastic**2) % 1) for i in range(first, first + count)]

    def take(level_1CHW: Tensor, stride: int) -> Tensor:
        coarse = features[-1].shape[-2:]
        ratio = strides[-1] / stride
        rows = [min(int((int(y * coarse[0]) + 0.5) * ratio), level_1CHW.shape[-2] - 1) for y, _ in points]
        columns = [min(int((int(x * coarse[1]) + 0.5) * ratio), level_1CHW.shape[-1] - 1) for _, x in points]
        return level_1CHW[0][:, rows, columns].T.clone()

    levels = tuple(take(level, stride) for level, stride in zip(features, strides, strict=True))
    return Places(levels, strides, take(image_1CHW, 1))


def joined(places: Sequence[Places]) -> Places:
    """The places of several images."""
    levels = tuple(torch.cat(level) for level in zip(*(one.levels for one in places), strict=True))
    return Places(levels, places[0].strides, torch.cat([one.image_KC for one in places]))


@torch.inference_mode()
def constant_response(decode: Decode, places: Places, margin: int = MARGIN_PIXELS) -> Response:
    """The response of `decode` (features fine to coarse, image -> logits) to each place's vectors, `margin` pixels
    away from the border."""
    stride = places.strides[-1]
    around = -(-margin // stride)
    side = (2 * around + 1) * stride
    cells = []
    for first in range(0, len(places.image_KC), AT_ONCE):
        chosen = slice(first, first + AT_ONCE)
        features = [
            constant_map(level[chosen], side // step) for level, step in zip(places.levels, places.strides, strict=True)
        ]
        logits = decode(features, constant_map(places.image_KC[chosen], side))
        cells.append(logits[..., around * stride : (around + 1) * stride, around * stride : (around + 2) * stride])
    response = torch.cat(cells).double()
    response = response - response.mean(dim=1, keepdim=True)
    return Response(response[..., :stride], response[..., stride:])


def constant_map(vectors_KC: Tensor, side: int) -> Tensor:
    """(K, C, side, side), channels_last as in training."""
    return vectors_KC[..., None, None].expand(-1, -1, side, side).contiguous(memory_format=torch.channels_last)


def _relative(variance_K: Tensor, signal_variance: float) -> float:
    return float(variance_K.mean()) / signal_variance if signal_variance > 0 else math.nan
