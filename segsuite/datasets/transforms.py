"""Augmentation of one image and its mask, a function of a seed and nothing else."""

import os
import random
from typing import Any, NamedTuple

import numpy as np

# Its import would otherwise ask the network for a newer release.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cv2

from segsuite.datasets.class_crops import ClassAwarePlacement

VOID = 255
MEAN_COLOUR = (124.0, 116.0, 104.0)  # ImageNet's mean: padding that the normalised network sees as zero
# Nearest-exact samples the centre of each cell; plain nearest would shift labels by half a pixel against the image.
NEAREST = cv2.INTER_NEAREST_EXACT
COLOURS = ("brightness", "contrast", "saturation", "hue")
"""The steps of colour in albumentations' numbering."""


class _ClassAwareCrop(albumentations.RandomCrop):  # type: ignore[misc]  # albumentations has no types
    def __init__(self, crop: tuple[int, int], placement: ClassAwarePlacement) -> None:
        super().__init__(*crop, p=1)
        self.placement = placement

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = super().get_params_dependent_on_data(params, data)
        left, top, _, _ = found["crop_coords"]
        # A stream of its own: the steps that follow draw what they would draw without it.
        generator = self.random_generator.spawn(1)[0]
        top, left = self.placement.place(data["mask"], (self.height, self.width), (top, left), generator)
        return {**found, "crop_coords": (left, top, left + self.width, top + self.height)}


class Drawn(NamedTuple):
    """What the augmentation of a sample does, without its pixels.

    size: (height, width) that the image is scaled to; padding: rows above and columns to the left of it; corner: top
    row and left column of the crop in the padded image; colours: (number in COLOURS, factor) in the order in which they
    are applied.
    """

    size: tuple[int, int]
    padding: tuple[int, int]
    corner: tuple[int, int]
    flipped: bool
    colours: tuple[tuple[int, float], ...]


class Transform:
    """A function (image_HWC, mask_HW, seed) -> (image_HWC, mask_HW).

    Order: scale by a random factor, pad to the crop (labels with void), crop, flip, colours. Scale factor and changes
    of colour are uniform over their ranges. `crop` is (height, width) in pixels, probabilities and strengths are 0 to
    1. `placement` decides where the crop lies by the classes that it then holds, and changes no other step. The same
    seed gives the same result in every process: the generators of albumentations 2.0.8 repeat themselves across
    workers and epochs otherwise (its issues 2473 and 2559).
    """

    def __init__(
        self,
        crop: tuple[int, int] | None = None,
        scale: tuple[float, float] = (1.0, 1.0),
        horizontal_flip: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        placement: ClassAwarePlacement | None = None,
    ) -> None:
        self.crop, self.scale, self.placement = crop, scale, placement
        self.strengths = (brightness, contrast, saturation, hue)
        self._settings = (crop, scale, horizontal_flip, self.strengths, placement)
        self._of_bytes, self._of_floats = (_pipeline(white, *self._settings) for white in (255.0, 1.0))

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._of_bytes if image.dtype == np.uint8 else self._of_floats
        _seed(chosen, seed)
        out = chosen(image=image, mask=mask)
        return out["image"], out["mask"].astype(np.uint8, copy=False)

    def draw(self, mask: np.ndarray, seed: int) -> Drawn:
        """What the call does to an image whose mask (H, W) this is, by the same random numbers."""
        steps = self._of_bytes
        _seed(steps, seed)
        steps.py_random.random()  # whether the pipeline is applied at all
        size, padding, corner, flipped = mask.shape[:2], (0, 0), (0, 0), False
        colours: tuple[tuple[int, float], ...] = ()
        data: dict[str, Any] = {"image": mask, "mask": mask}
        for step in steps.transforms:
            if not step.should_apply():
                continue
            params = step.update_transform_params(step.get_params(), data)
            params |= step.get_params_dependent_on_data(params, data)
            if isinstance(step, albumentations.RandomScale):
                size = (int(size[0] * params["scale"]), int(size[1] * params["scale"]))
                data = _of_size(size, mask if self.placement else None)
            elif isinstance(step, albumentations.PadIfNeeded):
                padding = params["pad_top"], params["pad_left"]
                rows, columns = params["pad_bottom"] + padding[0], params["pad_right"] + padding[1]
                if rows or columns:
                    whole = np.full((size[0] + rows, size[1] + columns), VOID, np.uint8)
                    if self.placement:
                        whole[padding[0] :, padding[1] :][: size[0], : size[1]] = data["mask"]
                    data = {"image": whole, "mask": whole}
            elif isinstance(step, albumentations.RandomCrop):
                left, top, _, _ = params["crop_coords"]
                corner = top, left
            elif isinstance(step, albumentations.HorizontalFlip):
                flipped = True
            else:
                colours = tuple((at, params[COLOURS[at]]) for at in map(int, params["order"]) if self.strengths[at] > 0)
        return Drawn(size, padding, corner, flipped, colours)


def _pipeline(
    white: float,
    crop: tuple[int, int] | None,
    scale: tuple[float, float],
    horizontal_flip: float,
    strengths: tuple[float, ...],
    placement: ClassAwarePlacement | None,
) -> albumentations.Compose:
    steps: list[albumentations.BasicTransform] = []
    if scale != (1.0, 1.0):
        limits = (scale[0] - 1, scale[1] - 1)
        steps.append(albumentations.RandomScale(limits, cv2.INTER_LINEAR, mask_interpolation=NEAREST, p=1))
    if crop is not None:
        fill = tuple(white * value / 255 for value in MEAN_COLOUR)
        # Masks are padded with 0, a class, by default: the name `fill_mask` matters, `mask_value` is ignored.
        steps.append(albumentations.PadIfNeeded(*crop, fill=fill, fill_mask=VOID, position="random", p=1))
        steps.append(_ClassAwareCrop(crop, placement) if placement else albumentations.RandomCrop(*crop, p=1))
    if horizontal_flip > 0:
        steps.append(albumentations.HorizontalFlip(p=horizontal_flip))
    if max(strengths) > 0:
        brightness, contrast, saturation, hue = strengths
        ranges = [(1 - strength, 1 + strength) for strength in (brightness, contrast, saturation)]
        steps.append(albumentations.ColorJitter(*ranges, hue=(-hue, hue), p=1))
    return albumentations.Compose(steps, seed=0)


def _seed(steps: albumentations.Compose, seed: int) -> None:
    # One generator for all steps: `set_random_seed` gives each its own of the same seed, which ties them: large
    # scales went with crops at the bottom and no flip (correlations of .999 and -.86 over 400 seeds).
    steps.set_random_state(np.random.default_rng(seed), random.Random(seed))


def _of_size(size: tuple[int, int], mask: np.ndarray | None) -> dict[str, Any]:
    """Data of `size` to draw for; without a mask one that takes no memory."""
    if mask is None:
        return dict.fromkeys(("image", "mask"), np.broadcast_to(np.uint8(VOID), size))
    scaled = cv2.resize(mask, size[::-1], interpolation=NEAREST)
    return {"image": scaled, "mask": scaled}
