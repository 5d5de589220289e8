"""How many rare objects a scene of `shapes` holds, and where, when their share of the pixels is asked for."""

import math
from collections.abc import Sequence

import numpy as np

Place = tuple[float, float]
"""x and y of an object's centre; the image height is 1."""

TRIES = 200


def objects_in(mean: float, offset: float, index: int) -> int:
    """How many of a kind scene `index` holds: `mean` on average over any run of scenes, to within one object.

    `offset` (0..1) is that of the whole split. Numbers drawn scene by scene would let the share of a small split
    differ from what was asked for.
    """
    return math.floor((index + 1) * mean + offset) - math.floor(index * mean + offset)


def scattered(
    generator: np.random.Generator, aspect: float, counts: Sequence[int], reaches: Sequence[float], gap: float
) -> list[list[Place]]:
    """Random centres of `counts` objects of each kind, inside the image (1 high, `aspect` wide) and apart.

    `reaches` are the largest distances of an object's edge from its centre; objects keep `gap` between them, so that
    none hides a part of another. Where that fails TRIES times, an object lies where the last try put it.
    """
    placed: list[tuple[float, float, float]] = []
    found: list[list[Place]] = []
    for count, reach in zip(counts, reaches, strict=True):
        for _ in range(count):
            for _ in range(TRIES):
                x, y = (generator.uniform(min(reach, side / 2), max(side - reach, side / 2)) for side in (aspect, 1.0))
                if all(math.hypot(x - a, y - b) >= reach + other + gap for a, b, other in placed):
                    break
            placed.append((x, y, reach))
        found.append([(x, y) for x, y, _ in placed[len(placed) - count :]])
    return found


def mean_square(low: float, high: float) -> float:
    """Of a number uniform in low..high.

    >>> mean_square(0, 3)
    3.0
    """
    return (low * low + low * high + high * high) / 3
