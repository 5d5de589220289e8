"""Class weights from counts of pixels. Imports no torch.

Each rule is that of its source; with n[c] the pixels of class c, f[c] = n[c] / sum n:

| rule | weight of class c | source |
|---|---|---|
| inverse_frequency | 1 / f[c] | |
| median_frequency | median(g) / g[c], g[c] = n[c] / pixels of images with c | Eigen and Fergus 2015; SegNet |
| inverse_sqrt | 1 / sqrt(f[c]) | |
| log | 1 / log(c + f[c]), c = 1.02 | ENet, Paszke et al. 2016 |
| effective_number | (1 - beta) / (1 - beta^n[c]) | Cui et al. 2019 |
"""

import math
import statistics
from collections.abc import Callable, Sequence

from segsuite.errors import ConfigError, unknown_name

RULES = ("inverse_frequency", "median_frequency", "inverse_sqrt", "log", "effective_number")
NORMALISATIONS = ("none", "mean", "sum")


def class_weights(
    pixel_counts: Sequence[float],
    rule: str,
    present_pixels: Sequence[float] | None = None,
    beta: float = 1 - 1e-7,
    c: float = 1.02,
    normalise: str = "none",
    clip: tuple[float, float] | None = None,
) -> list[float]:
    """One weight a class from its number of training pixels; 0 for a class without pixels.

    present_pixels: for median_frequency, the pixels (without void) of the images in which the class occurs; all pixels
    if not given. beta: of effective_number, 0 to below 1. c: of log, above 1. normalise: `mean` makes the mean over the
    classes that have pixels 1, `sum` their sum. clip: lowest and highest weight of such a class, applied last. Raises
    ConfigError for anything else.

    >>> class_weights([8, 4, 4, 0], "inverse_frequency")
    [2.0, 4.0, 4.0, 0.0]
    >>> class_weights([8, 4, 4, 0], "inverse_frequency", normalise="sum", clip=(0.25, 1))
    [0.25, 0.4, 0.4, 0.0]
    """
    if rule not in RULES:
        raise ConfigError(unknown_name("rule of class weights", rule, RULES))
    if normalise not in NORMALISATIONS:
        raise ConfigError(unknown_name("normalise", normalise, NORMALISATIONS))
    counts = [float(count) for count in pixel_counts]
    total = sum(counts)
    if not counts or min(counts) < 0 or not 0 < total < math.inf:
        raise ConfigError(f"pixel counts are {counts}", advice="give one number >= 0 a class, not all 0")
    if not 0 <= beta < 1 or not c > 1:
        raise ConfigError(f"beta is {beta} and c {c}", advice="choose beta from 0 to below 1, and c above 1")
    held = [total] * len(counts) if present_pixels is None else list(present_pixels)
    raw = _raw(counts, held, total, rule, beta, c)
    seen = [weight for weight in raw if weight > 0]
    scale = {"none": 1.0, "mean": len(seen) / sum(seen), "sum": 1 / sum(seen)}[normalise]
    low, high = clip or (0.0, math.inf)
    if not 0 <= low <= high:
        raise ConfigError(f"clip is [{low}, {high}]", advice="give [lowest, highest], at least 0")
    return [min(max(weight * scale, low), high) if weight > 0 else 0.0 for weight in raw]


def _raw(counts: list[float], held: list[float], total: float, rule: str, beta: float, c: float) -> list[float]:
    frequencies = [count / pixels if count else 0.0 for count, pixels in zip(counts, held, strict=True)]
    median = statistics.median(frequency for frequency in frequencies if frequency > 0)

    def effective(count: float, frequency: float) -> float:
        # beta^n = exp(n log beta); expm1 and log1p keep the digits that 1 - beta^n loses for beta near 1
        return (1 - beta) / -math.expm1(count * math.log1p(beta - 1)) if beta else 1.0

    rules: dict[str, Callable[[float, float], float]] = {
        "inverse_frequency": lambda count, frequency: total / count,
        "median_frequency": lambda count, frequency: median / frequency,
        "inverse_sqrt": lambda count, frequency: math.sqrt(total / count),
        "log": lambda count, frequency: 1 / math.log(c + count / total),
        "effective_number": effective,
    }
    return [
        rules[rule](count, frequency) if count else 0.0 for count, frequency in zip(counts, frequencies, strict=True)
    ]
