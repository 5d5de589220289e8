"""Which rows and columns of the image each element of a tensor depends on.

Spans hold four tensors of the rank of the tensor they belong to: minus the first row, the last row, minus the first
column, the last column, so that a union is a maximum in all four. A dimension along which a span is the same
everywhere has size 1: spans of a feature map (N, C, H, W) are (1, 1, H, 1) and (1, 1, 1, W) until branches with
different fields are joined. An element that depends on nothing has -infinity along one axis at least.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

NOTHING = -torch.inf
MOST_ELEMENTS = 2**23
"""Of one span. What would need more (the scores of every token for every other) counts as the whole image."""

Shape = Sequence[int]


@dataclass(frozen=True, eq=False)
class Spans:
    """`reach`: up, down, left, right, as the top of this file says; `whole`: paths of the modules through which every
    element depends on the whole image besides."""

    reach: tuple[Tensor, ...]
    whole: frozenset[str] = frozenset()

    @classmethod
    def of_image(cls, height: int, width: int) -> "Spans":
        """Each pixel of an image (N, C, height, width) depends on itself."""
        rows, columns = torch.arange(float(height)).view(1, 1, -1, 1), torch.arange(float(width)).view(1, 1, 1, -1)
        return cls((-rows, rows, -columns, columns))

    def each(self, change: Callable[[Tensor], Tensor]) -> "Spans":
        """The same spans, all four tensors changed alike."""
        return replace(self, reach=tuple(map(change, self.reach)))

    def through(self, *causes: str) -> "Spans":
        """The same, and the whole image through `causes`."""
        return replace(self, whole=self.whole | set(causes))

    def nothing(self, rank: int) -> "Spans":
        """Spans of `rank` dimensions that depend on nothing but what this depends on whole."""
        return Spans((torch.full((1,) * rank, NOTHING),) * 4, self.whole)


def union(spans: Iterable[Spans]) -> Spans:
    """Of tensors that are broadcast against each other."""
    first, *others = spans
    for other in others:
        reach = tuple(torch.maximum(a, b) for a, b in zip(first.reach, other.reach, strict=True))
        first = Spans(reach, first.whole | other.whole)
    return first


def concatenated(parts: Sequence[tuple[Spans, Shape]], dim: int) -> Spans:
    """Spans of tensors of these shapes, one behind the other along `dim`."""
    whole = frozenset[str]().union(*(spans.whole for spans, _ in parts))
    first = parts[0][0].reach
    alike = all(torch.equal(a, b) for spans, _ in parts for a, b in zip(spans.reach, first, strict=True))
    if alike and all(part.shape[dim] == 1 for part in first):
        return Spans(first, whole)
    reach = []
    for side in range(4):
        pieces = [_sized(spans.reach[side], dim, shape[dim]) for spans, shape in parts]
        sizes = [max(sizes) for sizes in zip(*(piece.shape for piece in pieces), strict=True)]
        pieces = [piece.expand(*sizes[:dim], piece.shape[dim], *sizes[dim:][1:]) for piece in pieces]
        reach.append(torch.cat(pieces, dim))
    return Spans(tuple(reach), whole)


def moved(spans: Spans, shape: Shape, move: Callable[[Tensor], Any]) -> Any:
    """What `move`, a function that only moves elements of a tensor of `shape`, makes of its spans: Spans, or a list of
    them when it gives several tensors."""
    made = [move(part.expand(*shape)) for part in spans.reach]
    if isinstance(made[0], Tensor):
        return Spans(tuple(map(_compact, made)), spans.whole)
    return [Spans(tuple(map(_compact, parts)), spans.whole) for parts in zip(*made, strict=True)]


def reshaped(spans: Spans, old: Shape, new: Shape) -> Spans:
    """Spans of a tensor that is viewed as another shape of as many elements.

    Only dimensions that are joined or split are written out: those of a feature map whose channels are viewed as
    groups cost nothing.
    """
    groups = _groups(old, new)
    return spans.each(lambda part: _regroup(part, old, new, groups))


def reduced(spans: Spans, shape: Shape, dims: Sequence[int], keep: bool, cause: str) -> Spans:
    """Spans of a sum, mean or maximum over `dims`.

    Where the result depends on one and the same part of the image everywhere, although the elements did not, the
    reduction is over the image: that is told as `cause`, and is no field of a window.
    """
    dims = sorted({dim % len(shape) for dim in dims})
    sides = [part.amax(dims, keepdim=True) for part in spans.reach]
    reach: list[Tensor] = []
    whole = spans.whole
    for first in (0, 2):  # rows, columns
        before, after = spans.reach[first : first + 2], sides[first : first + 2]
        if all(_same(part) for part in after) and not all(_same(part) for part in before):
            whole, after = whole | {cause}, [torch.full((1,) * len(shape), NOTHING)] * 2
        reach += after
    if not keep:
        for dim in reversed(dims):
            reach = [part.squeeze(dim) for part in reach]
    return Spans(tuple(reach), whole)


def looked_up(spans: Spans, shape: Shape, dim: int, taps: Tensor) -> Spans:
    """Spans of a tensor whose element o along `dim` depends on the elements taps[o] of one of `shape`; -1: on none."""
    padding = F.pad  # one element more, which depends on nothing, is what -1 finds

    def look(part: Tensor) -> Tensor:
        if part.shape[dim] == 1 and (shape[dim] > 1 or bool((taps >= 0).any(1).all())):
            return part  # what lies in a border along the other axis depends on nothing by that axis
        last = part.dim() - 1 - dim
        padded = padding(_sized(part, dim, shape[dim]), (0, 0) * last + (0, 1), value=NOTHING)
        found = padded.index_select(dim, taps.flatten() % padded.shape[dim])
        return found.reshape(*found.shape[:dim], *taps.shape, *found.shape[dim + 1 :]).amax(dim + 1)

    return spans.each(look)


def of_channels(spans: Spans, groups: int, out_channels: int) -> Spans:
    """Spans of (N, C, ...) after a convolution in `groups`: an output channel depends on all channels of its group."""

    def mix(part: Tensor) -> Tensor:
        if part.shape[1] == 1 or groups == 1:
            return part.amax(1, keepdim=True)
        grouped = part.reshape(part.shape[0], groups, -1, *part.shape[2:]).amax(2)
        return grouped.repeat_interleave(out_channels // groups, 1)

    return spans.each(mix)


def aligned(spans: Spans, rank: int) -> Spans:
    """With leading dimensions, for broadcasting with a tensor of `rank`."""
    return spans.each(lambda part: part.view((1,) * (rank - part.dim()) + part.shape))


def _same(part: Tensor) -> bool:
    return bool((part == part.flatten()[0]).all())


def _sized(part: Tensor, dim: int, size: int) -> Tensor:
    return part if part.shape[dim] == size else part.expand(*part.shape[:dim], size, *part.shape[dim + 1 :])


def _compact(part: Tensor) -> Tensor:
    for dim in range(part.dim()):
        if part.stride(dim) == 0 and part.shape[dim] > 1:
            part = part.narrow(dim, 0, 1)
    return part


def _groups(old: Shape, new: Shape) -> list[tuple[range, range]]:
    """Which dimensions of `old` become which of `new`: the smallest groups of equal numbers of elements."""
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        start_i, start_j = i, j
        i, j = min(i + 1, len(old)), min(j + 1, len(new))
        while (a := math.prod(old[start_i:i])) != (b := math.prod(new[start_j:j])):
            i, j = (i + 1, j) if a < b else (i, j + 1)
        groups.append((range(start_i, i), range(start_j, j)))
    return groups


def _regroup(part: Tensor, old: Shape, new: Shape, groups: Sequence[tuple[range, range]]) -> Tensor:
    full, shape = list(part.shape), []
    for before, after in groups:
        if all(part.shape[dim] == 1 for dim in before):
            shape += [1] * len(after)
        else:
            full[before.start : before.stop] = [old[dim] for dim in before]
            shape += [new[dim] for dim in after]
    return part.expand(full).reshape(shape)
