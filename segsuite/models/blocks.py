"""What guides the upsamplers of decoders, and initialisation that depends on a module's name only."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from segsuite.encoders.library import Encoder
from segsuite.upsamplers.base import Upsampler

IMAGE_CHANNELS = 3


def guide_channels(encoder: Encoder, stride: int) -> int:
    """Channels of what `guide` gives at `stride`."""
    return dict(zip(encoder.strides, encoder.channels, strict=True)).get(stride, IMAGE_CHANNELS)


def guide(encoder: Encoder, features: Sequence[Tensor], image_NCHW: Tensor, stride: int) -> Tensor:
    """What guides an upsampler to `stride`: the encoder's feature of that stride, or else the image, averaged to it.

    features: those of the encoder, fine to coarse; image (N, 3, H, W) normalised, H and W multiples of `stride`.
    """
    feature_NCHW = dict(zip(encoder.strides, features, strict=True)).get(stride)
    if feature_NCHW is not None:
        return feature_NCHW
    return image_NCHW if stride == 1 else F.avg_pool2d(image_NCHW, stride)


def initialise_by_name(root: nn.Module, skip: nn.Module) -> None:
    """Draws the parameters of all modules of `root` outside `skip` from one generator a module, in place.

    The generator's seed is a hash of torch.initial_seed() (what torch.manual_seed set) and the module's path.
    So arms of a comparison that share a seed start from identical values in every module that they share:
    swapping the upsampler changes the initial values of the upsamplers and of nothing else, whatever numbers
    each of them draws. Convolutions: Kaiming uniform, fan_in, ReLU (He et al. 2015), as in smp's decoders;
    bias 0.
    """
    skipped = {id(module) for module in skip.modules()}
    inside_upsampler: set[int] = set()
    for name, module in root.named_modules():
        if id(module) in skipped or id(module) in inside_upsampler:
            continue
        if isinstance(module, Upsampler):
            module.initialise(generator_of(name))
            inside_upsampler.update(id(child) for child in module.modules())
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, mode="fan_in", nonlinearity="relu", generator=generator_of(name))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def generator_of(name: str) -> Generator:
    """The random generator of the module at path `name` under the seed that torch.manual_seed set last."""
    digest = hashlib.sha256(f"{torch.initial_seed()}:{name}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:7], "big"))
