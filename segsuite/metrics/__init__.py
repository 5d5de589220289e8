"""Metrics: all from one int64 confusion matrix [row = label, column = prediction] of a whole split.

`confusion.py` (torch) counts on the device, `scores.py` (numpy only) derives the scores, so that they can be
recomputed on a machine without torch; `probabilities.py` and `histograms.py`, `curves.py`, `calibration.py` are the
same of the softmax. mIoU is the one of the papers: the mean of dataset-level per-class IoU
over the classes that occur in the split's labels, never a mean of per-image IoU. This module imports neither
torch nor numpy.
"""

SCALAR_SCORES: tuple[str, ...] = (
    "miou",
    "pixel_accuracy",
    "mean_accuracy",
    "frequency_weighted_iou",
    "mean_dice",
)
CLASS_SCORES: tuple[str, ...] = ("iou", "dice", "precision", "recall")
# Along the borders of classes (boundary.py), and what is counted for them in each image and class.
BOUNDARY_SCORES: tuple[str, ...] = ("boundary_iou", "boundary_iou_2px", "boundary_f", "trimap_iou_3px")
BOUNDARY_COLUMNS: tuple[str, ...] = (
    *("iou_intersection", "iou_union", "iou_2px_intersection", "iou_2px_union"),
    *("f_predicted_matched", "f_predicted", "f_label_matched", "f_label"),
    *("trimap_3px_intersection", "trimap_3px_union"),
)
