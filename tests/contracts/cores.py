"""The suite's own core networks on a tiny encoder, so that every upsampler can be tried in each of them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from segsuite.encoders.library import Encoder
from segsuite.models.fcn import PlainFCN, SkipFCN
from segsuite.models.layers import Layers
from segsuite.models.network import SegmentationNetwork
from segsuite.models.unet import UNet
from segsuite.upsamplers import INITIALISATIONS, UPSAMPLERS

CLASSES = 5
CHANNELS = (4, 6, 8, 10, 12)
Setting = str | Mapping[str, Any]

SETTINGS: list[Setting] = [
    *UPSAMPLERS,
    *({"name": name, "init": init} for name, inits in INITIALISATIONS.items() for init in inits),
]


def name_of(upsampler: Setting) -> str:
    return upsampler if isinstance(upsampler, str) else "-".join(upsampler.values())


class Body(nn.Module):
    """Features of strides 2, 4, ...; at strides in `without` there is none, as in transformers at stride 2."""

    def __init__(self, depth: int, without: tuple[int, ...]) -> None:
        super().__init__()
        self.depth, self.without = depth, without
        self.out_channels = [3] + [0 if 2 ** (i + 1) in without else CHANNELS[i] for i in range(depth)]
        widths = [3, *CHANNELS]
        self.stages = nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 3, 2, 1) for i in range(depth))

    def forward(self, x_NCHW: Tensor) -> list[Tensor]:
        features = [x_NCHW]
        for stage in self.stages:
            x_NCHW = stage(x_NCHW).relu()
            features.append(x_NCHW)
        return [f[:, :0] if 2**i in self.without else f for i, f in enumerate(features)]


def encoder(depth: int = 5, without: tuple[int, ...] = ()) -> Encoder:
    return Encoder("tiny", Body(depth, without))


def unet(upsampler: Setting, without: tuple[int, ...] = ()) -> UNet:
    return UNet(encoder(5, without), CLASSES, upsampler, (16, 12, 8, 8, 6))


def layered_unet(upsampler: Setting, without: tuple[int, ...] = ()) -> UNet:
    layers = Layers("group", 4, "silu", 0.1, "scse")
    return UNet(encoder(5, without), CLASSES, upsampler, (16, 12, 8, 8, 6), layers)


def skip_fcn(finest_stride: int) -> Callable[..., SkipFCN]:
    return lambda upsampler, without=(): SkipFCN(
        encoder(5, without), CLASSES, finest_stride, upsampler, upsampler, head_channels=7
    )


def plain_fcn(upsampler: Setting, without: tuple[int, ...] = ()) -> PlainFCN:
    return PlainFCN(encoder(3, without), CLASSES, upsampler, (16, 12, 8))


CORES: dict[str, Callable[..., Any]] = {
    "unet": unet,
    "unet layered": layered_unet,
    "fcn 32s": skip_fcn(32),
    "fcn 16s": skip_fcn(16),
    "fcn 8s": skip_fcn(8),
    "fcn plain": plain_fcn,
}


def network(core: str, upsampler: Setting, seed: int = 0, without: tuple[int, ...] = ()) -> SegmentationNetwork:
    torch.manual_seed(seed)
    built = CORES[core](upsampler, without)
    return SegmentationNetwork(built, CLASSES, built.encoder, built.stride, built.stride, built.seams())
