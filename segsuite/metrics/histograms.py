"""Histograms of predicted probabilities: what curves and calibration are computed from, on any machine. No torch.

Bins have 64 equal steps in each power of two of min(p, 1 - p), down to 2^-24 on both sides: fine where the ranking of
rare classes is decided (p near 0) and where confident networks live (p near 1, of which float32 knows no more). The bin
of a float32 is in its bits (`probabilities.py`). Memory is constant: 2 x C x 2946 counts, whatever the split's size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

STEP_BITS = 6
"""Each power of two has 2^STEP_BITS bins of equal width."""
OCTAVES = 23
"""Powers of two from 2^-24 to 1/2 on each side; what is nearer to 0 or 1 shares the outermost bin."""
HALF = 1 + (OCTAVES << STEP_BITS)
BINS = 2 * HALF

_steps = np.arange(HALF, dtype=np.float64)
_octave, _step = np.divmod(_steps, 1 << STEP_BITS)
# From 2^-24, the end of the outermost bin, to 1/2; all are exact in float32 and float64.
_low_edges = (1 + _step / (1 << STEP_BITS)) * 2.0 ** (_octave - OCTAVES - 1)
EDGES: Floats = np.concatenate([[0.0], _low_edges, 1 - _low_edges[:-1][::-1], [1.0]])
"""(BINS + 1,) float64 from 0 to 1. A bin holds its lower edge below 1/2 and its upper one above; 1/2 is below."""
CENTRES: Floats = (EDGES[1:] + EDGES[:-1]) / 2
HALF_WIDTHS: Floats = (EDGES[1:] - EDGES[:-1]) / 2


@dataclass(frozen=True, eq=False)
class Histograms:
    """Counts of labelled pixels by predicted probability, int64.

    `of_class` (C, 2, BINS): by the probability of class c, of pixels that are not labelled c [0] and that are [1].
    `of_top` (2, BINS): by the probability of the predicted class, where that is wrong [0] and right [1].
    """

    of_class: Counts
    of_top: Counts

    @property
    def pixels(self) -> int:
        """Labelled pixels."""
        return int(self.of_top.sum())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What histograms.npz holds, by name."""
        return {"of_class": self.of_class, "of_top": self.of_top, "edges": EDGES}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Histograms":
        """From the arrays of histograms.npz. Raises ValueError when they are of other bins, KeyError when one lacks."""
        of_class, of_top = arrays["of_class"].astype(np.int64), arrays["of_top"].astype(np.int64)
        if of_class.shape != (len(of_class), 2, BINS) or of_top.shape != (2, BINS):
            raise ValueError(f"histograms are (C, 2, {BINS}) and (2, {BINS}), got {of_class.shape} and {of_top.shape}")
        if not np.array_equal(arrays["edges"], EDGES):
            raise ValueError("the bins of these histograms have other edges")
        return cls(of_class, of_top)
