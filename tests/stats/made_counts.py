"""Counts of made-up trials whose true effects are known."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class World:
    """A split of `images` images with `num_classes` classes of fixed sizes, on which trials can be scored."""

    def __init__(self, images: int = 60, num_classes: int = 3, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.pixels_NC = self.random.integers(200, 2000, (images, num_classes))
        self.difficulty_NC = self.random.normal(0, 0.05, (images, num_classes))

    def counts(self, recall: float | Floats, seed_sd: float = 0.005, image_sd: float = 0.02) -> Counts:
        """One trial: a share `recall` of pixels is right, give or take; the rest is taken for the next class. An array
        (N, C) is the recall of each image and class, for arms that differ from image to image."""
        noise = self.random.normal(0, seed_sd) + self.random.normal(0, image_sd, self.pixels_NC.shape)
        share = np.clip(recall + self.difficulty_NC + noise, 0, 1)
        true = np.rint(share * self.pixels_NC).astype(np.int64)
        missed = self.pixels_NC - true
        return np.stack([true, np.roll(missed, 1, axis=1), missed], axis=-1)

    def arms(self, recalls: Mapping[str, float], seeds: int = 3) -> dict[str, dict[int, Counts]]:
        return {arm: {seed: self.counts(recall) for seed in range(seeds)} for arm, recall in recalls.items()}


def confusion_of(counts_NC3: Counts) -> Counts:
    """The confusion matrix behind `World.counts`: missed pixels of class c are predicted as class c + 1."""
    true, _, missed = np.moveaxis(counts_NC3.sum(axis=0), -1, 0)
    matrix = np.diag(true)
    for c, pixels in enumerate(missed):
        matrix[c, (c + 1) % len(missed)] += pixels
    return matrix
