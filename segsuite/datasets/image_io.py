"""The only decoder of image files: PIL, strict, with every oddity of image modes settled here.

Why PIL: torchvision 0.26 crashes the process on a bit-flipped PNG, OpenCV returns a truncated JPEG as if it
were whole, turns palette ids into luminances and rotates by EXIF. EXIF orientation is applied to neither
image nor mask: masks carry none, so rotating only the image would tear the pair apart. Only the first frame
of a file with several is read.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from segsuite.errors import DataError
from segsuite.io.atomic import write_bytes

_DAMAGED = "Restore the file from its source, or take it and its pair out of the dataset."


def _decode(path: Path) -> Image.Image:
    """The file's pixels, wholly decoded. Raises DataError when it is missing, empty, damaged or no image."""
    # Other packages (imgaug, fastai) switch this on for the whole process: a truncated mask would come back
    # with made-up rows.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError("image file does not exist", str(path), "Check data.root and the file lists.") from error
    except OSError as error:
        raise DataError(
            f"cannot read the image file: {error.strerror}", str(path), "Check it and its rights."
        ) from error
    if not content:
        raise DataError("image file is empty (0 bytes)", str(path), _DAMAGED)
    try:
        # PIL skips the checksums of PNG data while decoding; verify() reads them but uses the image up.
        with Image.open(io.BytesIO(content)) as image:
            if image.format == "PNG":
                image.verify()
        image = Image.open(io.BytesIO(content))
        image.load()
    except Image.DecompressionBombError as error:
        raise DataError(f"image is too large to decode safely: {error}", str(path), "Cut it into tiles.") from error
    except MemoryError:
        raise
    except Exception as error:
        # Decoders raise OSError, SyntaxError, ValueError, struct.error and more on damaged bytes.
        kind = "no image" if isinstance(error, UnidentifiedImageError) else "damaged"
        # Unidentified's own text names a buffer in memory, which tells nobody anything.
        reason = f"starts with {content[:16]!r}" if kind == "no image" else str(error)
        raise DataError(f"image file is {kind}: {reason}", str(path), _DAMAGED) from error
    # Transparency is dropped on purpose; PIL warns about it for palette images.
    image.info.pop("transparency", None)
    return image


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

    Grey is repeated, alpha is dropped, palettes and CMYK become RGB; three channels of 16 bits are reduced to
    8 by PIL. `value_range` (low, high), in raw values, is what becomes 0..1 for more than 8 bits; values
    outside are clipped. By default it is 0..65535 for 16 bits and 0..2**31-1 for 32; floating-point images
    have no default. Raises DataError naming the file.
    """
    image = _decode(Path(path))
    wide = _wide_array(image)
    if wide is None:
        return np.array(image.convert("RGB"))
    if value_range is None:
        if wide.dtype == np.float32 or int(wide.min()) < 0:
            raise DataError(
                "image holds floating-point or negative values, whose range is unknown",
                str(path),
                "Set value_range to the raw values (low, high) that shall become 0 and 1.",
            )
        value_range = (0.0, float(np.iinfo(wide.dtype).max))
    low, high = value_range
    scaled = ((wide.astype(np.float64) - low) / (high - low)).clip(0.0, 1.0).astype(np.float32)
    if not np.isfinite(scaled).all():
        raise DataError("image holds values that are not numbers", str(path), _DAMAGED)
    return np.repeat(scaled[:, :, None], 3, axis=2)


def read_mask(path: Path) -> NDArray[Any]:
    """The raw values of a mask, never scaled or converted.

    (H, W) uint8 for 1-bit (0 and 1), grey and palette images (indices), uint16 and int32 for 16 and 32 bits;
    (H, W, 3) uint8 for coloured ones. Alpha is dropped. Raises DataError naming the file, also for lossy
    JPEG, which makes up values along every border.
    """
    image = _decode(Path(path))
    if image.format in ("JPEG", "MPO"):
        raise DataError("mask is a JPEG, which changes class ids along borders", str(path), "Save masks as PNG.")
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


def write_label(path: Path, label: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]]) -> None:
    """Writes a label (H, W) as a PNG whose palette indices are the class ids: lossless, and coloured in any viewer."""
    write_bytes(path, label_png(label, [*palette, *[(0, 0, 0)] * (256 - len(palette))]))


def label_png(
    label: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]], transparent: int | None = None
) -> bytes:
    """A label (H, W) as the bytes of a palette PNG; every id must have a colour. `transparent` is the id shown as
    nothing. Up to 16 colours take 4 bits a pixel or less."""
    image = Image.frombytes("P", (label.shape[1], label.shape[0]), np.ascontiguousarray(label).tobytes())
    image.putpalette([value for colour in palette for value in colour])
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True, **({} if transparent is None else {"transparency": transparent}))
    return buffer.getvalue()


def jpeg(image: NDArray[np.uint8] | NDArray[np.float32], quality: int = 85) -> bytes:
    """An image (H, W, 3), uint8 or float in 0..1, as the bytes of a JPEG: for looking at, never for labels."""
    if image.dtype != np.uint8:
        image = (image * 255).round().clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
