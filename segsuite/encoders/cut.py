"""Encoders cut off at a stride: only the stages up to it are held and computed."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from segsuite.encoders.library import Encoder, construct
from segsuite.encoders.names import canonical_name
from segsuite.errors import ConfigError

# at stride 32 the backbones with unpadded convolutions still need a few pixels
PROBE_SIZE = 128


class Unused(nn.Module):
    """In the place of a stage that no feature depends on: gives its first input back."""

    def forward(self, x: Tensor, *further: object) -> Tensor:
        return x


def cut(encoder: Encoder, stride: int) -> Encoder:
    """An Encoder whose last feature has `stride`; its features and weights are those of `encoder` up to there.

    Raises ConfigError when `encoder` has no feature of that stride, or does not run without its later stages.
    """
    if stride not in encoder.strides:
        raise ConfigError(
            f"encoder '{encoder.name}' has no feature of stride {stride}",
            advice=f"choose one of its strides: {', '.join(map(str, encoder.strides))}",
        )
    if stride == encoder.strides[-1]:
        return encoder
    # the draws are overwritten, and must not move the global generator
    with torch.random.fork_rng(devices=[]):
        body = construct(canonical_name(encoder.name), depth=stride.bit_length() - 1)
    whole = encoder.body.state_dict()
    # not body.load_state_dict: smp's encoders override it and drop or rename keys
    nn.Module.load_state_dict(body, {key: whole[key] for key in body.state_dict()})
    try:
        drop_unused(body)
    except (TypeError, RuntimeError) as error:  # what a stage raises when its input is not what it expects
        raise ConfigError(
            f"encoder '{encoder.name}' cannot be cut at stride {stride}: it does not run without its later stages",
            advice=f"choose stride {encoder.strides[-1]}, or another encoder",
        ) from error
    part = Encoder(encoder.name, body)
    part.weights, part.weights_file = encoder.weights, encoder.weights_file
    part.loaded_weights = encoder.loaded_weights
    part.mean, part.std = encoder.mean, encoder.std
    return part.train(encoder.training)


def drop_unused(body: nn.Module) -> None:
    """Replaces by Unused every module of `body` whose parameters none of its features depends on, in place.

    At a depth below 5 smp's own encoders keep the later stages, and timm's EfficientNets even compute them:
    tf_efficientnet_lite0 cut at stride 8 would hold 2.96 million parameters of which 0.06 million are used.
    Raises TypeError or RuntimeError when `body` does not run without them.
    """
    parameters, features = _probe(body)
    sums = torch.stack([feature.sum() for feature in features]).sum()
    gradients = torch.autograd.grad(sums, list(parameters.values()), allow_unused=True)
    used = {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
    _drop(body, "", used)
    shapes = [feature.shape for feature in features]
    if [feature.shape for feature in _probe(body)[1]] != shapes:
        raise RuntimeError("the features have another shape without the modules that they do not depend on")


def _drop(module: nn.Module, path: str, used: set[str]) -> None:
    for name, child in module.named_children():
        inside = {f"{path}{name}.{key}" for key, _ in child.named_parameters()}
        if inside and not inside & used:
            setattr(module, name, Unused())
        elif inside:
            _drop(child, f"{path}{name}.", used)


def _probe(body: nn.Module) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Parameters and features of `body` on the meta device: no data, next to no time."""
    parameters = {key: value.detach().to("meta").requires_grad_() for key, value in body.named_parameters()}
    buffers = {key: value.to("meta") for key, value in body.named_buffers()}
    training = body.training
    body.eval()
    try:
        image_NCHW = torch.empty(1, 3, PROBE_SIZE, PROBE_SIZE, device="meta")
        features = functional_call(body, {**parameters, **buffers}, image_NCHW)
    finally:
        body.train(training)
    return parameters, features
