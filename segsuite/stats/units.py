"""What is resampled: images, sequences, or blocks of consecutive frames.

Frames of one video are correlated, so that treating them as independent makes intervals too narrow. The rule:
- every image is a sequence of its own (or no sequences are given): the unit is the image;
- at least MIN_UNITS sequences: the unit is the sequence (cluster-robust linearisation: Binder, International
  Statistical Review 51, 1983, 279-292; here by leaving sequences out). Fewer clusters make every cluster-robust
  interval unreliable (Cameron, Gelbach and Miller, Review of Economics and Statistics 90, 2008, 414-427);
- otherwise the sequences are cut into MIN_UNITS contiguous blocks of nearly equal length that never cross from one
  sequence into another. Few long blocks and a t quantile for few units hold their level without knowing how long the
  correlation lasts, as long as blocks are longer than that (Ibragimov and Mueller, Journal of Business and Economic
  Statistics 28, 2010, 453-468). Eight is the compromise found by simulation on 101 frames and three seeds
  (tests/stats/test_false_positives.py): false positives stay below 9 % up to a correlation of 0.9 from frame to frame
  (10 blocks: up to 10 %, single frames: 18 %), and t(7) is only 21 % wider than the normal quantile. Beyond that (0.95
  with five seeds: 12 %) no rule on seven seconds of one drive helps.
An interval over blocks is about more frames of these same recordings. It says nothing about other recordings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segsuite.errors import DataError

Counts = npt.NDArray[np.int64]

MIN_UNITS = 8


@dataclass(frozen=True, eq=False)
class Units:
    """`unit`: "image", "sequence" or "block of 12-13 frames". `index`: intp (N,), the unit 0..count-1 of each image."""

    unit: str
    index: npt.NDArray[np.intp]
    count: int

    def sums(self, counts_N: Counts) -> Counts:
        """Counts of each unit, int64 (count, ...), from those of each image, (N, ...)."""
        if self.count == len(counts_N):
            return counts_N
        joined = np.zeros((self.count, *counts_N.shape[1:]), dtype=np.int64)
        np.add.at(joined, self.index, counts_N)
        return joined


def resampling_units(images: int, sequences: Sequence[str] | None = None) -> Units:
    """The units of `images` images by the rule above. `sequences`: the name of each image's sequence, images of a
    sequence in the order of time (which the order of names is). Raises DataError when the lengths differ."""
    names = [str(name) for name in sequences] if sequences is not None else []
    if sequences is not None and len(names) != images:
        raise DataError(
            f"{images} images have {len(names)} names of sequences", "counts.npz", "Score the trials again."
        )
    distinct, of_image, sizes = np.unique(names, return_inverse=True, return_counts=True)
    if sequences is None or len(distinct) == images or images <= MIN_UNITS:
        return Units("image", np.arange(images), images)
    if len(distinct) >= MIN_UNITS:
        return Units("sequence", of_image, len(distinct))
    index = np.empty(images, dtype=np.intp)
    lengths: list[int] = []
    for sequence, blocks in enumerate(_shares([int(size) for size in sizes])):
        for block in np.array_split(np.flatnonzero(of_image == sequence), blocks):
            index[block] = len(lengths)
            lengths.append(len(block))
    shortest, longest = min(lengths), max(lengths)
    of = f"{longest} frames" if shortest == longest else f"{shortest}-{longest} frames"
    return Units(f"block of {of}", index, len(lengths))


def _shares(sizes: list[int]) -> list[int]:
    """Blocks of each sequence: one each, then one more for the sequence with the longest, until there are MIN_UNITS."""
    shares = [1] * len(sizes)
    for _ in range(MIN_UNITS - len(sizes)):
        lengths = [size / share for size, share in zip(sizes, shares, strict=True)]
        shares[lengths.index(max(lengths))] += 1
    return shares
