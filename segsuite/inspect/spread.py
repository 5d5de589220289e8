"""How each operation of PyTorch spreads the spans of its inputs over its outputs (spans.py).

The rules are those of the operations that work across positions; whatever else keeps its input's shape works element
by element. An operation that is neither counts as the whole image. The fields are bounding boxes: holes within
(gridding) are not seen, weights of zero count as any other, and what depends on the data (sampling points, the places
of max-unpooling) is taken at rest, in its own cell.
"""

import math
from collections.abc import Callable
from typing import Any

from segsuite.inspect import taps, windows
from segsuite.inspect.calls import Argument, Call
from segsuite.inspect.spans import (
    MOST_ELEMENTS,
    Shape,
    Spans,
    aligned,
    concatenated,
    looked_up,
    moved,
    reduced,
    reshaped,
    union,
)


def spread(call: Call) -> Any:
    """Spans of what `call` gives: Spans, or a list of them when it gives a list."""
    rule = RULES.get(call.name)
    return rule(call) if rule else _elementwise(call)


def _elementwise(call: Call) -> Spans:
    tracked = call.tracked()
    sizes = [1] * len(call.shape)
    for one in tracked:
        for dim, size in enumerate(reversed(one.shape), 1):
            if dim > len(sizes) or size not in (1, call.shape[-dim]):
                return _unknown(call)
            sizes[-dim] = max(sizes[-dim], size)
    return union(aligned(one.known, len(call.shape)) for one in tracked)


def _unknown(call: Call) -> Spans:
    whole = frozenset[str]().union(*(one.known.whole for one in call.tracked()))
    return call.tracked()[0].known.nothing(len(call.shape)).through(*whole, f"{call.path} ({call.name})")


def _movement(call: Call) -> Any:
    return moved(call.x.known, call.x.shape, call.run)


def _view(call: Call) -> Spans:
    return reshaped(call.x.known, call.x.shape, call.shape)


def _shuffle(call: Call) -> Spans:
    n, channels, height, width = call.x.shape
    factor = call.args[1]
    inside = (n, channels // factor**2, factor, factor, height, width)
    spans = reshaped(call.x.known, call.x.shape, inside).each(lambda part: part.permute(0, 1, 4, 2, 5, 3))
    return reshaped(spans, (n, inside[1], height, factor, width, factor), call.shape)


def _concatenation(call: Call) -> Spans:
    parts = [one for one in call.args[0] if isinstance(one, Argument)]
    dim = call.get(1, "dim", 0) % len(call.shape)
    if call.name == "stack":
        spans = [one.known.each(lambda part: part.unsqueeze(dim)) for one in parts]
        return concatenated([(one, _with_one(part.shape, dim)) for one, part in zip(spans, parts, strict=True)], dim)
    return concatenated([(one.known, one.shape) for one in parts], dim)


def _indexing(call: Call) -> Any:
    """Copies elements about: only where all of them can be written out."""
    depends = any(one.spans for one in call.tracked() if one is not call.x)
    if depends or call.x.spans is None or math.prod(call.x.shape) > MOST_ELEMENTS:
        return _unknown(call)
    return _movement(call)


def _repetition(call: Call) -> Spans:
    repeats = call.args[1]
    spans = aligned(call.x.known, len(repeats))
    return spans.each(
        lambda part: part.repeat([n if size > 1 else 1 for n, size in zip(repeats, part.shape, strict=True)])
    )


def _flip(call: Call) -> Spans:
    dims = [dim % len(call.shape) for dim in call.args[1]]
    return call.x.known.each(lambda part: part.flip([dim for dim in dims if part.shape[dim] > 1]))


def _reduction(call: Call) -> Spans:
    dims = call.get(1, "dim")
    dims = [dims] if isinstance(dims, int) else dims
    if not dims:
        dims = list(range(len(call.x.shape)))
    keep = len(call.shape) == len(call.x.shape)
    return reduced(call.x.known, call.x.shape, dims, keep, call.path)


def _softmax(call: Call) -> Spans:
    x = call.x.known
    return union([x, reduced(x, call.x.shape, [call.args[1]], True, call.path)])


def _layer_norm(call: Call) -> Spans:
    x, rank = call.x.known, len(call.x.shape)
    return union([x, reduced(x, call.x.shape, range(rank - len(call.args[1]), rank), True, f"{call.path} (norm)")])


def _group_norm(call: Call) -> Spans:
    return call.x.known.through(f"{call.path} (norm)")


def _batch_norm(call: Call) -> Spans:
    uses_batch = call.name in ("native_batch_norm", "_native_batch_norm_legit") and call.args[5] is True
    return _group_norm(call) if uses_batch else call.x.known


def _product(call: Call) -> Spans:
    a, b = [one for one in call.args if isinstance(one, Argument)][-2:]
    across = reduced(a.known, a.shape, [-1], True, call.path) if a.spans else None
    down = reduced(b.known, b.shape, [-2], True, call.path) if b.spans else None
    if across and down:
        sizes = [
            math.prod(map(max, one.shape, other.shape)) for one, other in zip(across.reach, down.reach, strict=True)
        ]
        if max(sizes) > MOST_ELEMENTS:
            return across.through(call.path)
    return union([one for one in (across, down) if one])


def _attention(call: Call) -> Spans:
    q, k, v = (one.known for one in call.args[:3])
    keys = union([k.each(lambda part: part.amax(-1, keepdim=True)), v.each(lambda part: part.amax(-1, keepdim=True))])
    keys = reduced(keys, [*call.args[1].shape[:-1], 1], [-2], True, call.path)
    return union([q.each(lambda part: part.amax(-1, keepdim=True)), keys])


def _scatter(call: Call) -> Spans:
    """Max-unpooling: each value somewhere in its own cell of 2 x 2, as flat places in (N, C, 4 L) that a max-pooling
    found; any other goes anywhere."""
    _, _, places, source = call.args
    known: Spans = source.known
    if places.grid is None or math.prod(places.grid) * 4 != call.shape[-1]:
        return known.nothing(len(call.shape)).through(*known.whole, f"{call.path} (places that depend on the data)")
    height, width = places.grid
    cells = (*source.shape[:2], height, width)
    spans = reshaped(known, source.shape, cells)
    for dim in (2, 3):
        enlarged = taps.of_resize(cells[dim], 2 * cells[dim], "nearest", None, None)
        spans = looked_up(spans, cells, dim, enlarged)
    return reshaped(spans, (*cells[:2], 2 * height, 2 * width), call.shape)


def _with_one(shape: Shape, dim: int) -> Shape:
    return (*shape[:dim], 1, *shape[dim:])


MOVEMENTS = "permute transpose t slice select expand unsqueeze squeeze split split_with_sizes unbind narrow diagonal"
RULES: dict[str, Callable[[Call], Any]] = {
    **dict.fromkeys(MOVEMENTS.split(), _movement),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten"), _view),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool2d", "avg_pool2d"), windows.pooling),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), windows.adaptive_pooling),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"), windows.resize),
    **dict.fromkeys(("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"), windows.resize),
    **dict.fromkeys(("reflection_pad2d", "replication_pad2d"), windows.border),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "std", "var_mean", "logsumexp", "norm"), _reduction),
    **dict.fromkeys(("linalg_vector_norm", "max", "min", "prod", "argmax", "any", "all"), _reduction),
    **dict.fromkeys(("_softmax", "_log_softmax", "softmax", "log_softmax"), _softmax),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"), _batch_norm),
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm", "matmul"), _product),
    "convolution": windows.convolution,
    "constant_pad_nd": windows.constant_border,
    "grid_sampler_2d": windows.sampling,
    "im2col": windows.unfolding,
    "unfold": windows.windows_view,
    "pixel_shuffle": _shuffle,
    **dict.fromkeys(("index", "index_select", "gather", "roll"), _indexing),
    "cat": _concatenation,
    "stack": _concatenation,
    "repeat": _repetition,
    "flip": _flip,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "scatter": _scatter,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_flash_attention": _attention,
}
