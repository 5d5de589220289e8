"""Scores of parts of a split: by how frequent a class is, by the size of an object, and image by image; numpy only."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

FREQUENCY_GROUPS = ("head", "body", "tail")
TAIL_OF_EQUAL_SHARE = 0.2
"""Tail: classes with less than this of an equal share (1 / C) of the training pixels; head: with at least one."""

SIZE_GROUPS = ("small", "medium", "large")
SIZE_EDGES = (32**2, 96**2)
"""First area, in pixels of the label, of a medium and of a large object: those of COCO (Lin et al. 2014)."""
SIZE_COLUMNS = ("pixels", "pixels_right", "objects", "objects_found")
"""What `objects.object_counts` counts of each image, class and size."""

IMAGE_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def frequency_groups(training_pixels: Sequence[int], classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The classes of each group, most frequent first: head, at least an equal share of the labelled training pixels;
    tail, less than a fifth of one; body, between. CamVid's tail are its five rare classes.

    >>> frequency_groups([700, 260, 40], ["a", "b", "c"])
    {'head': ('a',), 'body': ('b',), 'tail': ('c',)}
    """
    total = sum(training_pixels)
    groups: dict[str, list[str]] = {name: [] for name in FREQUENCY_GROUPS}
    for place in sorted(range(len(classes)), key=lambda place: -training_pixels[place]):
        of_equal = training_pixels[place] * len(classes) / total if total else 0.0
        name = "head" if of_equal >= 1 else "tail" if of_equal < TAIL_OF_EQUAL_SHARE else "body"
        groups[name].append(classes[place])
    return {name: tuple(members) for name, members in groups.items()}


def image_miou(counts_NC3: NDArray[np.integer]) -> Floats:
    """float64 (N,): mIoU of each image alone, over the classes in its label; NaN without any. `counts`: TP, FP, FN."""
    true, false, missed = (counts_NC3[..., place].astype(np.float64) for place in range(3))
    present = true + missed > 0
    iou = np.divide(true, true + false + missed, out=np.zeros_like(true), where=present)
    found: Floats = np.full(len(iou), np.nan)
    classes = present.sum(axis=1)
    np.divide(iou.sum(axis=1), classes, out=found, where=classes > 0)
    return found


def group_summary(
    counts_NC3: NDArray[np.integer],
    object_counts_NC34: NDArray[np.integer],
    training_pixels: Sequence[int],
    classes: Sequence[str],
) -> dict[str, Any]:
    """What result.json says of parts of the split; means are over the classes that occur in the labels there."""
    return {
        "frequency": _by_frequency(counts_NC3, training_pixels, classes),
        "training_share": _shares(training_pixels, classes),
        "object_size": _by_size(object_counts_NC34.sum(axis=0), classes),
        "image_miou": _quantiles(image_miou(counts_NC3)),
    }


def _by_frequency(
    counts_NC3: NDArray[np.integer], training_pixels: Sequence[int], classes: Sequence[str]
) -> dict[str, Any]:
    true, false, missed = counts_NC3.sum(axis=0, dtype=np.int64).T
    iou = np.where(true + missed > 0, true / np.maximum(true + false + missed, 1), np.nan)
    recall = np.where(true + missed > 0, true / np.maximum(true + missed, 1), np.nan)
    groups = frequency_groups(training_pixels, classes)
    places = {name: [list(classes).index(member) for member in members] for name, members in groups.items()}
    return {
        name: {"classes": list(members), "miou": _mean(iou[places[name]]), "mean_recall": _mean(recall[places[name]])}
        for name, members in groups.items()
    }


def _by_size(counts_C34: Counts, classes: Sequence[str]) -> dict[str, Any]:
    pixels, right, objects, found = np.moveaxis(counts_C34, -1, 0)
    recall = np.where(pixels > 0, right / np.maximum(pixels, 1), np.nan)
    return {
        name: {
            "mean_recall": _mean(recall[:, place]),
            "recall": dict(zip(classes, recall[:, place].tolist(), strict=True)),
            "objects": int(objects[:, place].sum()),
            "objects_found": int(found[:, place].sum()),
        }
        for place, name in enumerate(SIZE_GROUPS)
    }


def _quantiles(values: Floats) -> Mapping[str, Any]:
    known = values[~np.isnan(values)]
    if not known.size:
        return {"mean": math.nan, "quantiles": {f"{level:g}": math.nan for level in IMAGE_QUANTILES}}
    found = np.quantile(known, IMAGE_QUANTILES).tolist()
    levels = [f"{level:g}" for level in IMAGE_QUANTILES]
    return {"mean": float(known.mean()), "quantiles": dict(zip(levels, found, strict=True))}


def _shares(pixels: Sequence[int], classes: Sequence[str]) -> dict[str, float]:
    total = sum(pixels)
    return {name: count / total if total else math.nan for name, count in zip(classes, pixels, strict=True)}


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
