"""Gives the blocks of a ResNet's last stages rates of their own (hybrid_rates.py says why)."""

from collections.abc import Sequence
from itertools import cycle

from torch import nn

from segsuite.encoders.dilation import set_rate
from segsuite.models.hybrid_rates import STAGES


def dilate_stages(body: nn.Module, hybrid_rates: Sequence[Sequence[int]]) -> None:
    """Sets the dilation of every convolution wider than 1x1 in the blocks of the last stages of `body`, in place: the
    last list is for the last stage; a list that is shorter than its stage begins anew.

    Strides and weights stay as they are.
    """
    for stage, rates in zip(reversed(STAGES), reversed(hybrid_rates), strict=False):
        blocks = next(module for path, module in body.named_modules() if path.rpartition(".")[2] == stage).children()
        for block, rate in zip(blocks, cycle(rates), strict=False):
            set_rate(block, rate)
