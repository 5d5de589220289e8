"""The mean of a split's images: what all of them share, such as a bonnet, a vignette or a black border."""

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.audit import Progress
from segsuite.datasets.base import SegmentationDataset

MOST_IMAGES = 200
LONGER_SIDE = 320


def mean_image(dataset: SegmentationDataset, progress: Progress | None = None) -> NDArray[np.float32]:
    """(h, w, 3) float32 in 0..1: the mean of up to 200 evenly spaced images, each brought to the shape of the first
    and to at most 320 pixels. Raises DataError for an image that cannot be read."""
    # The loader reads datasets without OpenCV; only this needs it.
    import cv2

    indices = np.linspace(0, len(dataset) - 1, min(MOST_IMAGES, len(dataset))).round().astype(int).tolist()
    size, total = (0, 0), np.zeros((1, 1, 3))
    for done, index in enumerate(indices):
        image, _ = dataset.read(index)
        if not done:
            height, width = image.shape[:2]
            scale = min(1.0, LONGER_SIDE / max(height, width))
            size = max(1, round(scale * width)), max(1, round(scale * height))
            total = np.zeros((size[1], size[0], 3))
        full = np.float32(255 if image.dtype == np.uint8 else 1)
        total += cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA) / full
        if progress:
            progress(done + 1, len(indices))
    return (total / max(1, len(indices))).astype(np.float32)
