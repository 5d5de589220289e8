"""Where a crop is placed so that rare classes are in it and no class fills it; numpy alone, one generator decides."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.base import Label

Place = tuple[int, int]
"""Top row and left column of a crop."""


class ClassAwarePlacement:
    """Places crops by the classes that they hold.

    With `probability`, a class is drawn among those of the image, then one of its pixels, all alike, then one of the
    places whose crop holds that pixel, all alike. A class c is drawn in proportion to exp((1 - f_c) / `temperature`)
    with its share f_c of the pixels in `shares_C` (rare class sampling of DAFormer: Hoyer, Dai, Van Gool, CVPR 2022,
    arXiv 2111.14887, section 3.3, there for images, with a temperature of 0.01); without a temperature all are alike,
    as in nnU-Net (Isensee et al., Nature Methods 2021), which oversamples the foreground in a third of its patches.
    Unlike there the pixel is not put into the middle of the crop: rare classes would be learnt to lie in the middle.

    Whether a class was drawn or not, a place is redrawn while one class has more than `max_share` of the crop's
    pixels without void, `tries` times in all (mmsegmentation's cat_max_ratio, there 0.75 and 10 tries, from where the
    last one is taken). When none is good, the place with the smallest such share is taken.
    """

    def __init__(
        self,
        shares_C: Sequence[float],
        probability: float,
        temperature: float | None = 0.01,
        max_share: float = 1.0,
        tries: int = 10,
    ) -> None:
        self.probability, self.max_share = probability, max_share
        self.tries = tries if max_share < 1 else 1
        self._log_chances_C = -np.asarray(shares_C, np.float64) / (np.inf if temperature is None else temperature)

    def place(self, mask: Label, crop: tuple[int, int], plain: Place, generator: np.random.Generator) -> Place:
        """The place of a `crop` (height, width) of `mask` (H, W), which is at least as large; 255 is void.

        `plain` is the place that it would have without regard to classes.
        """
        on_a_class = generator.random() < self.probability
        chosen = self._class_of(mask, generator) if on_a_class else None
        pixels = None if chosen is None else np.flatnonzero(mask == chosen)
        best, smallest = plain, np.inf
        for attempt in range(self.tries):
            if pixels is not None:
                place = _around(divmod(int(generator.choice(pixels)), mask.shape[1]), mask.shape, crop, generator)
            else:
                place = plain if attempt == 0 else _anywhere(mask.shape, crop, generator)
            share = self._largest_share(mask[place[0] : place[0] + crop[0], place[1] : place[1] + crop[1]])
            if share <= self.max_share:
                return place
            if share < smallest:
                best, smallest = place, share
        return best

    def _class_of(self, mask: Label, generator: np.random.Generator) -> int | None:
        """A class that `mask` holds; None when all is void."""
        present = np.flatnonzero(self._pixels_C(mask))
        if not len(present):
            return None
        log_chances = self._log_chances_C[present]
        chances = np.exp(log_chances - log_chances.max())
        return int(generator.choice(present, p=chances / chances.sum()))

    def _largest_share(self, mask: Label) -> float:
        """Of one class in all pixels without void; 1 where all is void, so that such a crop is not preferred."""
        if self.max_share == 1:
            return 0.0
        pixels_C = self._pixels_C(mask)
        return float(pixels_C.max() / pixels_C.sum()) if pixels_C.any() else 1.0

    def _pixels_C(self, mask: Label) -> NDArray[np.int64]:
        return np.bincount(mask.ravel(), minlength=256)[: len(self._log_chances_C)]


def _around(
    pixel: Place, size: tuple[int, ...], crop: tuple[int, int], generator: np.random.Generator
) -> tuple[int, int]:
    """One of the places whose crop holds `pixel` (row, column)."""
    top, left = (
        int(generator.integers(max(0, at - length + 1), min(at, whole - length) + 1))
        for at, length, whole in zip(pixel, crop, size, strict=True)
    )
    return top, left


def _anywhere(size: tuple[int, ...], crop: tuple[int, int], generator: np.random.Generator) -> tuple[int, int]:
    top, left = (int(generator.integers(whole - length + 1)) for length, whole in zip(crop, size, strict=True))
    return top, left
