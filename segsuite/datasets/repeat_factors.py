"""Repeat-factor sampling: images with classes that few images have are drawn more often; numpy alone.

Source: Gupta, Dollar, Girshick, "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019, arXiv
1908.03195, section 4.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def repeat_factors(pixels_NC: NDArray[np.int64], threshold: float) -> Floats:
    """(N,): how often each image is drawn in comparison with one without a rare class, at least 1.

    `pixels_NC` are the pixels of each class in each image; f(c) is the share of the images that have class c. A class
    has r(c) = max(1, sqrt(threshold / f(c))), an image the largest r(c) of its classes; an image that is all void has
    1, and a class that no image has counts nowhere.
    """
    has_NC = pixels_NC > 0
    frequency_C = has_NC.mean(axis=0)
    of_class_C = np.sqrt(threshold / np.where(frequency_C > 0, frequency_C, 1.0)).clip(min=1.0)
    factors: Floats = np.where(has_NC, of_class_C, 1.0).max(axis=1, initial=1.0)
    return factors


def times_in_an_epoch(factors_N: Floats, generator: np.random.Generator) -> NDArray[np.int64]:
    """(N,): how often each image comes in one epoch of N images.

    Image i comes N r(i) / sum(r) times on average over epochs; in each epoch that is rounded down or up at random such
    that the epoch always has N images: systematic sampling (Madow, Annals of Mathematical Statistics 1949) in a random
    order. detectron2 rounds each r(i) for itself, so that its epochs are longer and of changing length; here arms with
    and without repeat factors do the same number of steps.
    """
    count = len(factors_N)
    order = generator.permutation(count)
    ends = np.cumsum(factors_N[order] * (count / factors_N.sum()))
    places = np.searchsorted(ends, generator.random() + np.arange(count), side="right")
    # The last end can lie below N by rounding.
    times: NDArray[np.int64] = np.bincount(order[places.clip(max=count - 1)], minlength=count)
    return times
