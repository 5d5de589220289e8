"""Gridding of a real network: how unevenly a layer's field spreads over the places modulo the dilation.

Measured in the features that a dilated part starts from. In the image the layers before smear any grid: there it
cannot be seen, however strong it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segsuite.inspect.effective_field import Field, effective_fields
from segsuite.inspect.effective_field_support import path_fields
from segsuite.inspect.gridding import largest_hole, smooth_unevenness, unevenness


@dataclass(frozen=True)
class Part:
    """A dilated part of a network: layer `of` seen from the features `by`; `periods`: its dilations in pixels of
    `by`, ascending."""

    of: str
    by: str
    periods: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class GriddingMeasured:
    """Gridding of a part at one period.

    coverage: share of the theoretical field's box that reaches the output over any path, hole: the largest square
    without any. by_paths: unevenness of the number of paths, which is that of random weights; measured: of the
    energy; smooth: the control, of a Gaussian as wide as the measured energy (gridding.py).
    """

    part: Part
    period: int
    field: int
    coverage: float
    hole: int
    by_paths: float
    measured: float
    smooth: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        names = ("period", "field", "coverage", "hole", "by_paths", "measured", "smooth")
        return {"of": self.part.of, "by": self.part.by, **{name: getattr(self, name) for name in names}}


def dilated_parts(network: nn.Module, given: Tensor) -> list[Part]:
    """The encoder's last features seen from the first ones of their stride, and the pyramid (`core.aspp`) seen from
    the encoder's last features, of a SegmentationNetwork, where they have dilated convolutions or poolings."""
    core = getattr(network, "core", None)
    strides = getattr(getattr(core, "encoder", None), "strides", ())
    if not strides:
        return []
    first = tuple(strides).index(strides[-1])
    parts = [("core.encoder[-1]", f"core.encoder[{first}]", "core.encoder.", strides[-1])]
    if hasattr(core, "aspp"):
        parts.append(("core.aspp", "core.encoder[-1]", "core.aspp.", strides[-1]))
    dilations = _dilations(network, given)
    found = []
    for of, by, path, stride in parts:
        # In pixels of `by`: a dilation d at stride s looks d * s pixels of the image further.
        inside = {rate * own // stride for name, (rate, own) in dilations.items() if name.startswith(path)}
        periods = tuple(sorted(period for period in inside if period > 1))
        if of != by and periods:
            found.append(Part(of, by, periods))
    return found


def _dilations(network: nn.Module, given: Tensor) -> dict[str, tuple[int, int]]:
    """Path of each convolution and pooling whose taps lie apart -> dilation and stride of what it gets."""
    found: dict[str, tuple[int, int]] = {}

    def note(path: str, rate: int, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        found[path] = (rate, given.shape[-1] // inputs[0].shape[-1])

    hooks = []
    for path, module in network.named_modules():
        rates, kernel = _pair(getattr(module, "dilation", 1)), _pair(getattr(module, "kernel_size", 1))
        if max(rates) > 1 and max(kernel) > 1:
            hooks.append(module.register_forward_pre_hook(partial(note, path, max(rates))))
    try:
        with torch.inference_mode():
            network(given)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _pair(value: Any) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value) if isinstance(value, tuple | list) else (1,)


def network_gridding(network: nn.Module, inputs: Sequence[Tensor], parts: Iterable[Part]) -> list[GriddingMeasured]:
    """Of each part at each of its periods; `inputs` (1, 3, H, W) of one size."""
    found = []
    for part in parts:
        paths = path_fields(network, (inputs[0].shape[-2], inputs[0].shape[-1]), part.of, (part.by,))[part.by]
        measured = effective_fields(network, inputs, part.of, (part.by,))[part.by]
        found += [grid(part, period, paths, measured) for period in part.periods]
    return found


def grid(part: Part, period: int, paths: Field, measured: Field) -> GriddingMeasured:
    """Of the fields of paths and of energy."""
    reached = paths.energy_HW > 0
    rows, columns = (np.flatnonzero(reached.any(axis=axis)) for axis in (1, 0))
    box = reached[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return GriddingMeasured(
        part,
        period,
        max(box.shape),
        float(box.mean()),
        largest_hole(box),
        unevenness(paths.energy_HW, period),
        unevenness(measured.energy_HW, period),
        smooth_unevenness(measured.energy_HW, period),
    )
