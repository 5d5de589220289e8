"""Histograms of probabilities that are known one by one, and exact measures of those."""

import numpy as np
import torch
from numpy.typing import NDArray

from segsuite.metrics.histograms import BINS
from segsuite.metrics.probabilities import bin_of

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def histogram(probability: Floats, positive: Mask) -> NDArray[np.int64]:
    """(2, BINS): of the negatives and of the positives."""
    place = bin_of(torch.from_numpy(probability.astype(np.float32))).numpy()
    return np.stack([np.bincount(place[positive == kind], minlength=BINS) for kind in (False, True)])


def draw(kind: str, seed: int, pixels: int = 600) -> tuple[Floats, Mask]:
    """Probabilities, exactly representable in float32, and whether each pixel is of the class."""
    random = np.random.default_rng([seed, *kind.encode()])
    positive = random.random(pixels) < (0.02 if kind == "rare" else 0.3)
    positive[:2] = True, False
    score = random.normal(0, 1.5, pixels) + 1.5 * positive
    if kind == "rare":
        score -= 5
    if kind == "confident":
        score = 4 * score
    probability = 1 / (1 + np.exp(-score))
    if kind == "one bin":
        probability = 0.3 + 1e-4 * probability
    if kind == "tied":
        probability = np.round(8 * probability) / 8
    return probability.astype(np.float32).astype(np.float64), positive


KINDS = ("common", "rare", "confident", "one bin", "tied")


def exact_average_precision(probability: Floats, positive: Mask) -> float:
    """Sum over distinct thresholds of (recall_n - recall_(n-1)) precision_n, by its definition."""
    total, recall = 0.0, 0.0
    for threshold in sorted(set(probability), reverse=True):
        found = probability >= threshold
        now = (found & positive).sum() / positive.sum()
        total += (now - recall) * (found & positive).sum() / found.sum()
        recall = now
    return total


def exact_area_under_roc(probability: Floats, positive: Mask) -> float:
    """Share of pairs that are ordered rightly, ties half."""
    difference = probability[positive][:, None] - probability[~positive][None]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)
