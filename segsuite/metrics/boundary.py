"""Scores along the borders of classes, from counts that are summed over a whole split; numpy and OpenCV, no torch.

One pass over an image counts all classes at once. Whether a pixel lies within d of another label does not depend on
its class, so that one dilation serves the boundary regions of all; contours of up to 64 classes are dilated together
as the bits of one integer.

Void: a pixel whose label is void counts nowhere, and the prediction is set to void there, so that a void region is a
border for both. Borders of the image count for boundary IoU alone, as in its official code.
"""

import math
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from segsuite.metrics import BOUNDARY_COLUMNS, BOUNDARY_SCORES

Counts = NDArray[np.int64]
Labels = NDArray[np.integer]
Mask = NDArray[np.bool_]

REGION_FRACTION = 0.02
"""Width of boundary IoU's region, of the image's diagonal (Cheng et al. 2021, arXiv 2103.16562)."""
REGION_PIXELS = 2
"""Width of the narrow region: a pattern of one pixel drowns in 2 % of the diagonal."""
TOLERANCE_FRACTION = 0.0075
"""Distance up to which contours match, of the image's diagonal (Csurka et al. 2013, after BSDS)."""
TRIMAP_PIXELS = 3
"""Half width of the band around the label's borders (Kohli et al. 2009; DeepLab, arXiv 1606.00915)."""


def boundary_counts(prediction_HW: Labels, label_HW: Labels, num_classes: int, ignore_index: int = 255) -> Counts:
    """int64 (C, 10): the columns BOUNDARY_COLUMNS of each class in one image; class ids below 255.

    Boundary IoU (Cheng et al. 2021): pixels of a class within d of another label or of the image's border (chessboard
    distance: what d erosions by 3x3 take away), their intersection and union; d is 2 % of the diagonal, and 2 pixels.
    Boundary F (Csurka et al. 2013): contour pixels (of the class, beside another label) of the prediction within
    0.75 % of the diagonal of a contour pixel of the same class in the label, all of the prediction, and the reverse.
    Trimap IoU (Kohli et al. 2009): true positives, and with false ones, within 3 pixels of a border of the label.
    """
    void = label_HW == ignore_index
    label = label_HW.astype(np.uint8)
    prediction = np.where(void, np.uint8(ignore_index), prediction_HW.astype(np.uint8))
    diagonal = math.hypot(*label.shape)
    of_label, of_prediction = _beside_another(label), _beside_another(prediction)
    agree = prediction == label

    def per_class(labels: NDArray[np.uint8], where: Mask) -> Counts:
        return np.bincount(labels[where & ~void], minlength=num_classes)[:num_classes]

    columns: list[Counts] = []
    for width in (max(1, round(REGION_FRACTION * diagonal)), REGION_PIXELS):
        region, predicted = _region(of_label, width, True), _region(of_prediction, width, True)
        both = per_class(label, agree & region & predicted)
        columns += [both, per_class(label, region) + per_class(prediction, predicted) - both]
    contours = _Contours(of_label, label, num_classes, TOLERANCE_FRACTION * diagonal)
    predicted_contours = _Contours(of_prediction, prediction, num_classes, TOLERANCE_FRACTION * diagonal)
    columns += [per_class(prediction, of_prediction & contours.near(prediction)), per_class(prediction, of_prediction)]
    columns += [per_class(label, of_label & predicted_contours.near(label)), per_class(label, of_label)]
    band = _region(of_label, TRIMAP_PIXELS, False)
    true = per_class(label, band & agree)
    columns += [true, per_class(label, band) + per_class(prediction, band) - true]
    return np.stack(columns, axis=1)


def boundary_scores(counts_NCK: Counts, present_C: Mask) -> dict[str, float]:
    """The BOUNDARY_SCORES of a split from counts (N, C, 10) of its images; `present` are the classes in its labels.

    Counts are summed over the images first; then the mean over present classes that have a border there at all. NaN
    when there is none. Boundary F is 2 P R / (P + R), with a precision or recall of nothing taken as 0.

    >>> counts = np.zeros((1, 2, 10), dtype=np.int64)
    >>> counts[0, :, :2] = [[3, 4], [1, 4]]
    >>> boundary_scores(counts, np.array([True, True]))["boundary_iou"]
    0.5
    """
    sums = dict(zip(BOUNDARY_COLUMNS, counts_NCK.sum(axis=0).T.astype(np.float64), strict=True))
    per_class: Mapping[str, NDArray[np.float64]] = {
        "boundary_iou": _ratio(sums["iou_intersection"], sums["iou_union"]),
        "boundary_iou_2px": _ratio(sums["iou_2px_intersection"], sums["iou_2px_union"]),
        "boundary_f": _f_measure(sums),
        "trimap_iou_3px": _ratio(sums["trimap_3px_intersection"], sums["trimap_3px_union"]),
    }
    defined = {name: present_C & ~np.isnan(per_class[name]) for name in BOUNDARY_SCORES}
    return {name: float(per_class[name][where].mean()) if where.any() else math.nan for name, where in defined.items()}


def _f_measure(sums: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    precision = np.nan_to_num(_ratio(sums["f_predicted_matched"], sums["f_predicted"]))
    recall = np.nan_to_num(_ratio(sums["f_label_matched"], sums["f_label"]))
    measure = np.nan_to_num(_ratio(2 * precision * recall, precision + recall))
    return np.where(sums["f_predicted"] + sums["f_label"] > 0, measure, np.nan)


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = np.full_like(numerator, np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio


def _beside_another(labels_HW: NDArray[np.uint8]) -> Mask:
    """Pixels with another label among their eight neighbours; beyond the image is none."""
    kernel = np.ones((3, 3), dtype=np.uint8)
    beside: Mask = cv2.dilate(labels_HW, kernel) != cv2.erode(labels_HW, kernel)
    return beside


def _region(beside_HW: Mask, width: int, image_border: bool) -> Mask:
    """Pixels within `width` (chessboard distance) of another label: those beside one, dilated by width - 1."""
    beside = beside_HW.astype(np.uint8)
    if image_border:
        beside[[0, -1]] = beside[:, [0, -1]] = 1
    side = 2 * width - 1
    region: Mask = cv2.dilate(beside, np.ones((side, side), dtype=np.uint8)) > 0
    return region


class _Contours:
    """The contours of all classes, widened by `radius` (Euclidean): a bit a class in every pixel."""

    def __init__(self, contour_HW: Mask, labels_HW: NDArray[np.uint8], num_classes: int, radius: float) -> None:
        self.planes: list[NDArray[np.unsignedinteger]] = []
        for first in range(0, num_classes, 64):
            classes = min(64, num_classes - first)
            dtype = np.dtype(next(kind for kind in ("u1", "u2", "u4", "u8") if classes <= 8 * int(kind[1])))
            bit_of_label = np.zeros(256, dtype=dtype)
            bit_of_label[first : first + classes] = np.left_shift(dtype.type(1), np.arange(classes, dtype=dtype))
            self.planes.append(_dilate_bits(bit_of_label[labels_HW] * contour_HW, radius))

    def near(self, labels_HW: NDArray[np.uint8]) -> Mask:
        """Whether each pixel is within the radius of a contour of the class that `labels` names for it."""
        near = np.zeros(labels_HW.shape, dtype=bool)
        for index, plane in enumerate(self.planes):
            shift = (labels_HW & 63).astype(plane.dtype)
            inside = labels_HW >> 6 == index
            near |= inside & ((plane >> shift) & plane.dtype.type(1)).astype(bool)
        return near


def _dilate_bits(bits_HW: NDArray[np.unsignedinteger], radius: float) -> NDArray[np.unsignedinteger]:
    """OR over a disk: rows of the disk that are 2 w + 1 wide share one horizontal OR, which grows with w."""
    height, width = bits_HW.shape
    reach = int(radius)
    padded = np.pad(bits_HW, reach)
    run = padded[:, reach : reach + width].copy()
    half_width = [int(math.sqrt(radius**2 - dy**2)) for dy in range(reach + 1)]
    dilated = np.zeros_like(bits_HW)
    for w in range(reach + 1):
        if w:
            run |= padded[:, reach - w : reach - w + width]
            run |= padded[:, reach + w : reach + w + width]
        for dy in (dy for dy in range(reach + 1) if half_width[dy] == w):
            dilated |= run[reach - dy : reach - dy + height]
            dilated |= run[reach + dy : reach + dy + height]
    return dilated
