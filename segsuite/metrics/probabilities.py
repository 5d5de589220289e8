"""Counts the softmax of a whole split into histograms, on the device that computed it.

Integer counts alone: exact, the same in any order, and allowed under torch.use_deterministic_algorithms.
"""

import numpy as np
import torch
from torch import Tensor

from segsuite.errors import DataError
from segsuite.metrics.histograms import BINS, HALF, OCTAVES, STEP_BITS, Histograms

MANTISSA_BITS = 23
EXPONENT_BIAS = 127
# The bits of 2^-24, cut to the bits of a bin, become bin 1.
_FIRST = ((EXPONENT_BIAS - OCTAVES - 1) << STEP_BITS) - 1


def bin_of(probability: Tensor) -> Tensor:
    """int32: the bin of each float32 in 0..1, of any shape; see `histograms` for the bins.

    The exponent and the first bits of the mantissa of a float are its place on a scale that is linear within each
    power of two: no logarithm, no search. 1 - p is exact for p above 1/2 (Sterbenz 1974).
    """
    return torch.where(probability > 0.5, BINS - 1 - _below_half(1 - probability), _below_half(probability))


def _below_half(probability: Tensor) -> Tensor:
    place = probability.view(torch.int32) >> (MANTISSA_BITS - STEP_BITS)
    return place.sub_(_FIRST).clamp_(0, HALF - 1)


class ProbabilityCounter:
    """Adds up the histograms of batches. Its memory, and that of an image while it is counted, are all it needs."""

    def __init__(self, num_classes: int, device: str | torch.device = "cpu", ignore_index: int = 255) -> None:
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self._classes = torch.zeros(num_classes * BINS, dtype=torch.int64, device=device)
        self._labelled = torch.zeros_like(self._classes)
        self._top = torch.zeros(2 * BINS, dtype=torch.int64, device=device)

    def add(self, logits_NCHW: Tensor, prediction_NHW: Tensor, label_NHW: Tensor) -> None:
        """Counts a batch; `prediction` are the class ids of the largest logits (`confusion.predict`).

        Pixels labelled `ignore_index` count nowhere. Raises DataError for a label that is neither a class nor void.
        """
        for logits_CHW, prediction_HW, label_HW in zip(logits_NCHW, prediction_NHW, label_NHW, strict=True):
            # Image by image, so that memory does not grow with the batch. Contiguous: softmax along a last dimension
            # of few classes is 15 times slower on a CPU (torch 2.15).
            probability_CP = torch.softmax(logits_CHW.float().contiguous().flatten(1), 0)
            self._add(probability_CP, prediction_HW.flatten().long(), label_HW.flatten().long())

    def _add(self, probability_CP: Tensor, prediction_P: Tensor, label_P: Tensor) -> None:
        classes, device = self.num_classes, label_P.device
        void_P = label_P == self.ignore_index
        unknown = label_P[~void_P & ((label_P < 0) | (label_P >= classes))]
        if len(unknown):
            raise DataError(f"label {int(unknown[0])} is neither a class (0..{classes - 1}) nor void")
        top_1P = bin_of(probability_CP.gather(0, prediction_P[None]))
        # No class but the predicted one can have more than 1/2.
        bin_CP = _below_half(probability_CP).scatter_(0, prediction_P[None], top_1P)
        self._top += _counted(top_1P[0] + BINS * (prediction_P == label_P), void_P, 2)
        inside_P = label_P.clamp(0, classes - 1)
        labelled_P = bin_CP.gather(0, inside_P[None])[0] + BINS * inside_P
        self._labelled += _counted(labelled_P, void_P, classes)
        bin_CP += BINS * torch.arange(classes, dtype=torch.int32, device=device)[:, None]
        self._classes += _counted(bin_CP, void_P, classes)

    def histograms(self) -> Histograms:
        """All that was counted."""
        shape = (self.num_classes, BINS)
        every, labelled = self._classes.view(shape).cpu().numpy(), self._labelled.view(shape).cpu().numpy()
        return Histograms(np.stack([every - labelled, labelled], axis=1), self._top.view(2, BINS).cpu().numpy())


def _counted(place: Tensor, void_P: Tensor, rows: int) -> Tensor:
    """int64 (rows * BINS,): how often each place occurs where the pixel is not void. Overwrites `place`."""
    # Void goes behind the last bin: leaving it out by an index would copy everything else.
    return torch.bincount(place.masked_fill_(void_P, rows * BINS).flatten(), minlength=rows * BINS + 1)[:-1]
