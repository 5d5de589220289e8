"""From a target of the command line to the operator that the theory looks at."""

from itertools import pairwise

import numpy as np
import torch

from segsuite.checkerboard.theory import operators
from segsuite.checkerboard.theory.operators import Operator, Step
from segsuite.checkerboard.theory.overlap import Geometry
from segsuite.checkerboard.theory.own_module import own_step
from segsuite.checkerboard.theory.targets import Named, Piece, Target
from segsuite.errors import ConfigError

MAX_FACTOR = 32
"""Of a whole chain: beyond it responses take gigabytes."""


def build_operator(target: Target, channels: int, factor: int, seed: int) -> Operator:
    """The chain with `channels` everywhere, each upsampler enlarging by `factor`, all weights drawn from `seed`; a
    bare geometry and a user's module have factors of their own.

    Raises ConfigError, with the target, for a factor that a piece cannot do, for more than 32 in all, and for a user's
    module that cannot be used (own_module.py).
    """
    where = f"--checkerboard {target.text[:80]}"
    try:
        with torch.random.fork_rng(devices=[]):  # constructors draw from torch's own generator
            steps = [
                _step(piece, channels, factor, int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
                for number, piece in enumerate(target.pieces)
            ]
    except ConfigError as error:
        raise ConfigError(error.what, error.where or where, error.advice) from error
    for before, after in pairwise(steps):
        if before.out_channels != after.in_channels:
            raise ConfigError(
                f"a step gives {before.out_channels} channels and the next takes {after.in_channels}",
                where,
                "choose --channels so that they agree",
            )
    operator = Operator(tuple(steps))
    if operator.factor > MAX_FACTOR:
        raise ConfigError(
            f"{target.text} enlarges by {operator.factor}", where, f"take a shorter chain: at most {MAX_FACTOR}"
        )
    return operator


def _step(piece: Piece, channels: int, factor: int, seed: int) -> Step:
    if isinstance(piece, Named):
        return operators.named({"name": piece.name, "init": piece.init}, channels, factor, seed)
    if isinstance(piece, Geometry):
        return operators.bare(piece, channels, seed)
    return own_step(piece, channels, factor, seed)
