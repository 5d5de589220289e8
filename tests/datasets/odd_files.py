"""Image files that PIL cannot write: TIFFs of any bands and numbers, PNGs of any depth, written byte by byte."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FORMATS = {3: "H", 4: "I"}


def png(path: Path, rows: Sequence[bytes], width: int, bits: int, colour_type: int, extra: bytes = b"") -> Path:
    """A PNG of packed rows; `extra`: chunks after its header."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    return path


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def wide_png(path: Path, array: NDArray[np.uint16]) -> Path:
    """An array (H, W, 3) or (H, W, 4) as a PNG of 16 bits a band."""
    rows = [row.astype(">u2").tobytes() for row in array]
    return png(path, rows, array.shape[1], 16, {3: 2, 4: 6}[array.shape[2]])


def tiff(path: Path, array: NDArray[np.generic], **tags: Sequence[int]) -> Path:
    """An array (H, W) or (H, W, B) as a TIFF of one page. `tags`: photometric, extra (kinds of the further bands),
    orientation; bits and width of packed rows."""
    height, width, bands = array.shape if array.ndim == 3 else (*array.shape, 1)
    data = np.ascontiguousarray(array).tobytes()
    kind = {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    entries: dict[int, tuple[int, Sequence[int]]] = {
        256: (4, tags.get("width", [width])),
        257: (4, [height]),
        258: (3, tags.get("bits", [8 * array.dtype.itemsize] * bands)),
        259: (3, [1]),
        262: (3, tags.get("photometric", [2 if bands == 3 else 1])),
        273: (4, [0]),
        274: (3, tags.get("orientation", [1])),
        277: (3, [bands]),
        278: (4, [height]),
        279: (4, [len(data)]),
        339: (3, [kind] * bands),
    }
    if "extra" in tags:
        entries[338] = (3, tags["extra"])
    start = 8 + 2 + 12 * len(entries) + 4
    longer = {tag: struct.pack(f"<{len(values)}{FORMATS[kind]}", *values) for tag, (kind, values) in entries.items()}
    blob, places = b"", {}
    for tag, packed in longer.items():
        if len(packed) > 4:
            places[tag], blob = start + len(blob), blob + packed
    longer[273] = struct.pack("<I", start + len(blob))
    directory = b"".join(
        struct.pack("<HHI", tag, kind, len(values))
        + (struct.pack("<I", places[tag]) if tag in places else longer[tag].ljust(4, b"\0"))
        for tag, (kind, values) in sorted(entries.items())
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + struct.pack("<I", 0) + blob + data)
    return path
