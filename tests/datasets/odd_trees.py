"""Trees of images and masks with something odd in them, and what is said about each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.datasets.odd_files import tiff, wide_png
from tests.datasets.trees import ids_of, image_of, save

YAML = """\
name: e
data:
  name: folder
  root: d
  classes: [a, b]
  images: "{{split}}/i/{ending}"
  masks: "{{split}}/m/*.png"
{more}model: {{name: unet}}
train: {{batch_size: {batch}}}
augment: {{crop: {crop}}}
tracker: none
"""
SPLITS = ("train", "val")
RAMP = np.arange(48, dtype=np.uint16).reshape(6, 8)


def tree(image: Callable[[Path, int], Any], ending: str = "png") -> None:
    """Three pairs of 6x8 in each split; `image` writes each image."""
    for split in SPLITS:
        for number in range(3):
            (Path("d") / split / "i").mkdir(parents=True, exist_ok=True)
            image(Path("d") / split / "i" / f"{number}.{ending}", number)
            save(Path("d") / split / "m" / f"{number}.png", ids_of(0, 1))


def plain(path: Path, number: int) -> None:
    save(path, image_of(number))


def first(odd: Callable[[Path], Any], ending: str = "png") -> None:
    """Plain images, of which `odd` writes the first one of the training split."""
    tree(plain, ending)
    odd(Path("d/train/i") / f"0.{ending}")


def rotated(path: Path, number: int) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(image_of(number)).save(path, exif=exif)


def pages(path: Path) -> None:
    page = Image.fromarray(image_of())
    page.save(path, save_all=True, append_images=[page, page])


def broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.png")


def void_only() -> None:
    tree(plain)
    for number in range(3):
        save(Path(f"d/train/m/{number}.png"), ids_of(255))


def four_bands(path: Path, number: int) -> None:
    save(path, np.dstack([image_of(number), RAMP.astype(np.uint8)]))


def mask_too_many() -> None:
    tree(plain)
    save(Path("d/train/m/9.png"), ids_of(0, 1))


def animation(path: Path) -> None:
    one, other = (Image.fromarray(image_of(seed)) for seed in (0, 1))
    one.save(path, save_all=True, append_images=[other])


def values_to(highest: int) -> Callable[[Path, int], Any]:
    return lambda path, number: save(path, (RAMP * (highest // 47)).clip(0, highest).astype(np.uint16))


# Name -> what makes the tree, the ending of its images, what is said, and whether `plan` says it too.
ODD: dict[str, tuple[Callable[[], Any], str, str, bool]] = {
    "16-bit RGB PNG": (
        lambda: tree(lambda p, n: wide_png(p, np.dstack([RAMP * 1000] * 3))),
        "png",
        "3 bands of 16 bits",
        True,
    ),
    "16-bit RGB TIFF": (
        lambda: tree(lambda p, n: tiff(p, np.dstack([RAMP] * 3)), "tif"),
        "tif",
        "3 bands of 16 bits",
        True,
    ),
    "8 and 16 bits": (
        lambda: first(lambda p: save(p, RAMP * 1300)),
        "png",
        "different depths and would be scaled differently: 1 of 16 bits, such as",
        True,
    ),
    "RGBA": (lambda: tree(four_bands), "png", "a transparency (alpha) band with values 0 to 47", False),
    "RGB and infrared": (
        lambda: tree(
            lambda p, n: tiff(p, np.dstack([image_of(n), image_of(9)[:, :, 0]]), photometric=[2], extra=[0]), "tif"
        ),
        "tif",
        "image has 4 bands, and only 1 or 3 are read",
        True,
    ),
    "5 bands": (
        lambda: tree(lambda p, n: tiff(p, np.dstack([image_of(n), image_of(9)[:, :, :2]]), extra=[0] * 4), "tif"),
        "tif",
        "a TIFF with 5 bands of 8 bits, which is not read",
        True,
    ),
    "5 bands that PIL opens": (
        lambda: tree(
            lambda p, n: tiff(p, np.dstack([image_of(n), image_of(9)[:, :, :2]]), photometric=[2], extra=[0, 0]), "tif"
        ),
        "tif",
        "image has 5 bands, and only 1 or 3 are read",
        True,
    ),
    "pages": (lambda: first(pages, "tif"), "tif", "image file holds 3 pages, and only one is read", True),
    "frames": (lambda: first(animation, "gif"), "gif", "image file holds 2 pages", True),
    "EXIF": (
        lambda: tree(rotated, "jpg"),
        "jpg",
        "image has EXIF orientation 6: viewers rotate or mirror it",
        True,
    ),
    "turned TIFF": (
        lambda: tree(lambda p, n: tiff(p, image_of(n), orientation=[3]), "tif"),
        "tif",
        "image has EXIF orientation 3: viewers rotate or mirror it",
        True,
    ),
    "mask without image": (mask_too_many, "png", "1 of 4 masks have no image of the same name: train/m/9.png", True),
    "broken link": (
        lambda: first(broken_link),
        "png",
        "1 file is a broken link, the first is train/i/0.png",
        True,
    ),
    "only void": (void_only, "png", "all masks of split train hold nothing but void", False),
    "12 of 16 bits": (lambda: tree(values_to(4095)), "png", "16 bits, but their values are 0 to 4089", False),
    "floats": (
        lambda: tree(lambda p, n: save(p, RAMP.astype(np.float32)), "tif"),
        "tif",
        "whose range is unknown",
        False,
    ),
    "NumPy": (
        lambda: tree(lambda p, n: np.save(p, image_of(n)), "npy"),
        "npy",
        "no image, but a NumPy array (.npy)",
        True,
    ),
    "Git LFS": (
        lambda: tree(lambda p, n: p.write_text("version https://git-lfs.github.com/spec/v1\n")),
        "png",
        "no image, but a pointer of Git LFS",
        True,
    ),
    "unlike sizes": (
        lambda: first(
            lambda p: (save(p, image_of(0, (5, 9))), save(Path("d/train/m/0.png"), ids_of(0, 1, size=(5, 9))))
        ),
        "png",
        "the training images differ in size (5x9, 6x8, height x width), and a batch of 2 holds one size",
        True,
    ),
    "few images": (lambda: tree(plain), "png", "train.batch_size is 4, but the training split has only 3 images", True),
    "mask of another size": (
        lambda: first(lambda p: save(p, image_of(0, (7, 8)))),
        "png",
        "mask is 6x8 but its image is 7x8",
        True,
    ),
    "JPEG masks": (
        lambda: first(lambda p: Image.fromarray(ids_of(0, 1)).save("d/train/m/0.png", "JPEG")),
        "png",
        "mask is a JPEG",
        True,
    ),
}
