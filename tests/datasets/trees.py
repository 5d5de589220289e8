"""Small trees of images and masks for the tests of datasets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.folder import Folder

SIZE = (6, 8)
GLOBS = {"images": "images/**/*.png", "masks": "masks/**/*.png", "fractions": {"train": 1.0}}
"""Settings of `folder` for what `folder_tree` writes."""


def save(path: Path, array: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def image_of(seed: int = 0, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def ids_of(*values: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """A mask that holds `values` in turn."""
    return np.resize(np.array(values, dtype=np.uint8), size)


def folder_tree(
    root: Path, names: list[str], mask: Callable[[int], NDArray[np.generic]] = lambda i: ids_of(0, 1)
) -> Path:
    """root/images/NAME.png and root/masks/NAME.png; a name may hold folders."""
    for i, name in enumerate(names):
        save(root / "images" / f"{name}.png", image_of(i))
        save(root / "masks" / f"{name}.png", mask(i))
    return root


def camvid_tree(root: Path, split: str = "train", count: int = 3, listed: bool = True) -> Path:
    """A split in CamVid's layout whose list holds the paths of another machine."""
    names = [f"0001TP_{30 * i:06d}.png" for i in range(count - 1)] + ["0006R0_f00930.png"]
    for i, name in enumerate(names):
        save(root / split / name, image_of(i))
        save(root / f"{split}annot" / name, ids_of(*range(12)))
    if listed:
        lines = [f"/SegNet/CamVid/{split}/{name} /SegNet/CamVid/{split}annot/{name}" for name in reversed(names)]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root


def build_folder(root: Path, split: str = "train", **settings: Any) -> Folder:
    """The dataset `folder` of two classes a and b, unless the settings say otherwise."""
    return Folder(split, root=root, **{"classes": ["a", "b"], **settings})


def names_of(data: SegmentationDataset) -> list[str]:
    return [data.sample_name(i) for i in range(len(data))]
