"""What a file says of its image before the pixels are decoded, and which images are not read because a part of them
would be lost: more bits, bands or pages than the suite takes, or pixels that are to be turned.

PIL opens many of these without a word: it cuts three bands of 16 bits to 8, drops a fifth band, gives the first page.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from segsuite.errors import DataError
from segsuite.io.reading import patiently

DAMAGED = "Restore the file from its source, or take it and its pair out of the dataset."
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""What is read: the formats of which it is known here how PIL decodes them."""
PNG_BANDS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type of a PNG -> its bands."""
BITS, PHOTOMETRIC, ORIENTATION, SAMPLES, SUBFILE, SAMPLE_FORMAT = 258, 262, 274, 277, 254, 339
"""Tags of TIFF 6.0."""
NUMBERS = {1: "unsigned", 2: "signed", 3: "float"}
MANY_PAGES = 1000

_TO_PNG = "Save what it holds as PNG or TIFF"
_ARRAY = f"{_TO_PNG}, e.g. PIL.Image.fromarray(array).save('NAME.png') with uint8 or uint16 values."
NO_IMAGES: tuple[tuple[bytes, int, str, str], ...] = (
    (b"\x93NUMPY", 0, "a NumPy array (.npy)", _ARRAY),
    (b"PK\x03\x04", 0, "a zip archive (.zip or .npz)", f"Unpack it. {_TO_PNG}."),
    (b"MATLAB 5.0 MAT", 0, "a MATLAB file (.mat)", _ARRAY),
    (b"\x89HDF\r\n\x1a\n", 0, "an HDF5 file (.h5 or .mat)", _ARRAY),
    (b"version https://git-lfs", 0, "a pointer of Git LFS, not the file itself", "Fetch the files: git lfs pull"),
    (b"%PDF", 0, "a PDF", f"{_TO_PNG}."),
    (b"DICM", 128, "a DICOM file", f"{_TO_PNG}."),
    (b"ftyphei", 4, "an HEIC photo", f"{_TO_PNG}, or take JPEGs."),
    (b"ftypmif1", 4, "an HEIC photo", f"{_TO_PNG}, or take JPEGs."),
    (b"<svg", 0, "an SVG drawing", f"{_TO_PNG}."),
    (b"<", 0, "a web page or XML", DAMAGED),
    (b"{", 0, "JSON", f"Draw its polygons into a mask. {_TO_PNG}."),
)
"""First bytes, their offset in the file, what it is, what to do."""


class Depth(NamedTuple):
    """What the numbers of an image file are: bits a value, at least 8, and unsigned, signed or float."""

    bits: int = 8
    numbers: str = "unsigned"

    @property
    def full(self) -> float:
        """The largest integer of these bits."""
        return float(2 ** (self.bits - (self.numbers == "signed")) - 1)

    def __str__(self) -> str:
        return f"{self.bits} bits" + ("" if self.numbers == "unsigned" else f" ({self.numbers})")


@dataclass(frozen=True)
class Header:
    """`bits`: of a value in one band; 0 where the format's largest value is no power of 2 minus 1. `numbers`: unsigned,
    signed or float. `alpha`: the last band is opacity. `orientation`: of EXIF, 1 is upright. `height`, `width`: as
    stored."""

    format: str
    mode: str
    height: int
    width: int
    bands: int
    bits: int
    numbers: str
    alpha: bool
    pages: int
    orientation: int
    white_is_zero: bool = False

    @property
    def depth(self) -> Depth:
        """Images of one depth have one scale."""
        return Depth(max(8, self.bits), self.numbers)


def read_header(path: Path) -> Header:
    """The header alone: reads the beginning of most files. Raises DataError as decoding would."""
    try:
        return patiently(lambda: _read_header(path))
    except OSError as error:
        raise unreadable(path, error) from error


def _read_header(path: Path) -> Header:
    with path.open("rb") as file:
        image, header = opened(file, path)
        image.close()
        return header


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file that the system does not give."""
    if isinstance(error, FileNotFoundError):
        return DataError("image file does not exist", str(path), "Check data.root and the file lists.")
    return DataError(f"cannot read the image file: {error.strerror}", str(path), "Check it and its rights.")


def opened(file: IO[bytes], path: Path) -> tuple[ImageFile.ImageFile, Header]:
    """The image, not decoded yet, and its header. Raises DataError for what is empty, damaged or no image."""
    start = file.read(160)
    if not start:
        raise DataError("image file is empty (0 bytes)", str(path), DAMAGED)
    file.seek(0)
    try:
        directories = list(_directories(file, start))
        file.seek(0)
        image = Image.open(file)
        return image, _header(image, start, directories)
    except UnidentifiedImageError as error:
        raise _unknown(start, directories, path) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"image is too large to decode safely: {error}", str(path), "Cut it into tiles.") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and more on damage
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> DataError:
    """The error for bytes that no decoder takes."""
    return DataError(f"image file is damaged: {error}", str(path), DAMAGED)


def check_header(header: Header, path: Path, what: str) -> None:
    """Raises DataError for an image or mask (`what`) of which a part would be lost in reading."""
    where = str(path)
    if header.format not in FORMATS:
        raise DataError(f"{what} has the format {header.format}, which is not read", where, f"{_TO_PNG}.")
    if header.pages > 1:
        raise DataError(
            f"{what} file holds {header.pages} pages, and only one is read",
            where,
            "Write each page into a file of its own, or keep the one that is meant.",
        )
    check_orientation(header.orientation, path, what)
    colours = header.bands - header.alpha
    if colours not in (1, 3) and header.mode != "CMYK":
        raise DataError(
            f"{what} has {header.bands} bands, and only 1 or 3 are read",
            where,
            "Write the three bands that the network shall see into a file of their own.",
        )
    if header.bands > 1 and header.bits != 8:
        raise DataError(
            f"{what} has {header.bands} bands of {_bits(header)}, and only single bands are read with more than 8",
            where,
            "Save it with 8 bits a band, or one band of 16 bits.",
        )
    if header.bits == 0 or (header.bits == 8 and header.numbers != "unsigned"):
        raise DataError(f"{what} has {_bits(header)}, which are not read exactly", where, f"{_TO_PNG}.")
    if header.white_is_zero and header.bits > 1 and (what == "mask" or header.bits > 8):
        raise DataError(
            f"{what} is a TIFF whose 0 is white (PhotometricInterpretation 0), which would be read inverted",
            where,
            "Save it with 0 as black.",
        )


def check_orientation(orientation: int, path: Path, what: str) -> None:
    """Raises DataError for an image or mask that is shown otherwise than it is stored."""
    if orientation != 1:
        raise DataError(
            f"{what} has EXIF orientation {orientation}: viewers rotate or mirror it, the suite does not",
            str(path),
            "Rotate the pixels for good (`mogrify -auto-orient FILE`), or remove the tag if the mask fits without it.",
        )


def _bits(header: Header) -> str:
    return "values of an unusual range" if header.bits == 0 else str(Depth(header.bits, header.numbers))


def _header(image: ImageFile.ImageFile, start: bytes, directories: list[Any]) -> Header:
    kind, mode = str(image.format), image.mode
    bands, alpha = len(image.getbands()), image.getbands()[-1] in ("A", "a")
    bits = {"1": 1, "I": 32, "F": 32}.get(mode, 16 if mode.startswith("I;16") else 8)
    numbers = {"I": "signed", "F": "float"}.get(mode, "unsigned")
    inverted, pages = False, getattr(image, "n_frames", 1)
    if kind == "PNG":
        bits, bands, alpha = start[24], PNG_BANDS[start[25]], start[25] in (4, 6)
        numbers = "unsigned"
    elif kind == "TIFF":
        first = directories[0]
        bands, bits = int(first.get(SAMPLES, 1)), max(first.get(BITS, (1,)))
        numbers = NUMBERS.get(max(first.get(SAMPLE_FORMAT, (1,))), "of an unknown kind")
        inverted = first.get(PHOTOMETRIC) == 0
        # Smaller copies of a page hold nothing new.
        pages = sum(not int(tags.get(SUBFILE, 0)) & 1 for tags in directories)
    elif kind == "PPM" and mode != "F":
        args = image.tile[0][3]
        largest = args[1] if isinstance(args, tuple) else {"1;I": 1, "I;16B": 65535}.get(str(args), 255)
        bits, numbers = {1: 1, 255: 8, 65535: 16}.get(largest, 0), "unsigned"
    elif kind == "JPEG2000":
        bits, numbers = _jpeg2000_bits(image), "unsigned"
    elif kind == "MPO":
        # By its standard the first is the photo; others are previews or depths, unless they are frames of equal rank.
        entries = image.mpinfo[0xB002]  # type: ignore[attr-defined]  # of MpoImageFile
        pages = 1 + sum(str(entry["Attribute"]["MPType"]).startswith("Multi-Frame") for entry in entries[1:])
    return Header(
        kind,
        mode,
        image.height,
        image.width,
        bands,
        bits,
        numbers,
        alpha,
        pages,
        _turn(directories[0].get(ORIENTATION)) if directories else orientation_of(image),
        inverted,
    )


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8, as far as it is read: a PNG may tell it behind its pixels."""
    if image.format == "PNG" and not {"exif", "xmp"} & set(image.info):
        return 1  # getexif would decode the whole image to look for it
    try:
        return _turn(image.getexif().get(ORIENTATION))
    except Exception:  # EXIF that nobody can read turns no picture in any viewer
        return 1


def _turn(found: Any) -> int:
    return found if found in range(2, 9) else 1


def _jpeg2000_bits(image: ImageFile.ImageFile) -> int:
    """8 of a codestream whose bands all have 8 bits, else 0: PIL stretches values of other depths."""
    assert image.fp is not None
    image.fp.seek(0)
    content = image.fp.read(4096)
    image.fp.seek(0)
    start = content.find(b"\xff\x4f\xff\x51")  # the codestream's first two markers
    bands = int.from_bytes(content[start + 40 : start + 42], "big")
    depths = {content[start + 42 + 3 * band] for band in range(bands)}
    return 8 if start >= 0 and depths == {7} else 0


def _directories(file: IO[bytes], start: bytes) -> Iterator[Any]:
    """The tags of each page of a TIFF; nothing of another file. PIL does not open every TIFF that it can list."""
    if start[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return
    tags: Any = TiffImagePlugin.ImageFileDirectory_v2(start[: 16 if 43 in start[2:4] else 8])
    seen: set[int] = set()
    while tags.next and tags.next not in seen and len(seen) < MANY_PAGES:
        seen.add(tags.next)
        file.seek(tags.next)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tags that are not looked at
            tags.load(file)
        yield dict(tags)


def _unknown(start: bytes, directories: list[Any], path: Path) -> DataError:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    for beginning, place, kind, advice in NO_IMAGES:
        if (start[place:] if place else text).startswith(beginning):
            return DataError(f"image file is no image, but {kind}", str(path), advice)
    if directories:
        first = directories[0]
        bands, bits = int(first.get(SAMPLES, 1)), first.get(BITS, (1,))
        numbers = NUMBERS.get(max(first.get(SAMPLE_FORMAT, (1,))), "of an unknown kind")
        shown = f"{bands} band{'s' * (bands != 1)} of {'/'.join(map(str, sorted(set(bits))))} bits"
        return DataError(
            f"image is a TIFF with {shown}{'' if numbers == 'unsigned' else f' ({numbers})'}, which is not read",
            str(path),
            "Write one band, or three of 8 bits, into a file of their own.",
        )
    # PIL's own text names a buffer in memory, which tells nobody anything.
    return DataError(f"image file is no image: starts with {start[:16]!r}", str(path), DAMAGED)
