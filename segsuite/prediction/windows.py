"""Windows that cover an image of any size, and how much each of their pixels counts where they overlap."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsuite.errors import ConfigError


@dataclass(frozen=True)
class Windows:
    """Squares of `size` pixels, each of which shares the part `overlap` of its side with the next; `multiple`: of
    which size and places are multiples, so that the network's grid lies as it would on the whole image."""

    size: int
    overlap: float
    multiple: int = 32

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 1:
            raise ConfigError(f"a window of {self.size} pixels is none", advice="give a whole number of at least 64")
        if not 0 <= self.overlap < 1:
            raise ConfigError(f"windows cannot overlap by {self.overlap:g}", advice="give a share from 0 to below 1")

    @property
    def side(self) -> int:
        """`size`, rounded up to the multiple."""
        return -(-self.size // self.multiple) * self.multiple

    @property
    def step(self) -> int:
        """Pixels from one window to the next: a multiple, so that the overlap is seldom exactly the one asked for."""
        return max(self.multiple, int(self.side * (1 - self.overlap)) // self.multiple * self.multiple)

    def starts(self, length: int) -> list[int]:
        """Where the windows begin that cover `length` pixels; the last one may reach beyond its end.

        >>> Windows(64, 0.5, 32).starts(100), Windows(64, 0.5, 32).starts(64)
        ([0, 32, 64], [0])
        """
        if length <= self.side:
            return [0]
        last = -(-(length - self.side) // self.multiple) * self.multiple
        return [*range(0, last, self.step), last]

    def weights(self) -> NDArray[np.float32]:
        """(side, side), 1 in the middle: a Gaussian whose standard deviation is an eighth of the side (Isensee et al.
        2021, Nature Methods 18, nnU-Net), since a network knows less of what lies at the border of what it sees."""
        from_middle = (np.arange(self.side) - (self.side - 1) / 2) / (self.side / 8)
        profile = np.exp(-0.5 * from_middle**2)
        # No floor: along the image's border it would give a window's corner as much weight as better words.
        grid: NDArray[np.float32] = np.outer(profile, profile).astype(np.float32)
        return grid

    def count(self, height: int, width: int) -> int:
        """How many windows cover an image."""
        return len(self.starts(height)) * len(self.starts(width))


def rows(windows: Windows, height: int) -> Iterator[tuple[int, int]]:
    """(top, done): each row of windows, and how many pixel rows from the top are complete after it.

    >>> list(rows(Windows(64, 0.5, 32), 100))
    [(0, 32), (32, 64), (64, 100)]
    """
    tops = windows.starts(height)
    yield from zip(tops, [*tops[1:], height], strict=True)
