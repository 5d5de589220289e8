"""A network's copy for measuring, and what is seen of it in one forward pass."""

import copy
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from segsuite.models.network import SegmentationNetwork

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


CALIBRATED = 8
"""Images, at most, that statistics are taken of; their features are in memory at once."""


@dataclass(frozen=True, eq=False)
class Seen:
    """`features` (fine to coarse) and the normalised `image` that the decoder gets, if the core has one; `seams`: name
    -> output of the upsampler."""

    logits_NCHW: Tensor
    features: tuple[Tensor, ...]
    image_NCHW: Tensor | None
    seams: dict[str, Tensor]


def prepared(network: SegmentationNetwork, images_NCHW: Tensor) -> SegmentationNetwork:
    """A copy of `network` for evaluation, whose parameters need no gradient.

    A batch normalisation that has seen no batch yet scales by chance, and the constant-response index of an untrained
    decoder would be 1e5: the statistics of such layers become those of `images`, in one batch. Others are kept, and
    those of which the batch has one value a channel, since that has no variance.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    fresh = [module for module in copied.modules() if isinstance(module, BATCH_NORMS) and _is_fresh(module)]
    momenta = [module.momentum for module in fresh]
    for module in fresh:
        module.train()
        module.momentum = None  # the mean over batches, of which there is one
    if fresh:
        hooks = [module.register_forward_pre_hook(_keep_without_variance) for module in fresh]
        with torch.inference_mode():
            copied(images_NCHW[:: -(-len(images_NCHW) // CALIBRATED)])
        for hook in hooks:
            hook.remove()
    for module, momentum in zip(fresh, momenta, strict=True):
        module.eval()
        module.momentum = momentum
    return copied


def _keep_without_variance(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    values_NC = arguments[0]
    if values_NC.numel() == values_NC.shape[1]:
        module.eval()


def _is_fresh(module: nn.Module) -> bool:
    mean, variance = module.running_mean, module.running_var
    if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
        return False
    return bool((mean == 0).all() and (variance == 1).all())


@torch.inference_mode()
def see(network: SegmentationNetwork, images_NCHW: Tensor) -> Seen:
    """One forward pass, with what passes its seams and goes into its decoder."""
    inputs: list[Tensor] = []
    features: list[tuple[Tensor, ...]] = []
    seams: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                seams[name] = output

        return hook

    with ExitStack() as stack:
        for seam in network.seams():
            stack.enter_context(network.get_submodule(seam.name).register_forward_hook(keep(seam.name)))
        if decodes(network):
            stack.enter_context(network.core.register_forward_pre_hook(lambda _, given: inputs.append(given[0])))
            stack.enter_context(network.encoder.register_forward_hook(lambda *seen: features.append(tuple(seen[2]))))
        logits_NCHW = network(images_NCHW)
    return Seen(logits_NCHW, features[0] if features else (), inputs[0] if inputs else None, seams)


def decodes(network: SegmentationNetwork) -> bool:
    """Whether the core gives logits from features, so that its decoder can be measured alone."""
    return callable(getattr(network.core, "decode", None))
