"""Bilinear enlargement of logits in strips, and its transpose, so that no tensor of the enlarged size is ever made.

On each axis an output lies between two neighbouring inputs (those at the edges are repeated). The outputs between
inputs g - 1 and g are group g, and each of them is

    input[g - 1] + fraction * (input[g] - input[g - 1])

A strip holds some rows of some images, its rows in the order (group, place in the group), its columns in the order
(place, group). In that order both axes are broadcasting over long contiguous runs, forward and transposed; labels,
which have no channels, are brought into it instead of logits. Where a group has fewer outputs than the largest one,
places stay unused and count as void. On a CPU this takes a fraction of the time of interpolate and its backward. On
CUDA it adds without atomics, so that two runs give the same bits. No matrix product is used, since autocast and TF32
would round it.
"""

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from segsuite.losses.strips import STRIP_ELEMENTS, on_cpu

# Twice that of strips.py: the four rows of a group, of 150 classes and 512 columns, are then made at once.
STRIP_ELEMENTS_CPU = 2**19


class Axis(NamedTuple):
    """One axis: G = inputs + 1 groups of at most K outputs each, O outputs in all.

    starts: the first output of each group, then O. fraction, output and used: of each place of each group; an unused
    one has any output and fraction. group and place: of each output.
    """

    starts: tuple[int, ...]
    fraction_GK: Tensor
    output_GK: Tensor
    used_GK: Tensor
    group_O: Tensor
    place_O: Tensor


class Part(NamedTuple):
    """What a strip covers: images, groups of rows, places in these groups, and the rows that these are."""

    images: slice
    groups: slice
    places: slice
    rows: slice


class Enlargement:
    """Logits (N, C, h, w) enlarged to `enlarged` (height, width), of which `size` (H, W) is used: cut at the right and
    bottom when smaller, the last row and column repeated when larger. In fp32 (fp64 for fp64 logits).

    The grid is that of torch.nn.functional.interpolate(mode="bilinear", align_corners=align_corners). A strip has the
    shape (n, C, R, X), with at least the rows of its part and W columns.
    """

    def __init__(
        self, low_NChw: Tensor, enlarged: tuple[int, int], size: tuple[int, int], align_corners: bool = False
    ) -> None:
        self.low_NChw = low_NChw.detach()
        self.dtype = torch.float64 if low_NChw.dtype == torch.float64 else torch.float32
        self.sum_dtype = torch.float32 if low_NChw.device.type == "mps" else torch.float64  # it has no fp64
        self.rows, self.columns = (
            _axis(length, *lengths, align_corners, self.dtype, low_NChw.device)
            for length, *lengths in zip(low_NChw.shape[2:], enlarged, size, strict=True)
        )
        columns = self.columns
        self._fraction_KG = columns.fraction_GK.T.contiguous()
        self._column_X, self._used_X = columns.output_GK.T.flatten(), columns.used_GK.T.flatten()
        self._position_W = columns.place_O * len(columns.output_GK) + columns.group_O

    def parts(self) -> Iterator[Part]:
        """All of the batch, in parts whose strips fit the cache of a CPU, or a small share of a GPU's memory."""
        if not self.low_NChw.numel():
            return
        cpu, (groups, places) = on_cpu(self.low_NChw), self.rows.output_GK.shape
        elements = STRIP_ELEMENTS_CPU * torch.get_num_threads() if cpu else STRIP_ELEMENTS
        rows = max(1, elements // (self.low_NChw.shape[1] * len(self._column_X)))
        images = 1 if cpu else max(1, rows // (groups * places))
        some_groups, some_places = max(1, rows // places), -(-places // -(-places // rows))
        for image in range(0, len(self.low_NChw), images):
            for a in range(0, groups, some_groups):
                b = min(groups, a + some_groups)
                for k in range(0, places, some_places):
                    first, last = self.rows.starts[a] + k, self.rows.starts[b]
                    rows_of_part = slice(first, last if b > a + 1 else min(last, first + some_places))
                    if rows_of_part.start < rows_of_part.stop:
                        yield Part(slice(image, image + images), slice(a, b), slice(k, k + some_places), rows_of_part)

    def strip(self, part: Part) -> Tensor:
        """The enlarged logits of a part (n, C, R, X)."""
        a, b, height = part.groups.start, part.groups.stop, self.low_NChw.shape[2]
        low_nCrw = self.low_NChw[part.images, :, max(a - 1, 0) : min(b, height)].to(self.dtype)
        low_nCrw = _with_edges(_with_edges(low_nCrw, 2, a == 0, b == height + 1), 3, True, True)
        from_nCr1G, step_nCr1G = low_nCrw[..., None, :-1], low_nCrw.diff(dim=3)[..., None, :]
        wide_nCrX = torch.addcmul(from_nCr1G, step_nCr1G, self._fraction_KG).flatten(3)
        from_nCg1X, step_nCg1X = wide_nCrX[:, :, :-1, None], wide_nCrX.diff(dim=2)[:, :, :, None]
        return torch.addcmul(from_nCg1X, step_nCg1X, self._fraction_gk1(part)).flatten(2, 3)

    def add_transposed(self, gradient_nCRX: Tensor, part: Part, sum_NChw: Tensor) -> None:
        """Adds to `sum_NChw` the gradient to the low-resolution logits that follows from that to a part's strip."""
        a, b, height = part.groups.start, part.groups.stop, sum_NChw.shape[2]
        n, channels, _, columns = gradient_nCRX.shape
        gradient_nCgkX = gradient_nCRX.view(n, channels, b - a, -1, columns)
        rows_nCrX = _to_ends(gradient_nCgkX, self._fraction_gk1(part), place=3, group=2)
        rows_nCrX = _without_edges(rows_nCrX, 2, a == 0, b == height + 1)
        rows_nCrKG = rows_nCrX.reshape(n, channels, -1, *self._fraction_KG.shape)
        low_nCrw = _to_ends(rows_nCrKG, self._fraction_KG, place=3, group=3)
        sum_NChw[part.images, :, max(a - 1, 0) : min(b, height)] += _without_edges(low_nCrw, 3, True, True)

    def labels(self, labels_NHW: Tensor, part: Part, ignore_index: int) -> Tensor:
        """Labels in the order of a part's strip (n, R, X), void where a place is unused."""
        unused_RX = ~(self.rows.used_GK[part.groups, part.places].reshape(-1, 1) & self._used_X)
        return self.values(labels_NHW, part).masked_fill_(unused_RX, ignore_index)

    def values(self, values_NHW: Tensor, part: Part) -> Tensor:
        """Numbers a pixel in the order of a part's strip (n, R, X), anything where a place is unused."""
        row_R = self.rows.output_GK[part.groups, part.places].flatten()
        return values_NHW[part.images].index_select(1, row_R).index_select(2, self._column_X)

    def put(self, values_nRX: Tensor, part: Part, into_NHW: Tensor) -> None:
        """Writes numbers a pixel in the order of a part's strip to where they belong."""
        group_R, place_R = self.rows.group_O[part.rows], self.rows.place_O[part.rows]
        places = values_nRX.shape[1] // (part.groups.stop - part.groups.start)
        position_R = (group_R - part.groups.start) * places + place_R - part.places.start
        into_NHW[part.images, part.rows] = values_nRX.index_select(1, position_R).index_select(2, self._position_W)

    def _fraction_gk1(self, part: Part) -> Tensor:
        return self.rows.fraction_GK[part.groups, part.places, None]


# Cached, since copying such tables to a GPU makes the host wait: once for each size, not in each step.
@lru_cache(maxsize=64)
def _axis(length: int, enlarged: int, size: int, align_corners: bool, dtype: torch.dtype, device: torch.device) -> Axis:
    """`length` inputs enlarged to `enlarged` outputs, cut to `size` or its last one repeated."""
    # The source coordinate of output o is (step * o + offset) / divisor, and group 0 begins at -1.
    step, offset, divisor = 2 * length, length - enlarged, 2 * enlarged
    if align_corners:
        step, offset, divisor = length - 1, 0, max(enlarged - 1, 1)
    sources = [divmod(step * min(o, enlarged - 1) + offset, divisor) for o in range(size)]
    groups = [whole + 1 for whole, _ in sources]
    starts = (*(bisect_left(groups, group) for group in range(length + 1)), size)
    starts_G = torch.tensor(starts)
    place_K = torch.arange(int(starts_G.diff().max()))
    output_GK = starts_G[:-1, None] + place_K
    used_GK, output_GK = output_GK < starts_G[1:, None], output_GK.clamp(max=size - 1)
    fraction_O = torch.tensor([rest / divisor for _, rest in sources], dtype=dtype)
    group_O = torch.tensor(groups)
    place_O = torch.arange(size) - starts_G[group_O]
    return Axis(starts, *(table.to(device) for table in (fraction_O[output_GK], output_GK, used_GK, group_O, place_O)))


def _with_edges(x: Tensor, dim: int, first: bool, last: bool) -> Tensor:
    """`x` with its first and last slice repeated."""
    edges = [x.narrow(dim, 0, 1)] * first, [x.narrow(dim, x.shape[dim] - 1, 1)] * last
    return torch.cat([*edges[0], x, *edges[1]], dim) if first or last else x


def _without_edges(gradient: Tensor, dim: int, first: bool, last: bool) -> Tensor:
    """The transpose of `_with_edges`; may overwrite `gradient`."""
    last_but_one = gradient.shape[dim] - 2
    if first:
        gradient.select(dim, 1).add_(gradient.select(dim, 0))
    if last:
        gradient.select(dim, last_but_one).add_(gradient.select(dim, last_but_one + 1))
    return gradient.narrow(dim, int(first), gradient.shape[dim] - int(first) - int(last))


def _to_ends(gradient: Tensor, fraction: Tensor, place: int, group: int) -> Tensor:
    """Sums over the places of each group: what flows to the inputs, of which there is one more than groups.

    `place` is the dimension summed over, `group` that of the groups after it.
    """
    to_next = (gradient * fraction).sum(place)
    to_this = gradient.sum(place).sub_(to_next)
    ends = torch.cat([to_this, torch.zeros_like(to_this.narrow(group, 0, 1))], group)
    ends.narrow(group, 1, to_next.shape[group]).add_(to_next)
    return ends
