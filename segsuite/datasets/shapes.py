"""The embedded dataset: procedural scenes with large regions, thin lines and small rare objects, made from
nothing.

A scene depends on (scene_seed, split, index) and the aspect ratio alone, and is exact at any resolution
(`scenes`). Around each object lies a void band, about one pixel wide at the default size, as around the
objects of PASCAL VOC.
"""

import hashlib

from segsuite.datasets.base import Image, Label, SegmentationDataset
from segsuite.datasets.scenes import RENDERER_VERSION, render_scene
from segsuite.errors import ConfigError, unknown_name

SPLITS = ("train", "val", "test")
MAX_RARE_SHARE = 0.1
"""Small objects that keep a distance find no place for more."""


class Shapes(SegmentationDataset):
    """`size` is (height, width) in pixels, `scene_seed` picks the scenes, *_images the splits' lengths.

    `rare_share`: the share of all pixels that markers and spots have together, half each, above 0 to 0.1, in each split
    of images that are between half and twice as wide as high; by default about two of each are in an image.
    """

    classes = ("background", "ground", "blob", "building", "ring", "wire", "marker", "spot")
    palette = (
        *((70, 70, 80), (0, 158, 115), (0, 114, 178), (204, 121, 167)),
        *((86, 180, 233), (255, 255, 255), (240, 228, 66), (213, 94, 0)),
    )

    def __init__(
        self,
        split: str,
        *,
        size: tuple[int, int] = (96, 128),
        train_images: int = 240,
        val_images: int = 60,
        test_images: int = 60,
        scene_seed: int = 0,
        rare_share: float | None = None,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError(unknown_name("split of shapes", split, SPLITS))
        lengths = (train_images, val_images, test_images)
        if len(size) != 2 or min(size) < 1 or min(lengths) < 0 or scene_seed < 0:
            raise ConfigError(
                f"shapes got size={tuple(size)}, images={lengths}, scene_seed={scene_seed}",
                advice="Give a positive height and width, and no negative count or seed.",
            )
        self.split, self.size, self.scene_seed = split, (int(size[0]), int(size[1])), int(scene_seed)
        if rare_share is not None and not 0 < rare_share <= MAX_RARE_SHARE:
            raise ConfigError(
                f"rare_share of shapes is {rare_share}", advice=f"Give a share above 0 to {MAX_RARE_SHARE}."
            )
        self.rare_share = rare_share
        self._length = lengths[SPLITS.index(split)]

    def __len__(self) -> int:
        return self._length

    def sample_name(self, index: int) -> str:
        if not 0 <= index < self._length:
            raise IndexError(index)
        return f"{self.split}_{index:05d}"

    def read(self, index: int) -> tuple[Image, Label]:
        if not 0 <= index < self._length:
            raise IndexError(index)
        return render_scene(self.scene_seed, SPLITS.index(self.split), index, self.size, self.rare_share)

    def fingerprint(self) -> str:
        meaning = (RENDERER_VERSION, self.classes, self.split, self.size, self._length, self.scene_seed)
        rare = () if self.rare_share is None else (self.rare_share,)
        return hashlib.sha256(repr((*meaning, *rare)).encode()).hexdigest()[:16]
