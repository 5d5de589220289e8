"""Counts pixels and objects of each class by the size of the object; numpy and OpenCV, no torch."""

import cv2
import numpy as np
from numpy.typing import NDArray

from segsuite.metrics.groups import SIZE_COLUMNS, SIZE_EDGES, SIZE_GROUPS, Counts

Labels = NDArray[np.integer]


def object_counts(prediction_HW: Labels, label_HW: Labels, num_classes: int, ignore_index: int = 255) -> Counts:
    """int64 (C, 3, 4): the SIZE_COLUMNS of each class and of its objects of each size in one image.

    An object is a connected component of a class in the label (8 neighbours): touching objects of one class are one,
    and one that is cut in two by another is two. Void belongs to none. An object is found when at least half of its
    pixels are right.
    """
    counts = np.zeros((num_classes, len(SIZE_GROUPS), len(SIZE_COLUMNS)), np.int64)
    label = label_HW.astype(np.uint8)
    right = prediction_HW == label_HW
    for class_id in np.flatnonzero(np.bincount(label.ravel(), minlength=256)[:num_classes]):
        if class_id == ignore_index:
            continue
        mask = (label == class_id).view(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        box = slice(top, top + height), slice(left, left + width)
        found, objects = cv2.connectedComponents(mask[box], connectivity=8, ltype=cv2.CV_32S)
        area = np.bincount(objects.ravel(), minlength=found)[1:]
        true = np.bincount(objects[right[box]], minlength=found)[1:]
        columns = (area, true, np.ones_like(area), 2 * true >= area)
        size = np.digitize(area, SIZE_EDGES)
        for column, values in enumerate(columns):
            counts[class_id, :, column] = np.bincount(size, values, len(SIZE_GROUPS))
    return counts
