"""Whether the network can normalise the features of a training batch: found from their sizes, before the first step.

Batch normalisation in training needs more than one value a channel, instance normalisation more than one pixel. A batch
of one image has one value where the features are 1 x 1: after a pooling of the whole image (smp's DeepLabV3, PAN,
UPerNet), or at the encoder's end when an image is no larger than its stride.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from segsuite.config import TrialSettings
from segsuite.datasets.base import FileDataset, SegmentationDataset
from segsuite.datasets.image_header import read_header
from segsuite.errors import ConfigError
from segsuite.models.network import SegmentationNetwork
from segsuite.trial.data import TrialData

Size = tuple[int, int]
SAYS = ("Expected more than 1 value per channel", "Expected more than 1 spatial element")
"""Beginnings of torch's own errors (torch.nn.functional, 2.11)."""
MOST_SIZES = 4


def check_normalised(network: SegmentationNetwork, data: TrialData, settings: TrialSettings) -> None:
    """Raises ConfigError when a normalisation in `network` would refuse a batch of the training."""
    images = settings.train.batch_size  # of all processes: they normalise together
    if images > 1 and not any(isinstance(module, nn.InstanceNorm2d) for module in network.modules()):
        return
    frozen = settings.train.freeze_encoder_epochs >= settings.train.epochs
    for height, width in smallest_sizes(data, settings):
        found = refused_at(network, (images, 3, height, width), frozen)
        if found is not None:
            name, shape = found
            raise ConfigError(
                f"{name} cannot normalise its features in training: of a batch of {images} x {height} x {width} pixels "
                f"they are {' x '.join(map(str, shape))} (images x channels x height x width), one value a channel",
                advice=advice(settings),
            )


def advice(settings: TrialSettings) -> str:
    """What can be done; networks of segmentation-models-pytorch have batch normalisation only."""
    larger = "set train.batch_size to 2 or more, or take larger images or crops"
    if settings.model.name.startswith("smp/"):
        return larger
    return f"{larger}; or normalise without a batch: model.normalisation: group, encoder_normalisation: frozen_batch"


def refused_at(
    network: SegmentationNetwork, shape: tuple[int, int, int, int], frozen_encoder: bool = False
) -> tuple[str, tuple[int, ...]] | None:
    """The first module that refuses to normalise when images of this `shape` are trained on, and the shape of its
    features; None when none does. Only sizes are computed, and the network stays as it is."""
    modes = {module: module.training for module in network.modules()}
    last: list[tuple[str, tuple[int, ...]]] = []

    def look(name: str) -> object:
        def hook(module: nn.Module, inputs: tuple[object, ...]) -> None:
            if inputs and isinstance(inputs[0], torch.Tensor):
                last[:] = [(name, tuple(inputs[0].shape))]

        return hook

    hooks = [module.register_forward_pre_hook(look(name)) for name, module in network.named_modules()]
    try:
        network.train()
        network.encoder.train(not frozen_encoder)
        state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        on_meta = {name: torch.empty_like(value, device="meta") for name, value in state.items()}
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            functional_call(network, on_meta, (torch.empty(shape, device="meta"),))
    except ValueError as error:
        return last[0] if last and str(error).startswith(SAYS) else None
    except (NotImplementedError, RuntimeError):  # an operator without sizes alone: the first step tells
        return None
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
        network.take_auxiliary_logits()
    return None


def smallest_sizes(data: TrialData, settings: TrialSettings) -> list[Size]:
    """Height and width of what is trained on: the crop, or else a few of the smallest images, as small as they are
    scaled."""
    overfit = settings.train.overfit_batches > 0
    if settings.augment.crop is not None and not overfit:
        return [settings.augment.crop]
    samples: Any = data.training.dataset  # on the host or on the device
    low = 1.0 if overfit else settings.augment.scale[0]
    sizes = set(_sizes(samples.dataset, data.training.sampler.indices))
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])[:MOST_SIZES]
    return [(max(1, int(height * low)), max(1, int(width * low))) for height, width in by_area]


def _sizes(dataset: SegmentationDataset, indices: Iterable[int]) -> Iterable[Size]:
    if not isinstance(dataset, FileDataset):
        height, width = dataset.read(next(iter(indices)))[1].shape
        return [(height, width)]
    headers = (read_header(dataset.samples[index].image) for index in indices)
    return ((header.height, header.width) for header in headers)
