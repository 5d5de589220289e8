"""The only decoder of image files: PIL, strict, with every oddity of image modes settled here.

Why PIL: torchvision 0.26 crashes the process on a bit-flipped PNG, OpenCV returns a truncated JPEG as if it
were whole, turns palette ids into luminances and rotates by EXIF. What would lose bits, bands, pages or its
orientation in reading is refused: see `image_header`.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from segsuite.datasets.image_header import (
    DAMAGED,
    Header,
    check_header,
    check_orientation,
    damaged,
    opened,
    orientation_of,
    unreadable,
)
from segsuite.errors import DataError
from segsuite.io.atomic import write_bytes
from segsuite.io.reading import patiently


def _decode(path: Path, what: str) -> tuple[Image.Image, Header]:
    """The file's pixels, wholly decoded. Raises DataError when it is missing, damaged, no image, or not read exactly;
    `what`: image or mask."""
    # Other packages (imgaug, fastai) switch this on for the whole process: a truncated mask would come back
    # with made-up rows.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        content = patiently(path.read_bytes)
    except OSError as error:
        raise unreadable(path, error) from error
    image, header = opened(io.BytesIO(content), path)
    check_header(header, path, what)
    try:
        if header.format == "PNG":
            # PIL skips the checksums of PNG data while decoding; verify() reads them but uses the image up.
            image.verify()
            image = Image.open(io.BytesIO(content))
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and more on damage
        raise damaged(path, error) from error
    if header.format == "PNG":
        check_orientation(orientation_of(image), path, what)
    if header.alpha or (what == "image" and image.mode == "P" and "transparency" in image.info):
        _check_opaque(image, path, what)
    # Opaque, or a function of the value itself; PIL warns about it for palette images.
    image.info.pop("transparency", None)
    return image, header


def _check_opaque(image: Image.Image, path: Path, what: str) -> None:
    seen = image.convert("RGBA") if image.mode in ("P", "PA", "La") else image
    low, high = seen.getchannel(len(seen.getbands()) - 1).getextrema()
    if low != 255:
        raise DataError(
            f"{what} has a transparency (alpha) band with values {low} to {high}, which would be lost",
            str(path),
            "Save it without transparency (`mogrify -alpha off FILE`) if the colours below are the right ones.",
        )


def _wide_array(image: Image.Image) -> NDArray[Any] | None:
    """(H, W) of an image with one channel of more than 8 bits in the machine's byte order, else None."""
    if image.mode == "I" and image.format == "PNG":  # Pillow before 11.3 opens 16-bit PNGs as 32-bit
        return np.array(image).astype(np.uint16)
    if image.mode == "I":
        return np.array(image, dtype=np.int32)
    if image.mode.startswith("I;16"):
        return np.array(image).astype(np.uint16)
    return np.array(image, dtype=np.float32) if image.mode == "F" else None


def read_image(path: Path, value_range: tuple[float, float] | None = None) -> NDArray[np.uint8] | NDArray[np.float32]:
    """The image as (H, W, 3): uint8, or float32 in 0..1 when its file has one channel of more than 8 bits.

    Grey is repeated, palettes and CMYK become RGB. `value_range` (low, high), in raw values, is what becomes 0..1 for
    more than 8 bits, and must not be given for 8; values outside are clipped. By default it is 0 to the largest value
    of the file's bits (65535 for 16); floating-point images have no default. Raises DataError naming the file.
    """
    image, header = _decode(Path(path), "image")
    wide = _wide_array(image)
    if wide is None:
        if value_range is not None:
            raise DataError(
                f"image has 8 bits, to which value_range [{value_range[0]:g}, {value_range[1]:g}] does not apply",
                str(path),
                "Leave out data.value_range, or give all images more than 8 bits.",
            )
        return np.array(image.convert("RGB"))
    if value_range is None:
        if wide.dtype == np.float32 or int(wide.min()) < 0:
            raise DataError(
                "image holds floating-point or negative values, whose range is unknown",
                str(path),
                "Set value_range to the raw values (low, high) that shall become 0 and 1.",
            )
        value_range = (0.0, header.depth.full)
    low, high = value_range
    scaled = ((wide.astype(np.float64) - low) / (high - low)).clip(0.0, 1.0).astype(np.float32)
    if not np.isfinite(scaled).all():
        raise DataError("image holds values that are not numbers", str(path), DAMAGED)
    return np.repeat(scaled[:, :, None], 3, axis=2)


@contextlib.contextmanager
def large_images(pixels: int) -> Iterator[None]:
    """Within, images of up to `pixels` pixels are read: PIL's own limit is one against strangers' files, and whoever
    names a large image means it."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = pixels // 2  # it refuses from twice the limit on, and warns below
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def read_mask(path: Path, lossy: bool = False) -> NDArray[Any]:
    """The raw values of a mask, never scaled or converted.

    (H, W) uint8 for 1-bit (0 and 1), grey and palette images (indices), uint16 and int32 for 16 and 32 bits;
    (H, W, 3) uint8 for coloured ones. Raises DataError naming the file, also for JPEG, which makes up values along
    every border, unless `lossy` masks are taken.
    """
    image, header = _decode(Path(path), "mask")
    if not lossy:
        check_lossless(header.format, path)
    if image.mode == "L" and header.bits < 8:
        return np.array(image) // np.uint8(255 // (2**header.bits - 1))  # PIL stretches ids of 2 and 4 bits to 0..255
    if image.mode in ("1", "L", "P"):
        return np.array(image).astype(np.uint8)
    if image.mode in ("LA", "PA", "La"):
        return np.array(image)[:, :, 0]
    if image.mode in ("RGB", "RGBA", "RGBX"):
        return np.array(image)[:, :, :3]
    wide = _wide_array(image)
    if wide is None or wide.dtype == np.float32:
        raise DataError(
            f"mask has the pixel format {image.mode}, not ids or RGB", str(path), "Save it as a PNG of ids."
        )
    return wide


def check_lossless(format: str, path: Path) -> None:
    """Raises DataError for a mask in a format that makes up values along every border."""
    if format in ("JPEG", "MPO", "JPEG2000"):
        raise DataError(
            f"mask is a {format}, which changes class ids along borders",
            str(path),
            'Save masks as PNG; soft ones need ranges in data.values, such as {"0-127": a, "128-255": b}.',
        )


def write_label(path: Path, label: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]]) -> None:
    """Writes a label (H, W) as a PNG whose palette indices are the class ids: lossless, and coloured in any viewer."""
    write_bytes(path, label_png(label, [*palette, *[(0, 0, 0)] * (256 - len(palette))]))


def label_png(
    label: NDArray[np.uint8],
    palette: Sequence[tuple[int, int, int]],
    transparent: int | None = None,
    smallest: bool = True,
) -> bytes:
    """A label (H, W) as the bytes of a palette PNG; every id must have a colour. `transparent` is the id shown as
    nothing. Up to 16 colours take 4 bits a pixel or less. `smallest`: take several times as long for a tenth less."""
    image = Image.frombytes("P", (label.shape[1], label.shape[0]), np.ascontiguousarray(label).tobytes())
    image.putpalette([value for colour in palette for value in colour])
    buffer = io.BytesIO()
    effort: dict[str, Any] = {"optimize": True} if smallest else {"compress_level": 3}
    image.save(buffer, format="PNG", **effort, **({} if transparent is None else {"transparency": transparent}))
    return buffer.getvalue()


def jpeg(image: NDArray[np.uint8] | NDArray[np.float32], quality: int = 85) -> bytes:
    """An image (H, W, 3), uint8 or float in 0..1, as the bytes of a JPEG: for looking at, never for labels."""
    if image.dtype != np.uint8:
        image = (image * 255).round().clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
