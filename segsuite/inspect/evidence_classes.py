"""`segsuite inspect E.yaml --evidence`: for each class of a trained network, where its evidence lies and what the
channel that says most for it reacts to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsuite.datasets.base import SegmentationDataset
from segsuite.errors import ConfigError, unknown_name
from segsuite.inspect.evidence import (
    RULES,
    class_evidence,
    enlarged,
    project_unit,
    strongest_channels,
)
from segsuite.io.numbers import significant
from segsuite.models.network import SegmentationNetwork

COLUMNS = ("class", "image", "% of the image", "layer", "% of evidence inside", "concentration", "channel")
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassEvidence:
    """Evidence of one layer for one class, at the pixels of one image that are predicted so.

    pixels: their share of the image; inside: share of the evidence, enlarged, that lies on them; channel: the one that
    says most for the class; evidence_HW and projections (rule -> (H, W, 3)) are at the size of the image.
    """

    class_id: int
    name: str
    image: int
    image_name: str
    layer: str
    pixels: float
    inside: float
    channel: int
    evidence_HW: Floats
    projections: dict[str, Floats]
    place: tuple[int, int]

    @property
    def concentration(self) -> float:
        """Evidence on the class's pixels by their area: 1 when it is spread over the image."""
        return self.inside / self.pixels

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the pictures."""
        names = ("class_id", "name", "image_name", "layer", "pixels", "inside", "concentration", "channel")
        return {name: getattr(self, name) for name in names}


def default_layers(network: SegmentationNetwork) -> list[str]:
    """The encoder's last features, as in the paper of Seg-Grad-CAM, and a layer of the decoder: the pyramid of a
    DeepLabV3, otherwise the seam in the middle."""
    core, seams = network.core, network.seams()
    later = ["core.aspp"] if hasattr(core, "aspp") else [seam.name for seam in seams[len(seams) // 2 : -1]][:1]
    return ["core.encoder[-1]", *later]


def find_evidence(
    network: SegmentationNetwork,
    dataset: SegmentationDataset,
    indices: Sequence[int],
    layers: Sequence[str],
    classes: Sequence[str] = (),
) -> list[ClassEvidence]:
    """Of each class (all by default) and layer; the image of a class is that of `indices` with the most pixels that
    are predicted so, and a class that is predicted nowhere there is left out. Raises ConfigError for an unknown class.
    """
    for name in classes:
        if name not in dataset.classes:
            raise ConfigError(unknown_name("class", name, dataset.classes), "--class")
    images = {index: image_of(dataset, index) for index in indices}
    with torch.inference_mode():
        predictions = {index: network(image)[0].argmax(dim=0) for index, image in images.items()}
    found = []
    for class_id, name in enumerate(dataset.classes):
        if classes and name not in classes:
            continue
        index = max(indices, key=lambda at: int((predictions[at] == class_id).sum()))
        pixels_HW = (predictions[index] == class_id).clone()
        if pixels_HW.any():
            found += [_of_layer(network, dataset, index, images[index], class_id, pixels_HW, one) for one in layers]
    return found


def image_of(dataset: SegmentationDataset, index: int) -> Tensor:
    """(1, 3, H, W) in 0..1."""
    image_1CHW = torch.from_numpy(dataset.read(index)[0]).permute(2, 0, 1)[None]
    return image_1CHW.float() / 255 if image_1CHW.dtype == torch.uint8 else image_1CHW.float()


def _of_layer(
    network: SegmentationNetwork,
    dataset: SegmentationDataset,
    index: int,
    image_1CHW: Tensor,
    class_id: int,
    pixels_HW: Tensor,
    layer: str,
) -> ClassEvidence:
    evidence, weights_C = class_evidence(network, image_1CHW, layer, class_id, pixels_HW)
    large = enlarged(evidence, pixels_HW.shape).double()
    channel = strongest_channels(network, image_1CHW, layer, weights_C, 1)[0]
    projected = {rule: project_unit(network, image_1CHW, layer, channel, rule) for rule in RULES}
    return ClassEvidence(
        class_id,
        dataset.classes[class_id],
        index,
        dataset.sample_name(index),
        layer,
        float(pixels_HW.double().mean()),
        float(large[pixels_HW].sum() / large.sum().clamp(min=1e-300)),
        channel,
        large.numpy(),
        {rule: one.pixels_CHW.permute(1, 2, 0).double().numpy() for rule, one in projected.items()},
        projected["guided"].place,
    )


def evidence_rows(found: Sequence[ClassEvidence]) -> list[tuple[str, ...]]:
    """A row a class and layer, for COLUMNS."""
    return [
        (
            *(one.name, one.image_name, significant(100 * one.pixels), one.layer, f"{100 * one.inside:.0f}"),
            *(significant(one.concentration), str(one.channel)),
        )
        for one in found
    ]
