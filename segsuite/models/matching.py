"""Decoders of equal cost: widths scaled so that arms with other upsamplers have as many parameters or multiply-adds.

The same widths with another upsampler are another size: a transposed convolution k4 has 16/9 of the parameters of
bilinear + conv3, sub-pixel convolution four times as many. With `match`, one factor scales all decoder widths, each
rounded to a whole number of at least 1, so that the whole network comes as near as it can to the same network with
the upsampler `match_to` at the widths of the settings.

Only parameters and multiply-adds are counted, no time is measured, so the widths are the same on every machine.
Multiply-adds are those of an image of SIZE x SIZE pixels on a CPU, counted as for result.json (cost.py): an upsampler
that computes in another way on another device (nearest_conv) still gets the widths of the CPU's way.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from segsuite.encoders.library import Encoder
from segsuite.errors import ConfigError, unknown_name
from segsuite.models.cost import count_multiply_adds, count_parameters
from segsuite.upsamplers import UpsamplerSetting

MEASURES = ("none", "parameters", "multiply_adds")
SIZE = 64
"""Height and width in pixels at which multiply-adds are counted; those of all decoders grow with the pixels alike."""
MAX_FACTOR = 64.0
# two factors nearer than this give the same widths, unless a width is above 10 million
RESOLUTION = 1e-8

Widths = tuple[int, ...]
Build = Callable[[Encoder, UpsamplerSetting, Widths], nn.Module]
"""(encoder, upsampler, widths) -> a core network with `decode(features, image)`."""


def match_widths(
    build: Build,
    encoder: Encoder,
    upsampler: UpsamplerSetting,
    widths: Sequence[int],
    measure: str,
    match_to: UpsamplerSetting,
) -> tuple[Widths, dict[str, Any] | None]:
    """The widths with which the network with `upsampler` costs what it costs with `match_to` at `widths`, and what
    was achieved; `widths` and None for measure "none".

    The second is plain: measure, match_to, target and achieved (of the whole network), relative_difference
    (achieved / target - 1), decoder_channels, and for multiply_adds the size [H, W] they hold for.
    """
    if measure not in MEASURES:
        raise ConfigError(unknown_name("match", measure, MEASURES))
    if measure == "none":
        return tuple(widths), None
    cost = _Cost(build, encoder, measure)
    target = cost(match_to, tuple(widths))
    chosen = nearest_widths(widths, lambda scaled: cost(upsampler, scaled), target)
    achieved = cost(upsampler, chosen)
    matched: dict[str, Any] = {
        "measure": measure,
        "match_to": match_to if isinstance(match_to, str) else dict(match_to),
        "target": target,
        "achieved": achieved,
        "relative_difference": achieved / target - 1,
        "decoder_channels": list(chosen),
    }
    return chosen, matched | ({"size": [SIZE, SIZE]} if measure == "multiply_adds" else {})


def nearest_widths(widths: Sequence[int], cost: Callable[[Widths], int], target: int) -> Widths:
    """`widths` times one factor, each rounded to at least 1, whose cost is nearest to `target`; the narrower of two
    that are as near.

    `cost` must not fall when a width grows. Where it does now and then (a projection that falls away at equal
    widths), the result is one of those between which the target lies.

    >>> nearest_widths([64, 32], lambda widths: 9 * widths[0] * widths[1], 10_000)
    (47, 24)
    """
    known: dict[Widths, int] = {}

    def distance(factor: float) -> int:
        scaled = _scaled(widths, factor)
        if scaled not in known:
            known[scaled] = cost(scaled)
        return known[scaled] - target

    low, high = 0.0, 1.0
    while distance(high) <= 0 and high < MAX_FACTOR:
        low, high = high, 2 * high
    while high - low > RESOLUTION:
        middle = (low + high) / 2
        low, high = (middle, high) if distance(middle) <= 0 else (low, middle)
    below, above = _scaled(widths, low), _scaled(widths, high)
    return below if abs(distance(low)) <= abs(distance(high)) else above


def _scaled(widths: Sequence[int], factor: float) -> Widths:
    return tuple(max(1, math.floor(factor * width + 0.5)) for width in widths)


class _Cost:
    """Cost of the whole network by upsampler and widths; that of the encoder is counted once."""

    def __init__(self, build: Build, encoder: Encoder, measure: str) -> None:
        self.build, self.measure, self.outline = build, measure, _outline(encoder)
        self.of_encoder = count_parameters(encoder)
        if measure == "multiply_adds":
            self.image_NCHW = torch.zeros(1, 3, SIZE, SIZE)
            self.of_encoder = count_multiply_adds(lambda: self._encode(encoder))

    @torch.no_grad()
    def _encode(self, encoder: Encoder) -> None:
        training = encoder.training
        self.features = encoder.eval()(self.image_NCHW)
        encoder.train(training)

    @torch.no_grad()
    def __call__(self, upsampler: UpsamplerSetting, widths: Widths) -> int:
        with torch.device("meta"):  # weights are neither drawn nor held
            decoder = self.build(self.outline, upsampler, widths)
        if self.measure == "parameters":
            return self.of_encoder + count_parameters(decoder)
        # not on the meta device, where interpolation and batch norm take ten times as long as with values
        decoder.to_empty(device="cpu").eval()
        for value in (*decoder.parameters(), *decoder.buffers()):
            value.zero_()
        return self.of_encoder + count_multiply_adds(lambda: decoder.decode(self.features, self.image_NCHW))  # type: ignore[operator]  # every core has it


def _outline(encoder: Encoder) -> Encoder:
    """`encoder` without its stages: all that a decoder is built from."""
    outline = Encoder.__new__(Encoder)
    nn.Module.__init__(outline)
    outline.name, outline.channels, outline.strides = encoder.name, encoder.channels, encoder.strides
    return outline
