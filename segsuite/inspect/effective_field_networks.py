"""`segsuite inspect E.yaml --field`: the fields of networks side by side, as rows and JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from segsuite.checkerboard.observe import prepared
from segsuite.datasets.base import SegmentationDataset
from segsuite.inspect.effective_field import INPUT, OUTPUT, Field, effective_fields
from segsuite.inspect.effective_field_measures import FieldMeasures, field_measures
from segsuite.inspect.effective_field_support import field_size
from segsuite.inspect.gridding_measured import GriddingMeasured, dilated_parts, network_gridding
from segsuite.io.numbers import percent
from segsuite.models.network import SegmentationNetwork

NOISE_SIDE = 384
LARGEST_SIDE = 768
FIELD_COLUMNS = ("arm", "weights", "theory px", "effective px", "share", "r 50 %", "r 90 %")
GRIDDING_COLUMNS = ("arm", "weights", "layer", "seen from", "period", "coverage", "hole", "paths", "measured", "smooth")


@dataclass(frozen=True, eq=False)
class NetworkField:
    """One network: its arm, which weights, its field in the image and the gridding of its dilated parts."""

    arm: str
    weights: str
    field: Field
    measures: FieldMeasures
    gridding: tuple[GriddingMeasured, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the picture."""
        gridding = [one.to_json() for one in self.gridding]
        return {"arm": self.arm, "weights": self.weights, **self.measures.to_json(), "gridding": gridding}


def network_field(
    arm: str,
    weights: str,
    network: SegmentationNetwork,
    images: Sequence[Tensor],
    of: str = OUTPUT,
    seed: int = 0,
    theoretical: int | None = None,
) -> NetworkField:
    """The field of the central place of layer `of`; images: RGB in 0..1, (1, 3, H, W) each, all of one size;
    theoretical: side of the theoretical field if it is known from a network of the same layers.

    The network is measured as in evaluation; batch normalisations that have seen nothing yet take their statistics
    from the images (checkerboard/observe.py). The logits are measured over the phases of the network's stride.
    """
    phases = network.stride if of == OUTPUT else 1
    measured = prepared(network, torch.cat(list(images)))
    field = effective_fields(measured, images, of, (INPUT,), phases, seed)[INPUT]
    if theoretical is None:
        side, whole = field_size(network, of)
        theoretical = side if whole else None
    gridding = network_gridding(measured, images, dilated_parts(measured, images[0]))
    measures = field_measures(field.energy_HW, theoretical, field.centre)
    return NetworkField(arm, weights, field, measures, tuple(gridding))


def noise(network: SegmentationNetwork, count: int, seed: int = 0) -> list[Tensor]:
    """Images of normal noise with the mean and deviation of the colours that the network expects."""
    generator = torch.Generator().manual_seed(seed)
    mean, deviation = -network.shift_1C11 / network.scale_1C11, 1 / network.scale_1C11
    draws = (torch.randn(1, 3, NOISE_SIDE, NOISE_SIDE, generator=generator) for _ in range(count))
    return [draw * deviation + mean for draw in draws]


def real_images(dataset: SegmentationDataset, indices: Sequence[int], multiple: int = 32) -> list[Tensor]:
    """The middle of the images `indices`, (1, 3, H, W) in 0..1: of one size, that of the smallest, in multiples of
    `multiple` so that nothing is padded, and up to LARGEST_SIDE."""
    found = []
    for index in indices:
        image, _ = dataset.read(index)
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
        found.append(tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor.float())
    sides = [min(min(one.shape[axis] for one in found), LARGEST_SIDE) for axis in (-2, -1)]
    height, width = (max(side // multiple * multiple, min(side, multiple)) for side in sides)
    return [_middle(one, height, width) for one in found]


def _middle(image_1CHW: Tensor, height: int, width: int) -> Tensor:
    top, left = (image_1CHW.shape[-2] - height) // 2, (image_1CHW.shape[-1] - width) // 2
    return image_1CHW[..., top : top + height, left : left + width]


def field_rows(found: Sequence[NetworkField]) -> list[tuple[str, ...]]:
    """A row a network, for FIELD_COLUMNS."""
    rows = []
    for one in found:
        share = one.measures.share()
        rows.append(
            (
                one.arm,
                one.weights,
                "-" if one.measures.theoretical is None else str(one.measures.theoretical),
                f"{one.measures.side:.0f}",
                "-" if share is None else percent(share),
                *(f"{radius:.1f}" for radius in one.measures.radii.values()),
            )
        )
    return rows


def gridding_rows(found: Sequence[NetworkField]) -> list[tuple[str, ...]]:
    """A row a network, dilated part and period, for GRIDDING_COLUMNS."""
    return [
        (
            *(one.arm, one.weights, grid.part.of, grid.part.by, str(grid.period), percent(grid.coverage, 3)),
            *(str(grid.hole), f"{grid.by_paths:.3f}", f"{grid.measured:.3f}", f"{grid.smooth:.3f}"),
        )
        for one in found
        for grid in one.gridding
    ]
