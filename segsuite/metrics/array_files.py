"""Reading the arrays of an .npz file of a run directory, which may be damaged in any way."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.io import reading

MOST_BYTES = 1024**3
"""What one array may hold; a damaged or malicious header may promise any size."""


class Damaged(ValueError):
    """The file is absent, unreadable, or does not hold what is asked for; says which."""


def read(path: Path, names: Sequence[str] = (), most_bytes: int = MOST_BYTES) -> dict[str, NDArray[Any]]:
    """The arrays called `names` (none: all that have at most `most_bytes`) by name. Nothing in the file is executed.

    Raises Damaged, also where one of `names` is missing or larger.
    """
    try:
        content = reading.read_bytes(path)
        if not content.startswith(b"PK"):  # numpy would take it for a pickle, and advise to load it unsafely
            raise ValueError("it is no archive of arrays" if content else "it is empty")
        # From memory: of a damaged file numpy would leave the file open.
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {}
            for name in names or arrays.files:
                if arrays.zip.getinfo(f"{name}.npy").file_size <= most_bytes:
                    found[name] = arrays[name]
                elif names:
                    raise ValueError(f"{name} has more than {most_bytes} bytes")
            return found
    # numpy and zipfile raise these, and more on archives that somebody has made.
    except (
        OSError, ValueError, KeyError, EOFError, IndexError, TypeError, AttributeError, NotImplementedError,
        RuntimeError, MemoryError, SyntaxError, zipfile.BadZipFile, zlib.error, reading.Unreadable,
    ) as error:  # fmt: skip
        raise Damaged(f"{path.name} cannot be read: {str(error) or type(error).__name__}") from error
