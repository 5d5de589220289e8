"""The images that all are timed on: CamVid where it is, else files of the same layout, size and number of classes."""

import dataclasses
import os
from pathlib import Path

import cv2
import numpy as np
from sectioned import Context

from segsuite.datasets import build_dataset
from segsuite.datasets.camvid import RAW_VOID

SPLITS = {"train": 32, "val": 8}
SMALL = {"train": 8, "val": 2}


def with_images(context: Context) -> Context:
    """`context` with a folder of images."""
    if context.data is not None:
        return context
    folder = context.folder / "camvid"
    if not folder.exists():
        _write(folder, SMALL if context.small else SPLITS, (64, 96) if context.small else (360, 480))
    # What is decoded of them is of no use to anyone later.
    os.environ["XDG_CACHE_HOME"] = str(context.folder / "cache")
    return dataclasses.replace(context, data=folder)


def _write(folder: Path, splits: dict[str, int], size: tuple[int, int]) -> None:
    """Noisy images, so that decoding them takes as long as that of photographs; labels of all classes and void."""
    draw = np.random.default_rng(0)
    for split, count in splits.items():
        scenes = build_dataset("shapes", "train", size=list(size), train_images=count, val_images=1)
        images, masks = folder / split, folder / f"{split}annot"
        images.mkdir(parents=True)
        masks.mkdir()
        for at in range(count):
            image, label = scenes.read(at)
            noisy = np.clip(image.astype(int) + draw.integers(-12, 13, image.shape), 0, 255).astype(np.uint8)
            stripes = np.arange(size[1]) * RAW_VOID // size[1]
            mask = np.where(label == 0, np.broadcast_to(stripes, size), label % RAW_VOID).astype(np.uint8)
            mask[:4] = RAW_VOID
            cv2.imwrite(str(images / f"{at:04}.png"), noisy)
            cv2.imwrite(str(masks / f"{at:04}.png"), mask)
