"""Segmentation scores from a confusion matrix; numpy only."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from segsuite.metrics import CLASS_SCORES, SCALAR_SCORES

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scores:
    """All scores of one split. `confusion`: int64 (C, C), row = label, column = prediction, void pixels left
    out.

    With TP, FP, FN of a class: IoU = TP / (TP + FP + FN), Dice = 2 TP / (2 TP + FP + FN), precision = TP /
    (TP + FP), recall = TP / (TP + FN).
    Policy for classes without a label pixel: IoU, Dice and recall are NaN (neither 0 nor 1) and no mean
    counts them; those that were predicted all the same are listed in `absent_predicted`, and their pixels
    still lower the IoU of the true classes. Precision is NaN for a class that was never predicted. Every mean
    is NaN when there is no labelled pixel at all.

    >>> scores = Scores(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    >>> scores.iou.round(3).tolist(), round(scores.miou, 3)
    ([0.75, 0.667, nan], 0.708)
    """

    confusion: Counts

    def __post_init__(self) -> None:
        matrix = np.array(self.confusion)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.dtype.kind not in "iu":
            raise ValueError(f"a confusion matrix is (C, C) of integers, got {matrix.shape} {matrix.dtype}")
        if (matrix < 0).any():
            raise ValueError("a confusion matrix holds no negative counts")
        matrix = matrix.astype(np.int64)
        matrix.flags.writeable = False
        object.__setattr__(self, "confusion", matrix)

    @cached_property
    def label_pixels(self) -> Counts:
        """int64 (C,): pixels labelled as each class (TP + FN)."""
        pixels: Counts = self.confusion.sum(axis=1)
        return pixels

    @cached_property
    def predicted_pixels(self) -> Counts:
        """int64 (C,): labelled pixels predicted as each class (TP + FP)."""
        pixels: Counts = self.confusion.sum(axis=0)
        return pixels

    @cached_property
    def present(self) -> npt.NDArray[np.bool_]:
        """bool (C,): classes that occur in the labels."""
        return self.label_pixels > 0

    @property
    def absent_predicted(self) -> tuple[int, ...]:
        """Class ids that were predicted although no pixel is labelled so."""
        return tuple(int(c) for c in np.flatnonzero(~self.present & (self.predicted_pixels > 0)))

    @cached_property
    def iou(self) -> Floats:
        """float64 (C,), NaN for classes absent from the labels."""
        true = self.confusion.diagonal()
        return _ratio(true, self.label_pixels + self.predicted_pixels - true, self.present)

    @cached_property
    def dice(self) -> Floats:
        """float64 (C,), NaN for classes absent from the labels; equals the F1 score of precision and
        recall."""
        true = self.confusion.diagonal()
        return _ratio(2 * true, self.label_pixels + self.predicted_pixels, self.present)

    @cached_property
    def precision(self) -> Floats:
        """float64 (C,), NaN for classes never predicted."""
        return _ratio(self.confusion.diagonal(), self.predicted_pixels, self.predicted_pixels > 0)

    @cached_property
    def recall(self) -> Floats:
        """float64 (C,), the accuracy of each class, NaN for classes absent from the labels."""
        return _ratio(self.confusion.diagonal(), self.label_pixels, self.present)

    @property
    def miou(self) -> float:
        """Mean IoU of the present classes (Everingham et al. 2010; FCN, Long et al. 2015, section 5)."""
        return self._mean(self.iou)

    @property
    def mean_accuracy(self) -> float:
        """Mean recall of the present classes."""
        return self._mean(self.recall)

    @property
    def mean_dice(self) -> float:
        """Mean Dice of the present classes."""
        return self._mean(self.dice)

    @property
    def pixel_accuracy(self) -> float:
        """Share of labelled pixels that are right."""
        total = int(self.confusion.sum())
        return int(self.confusion.trace()) / total if total else math.nan

    @property
    def frequency_weighted_iou(self) -> float:
        """Sum over present classes of (share of label pixels) * IoU (FCN, Long et al. 2015, section 5)."""
        total = int(self.confusion.sum())
        return float((self.label_pixels * np.nan_to_num(self.iou)).sum() / total) if total else math.nan

    def to_json(self) -> dict[str, Any]:
        """Scalars, per-class lists and the matrix as plain JSON values; NaN becomes null (None)."""
        document: dict[str, Any] = {name: _json_number(getattr(self, name)) for name in SCALAR_SCORES}
        for name in CLASS_SCORES:
            document[name] = [_json_number(value) for value in getattr(self, name).tolist()]
        document["absent_predicted"] = list(self.absent_predicted)
        document["confusion"] = self.confusion.tolist()
        return document

    def _mean(self, values: Floats) -> float:
        return float(values[self.present].mean()) if self.present.any() else math.nan


def _ratio(numerator: Counts, denominator: Counts, defined: npt.NDArray[np.bool_]) -> Floats:
    ratio = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=defined)
    return ratio


def _json_number(value: float) -> float | None:
    return None if math.isnan(value) else value
