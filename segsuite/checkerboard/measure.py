"""Measures a network: what its upsampling leaves in features, logits, predictions and gradients.

It is a copy that is measured, so that nothing of a training changes, and in fp32, whatever the training computes in:
rounding to bf16 is a noise that would hide small patterns.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from segsuite.checkerboard.constant_response import Decode, Places, Response, constant_response, joined, places_of
from segsuite.checkerboard.gradients import input_energy
from segsuite.checkerboard.maps import MapMeasures, Row, centred, channels_evenly, cut, row
from segsuite.checkerboard.observe import Seen, decodes, prepared, see
from segsuite.checkerboard.phases import Ratio
from segsuite.checkerboard.predictions import blockiness, isolated_pixels, moved, shift_flips, transitions
from segsuite.checkerboard.scene import Scene, summed
from segsuite.checkerboard.spectrum import LEAST_SPACING
from segsuite.checkerboard.textures import strongest
from segsuite.datasets.base import VOID
from segsuite.metrics.confusion import predict
from segsuite.models.network import SegmentationNetwork

FEATURE_CHANNELS = 8
"""Channels of a seam that are measured, evenly spaced."""


@dataclass(frozen=True)
class Effort:
    """On how many images the costly measures are made, and at how many places, in all, the constant response."""

    shifted: int
    gradients: int
    places: int
    shift_control: bool


IN_TRAINING = Effort(shifted=2, gradients=1, places=4, shift_control=False)
AT_THE_END = Effort(shifted=1000, gradients=1000, places=32, shift_control=True)


@dataclass(frozen=True, eq=False)
class Measured:
    """Rows, and what pictures are made of: the class-centred logits (C, H, W) of the first image, the sums over the
    logits of all, and the response to constants with the variance that is its unit."""

    rows: list[Row]
    logits_CHW: Tensor
    logits: MapMeasures
    response: Response | None
    signal_variance: float


@torch.no_grad()
def measure(network: SegmentationNetwork, scene: Scene, effort: Effort = IN_TRAINING) -> Measured:
    """All measures of `network` on `scene`, which lies on the network's device. Raises NonFiniteError for logits that
    are not finite."""
    device = scene.images_NCHW.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        measurement = Measurement(prepared(network, scene.images_NCHW), scene, effort)
        for index in range(len(scene.names)):
            measurement.add(index)
        return measurement.measured()


def periods_of(network: SegmentationNetwork) -> tuple[int, ...]:
    """Periods, in pixels of the image, at which upsampling may leave a pattern: the powers of two up to the coarsest
    stride that a seam enlarges (without seams, the network's stride), and the seams' strides themselves."""
    return _periods([seam.stride_from for seam in network.seams()] or [network.stride])


def _periods(strides: list[int]) -> tuple[int, ...]:
    powers = [2**k for k in range(1, max(strides).bit_length())]
    return tuple(sorted({*powers, *strides} - {1}))


class Measurement:
    """Sums over images, one by one, so that memory does not grow with their number."""

    def __init__(self, network: SegmentationNetwork, scene: Scene, effort: Effort) -> None:
        self.network, self.scene, self.effort = network, scene, effort
        self.periods = periods_of(network)
        self.logits, self.probabilities = MapMeasures(self.periods), MapMeasures(self.periods)
        self.gradient = MapMeasures(self.periods)
        self.seams = {seam: MapMeasures(_periods([seam.stride_from // seam.stride_to])) for seam in network.seams()}
        self.flips, self.flips_control, self.isolated = Ratio(), Ratio(), Ratio()
        self.transitions: list[tuple[Tensor, Tensor]] = []
        self.borders: list[tuple[Tensor, Tensor]] = []
        self.places: list[Places] = []
        self.moments: list[Tensor] = []
        self.first_logits: Tensor | None = None

    def add(self, index: int) -> None:
        """Measures an image of the scene."""
        image = self.scene.images_NCHW[index : index + 1]
        seen = see(self.network, image)
        prediction = predict(seen.logits_NCHW)[0]
        self._add_maps(seen)
        valid = self.scene.valid_NHW[index]
        self.isolated.add(*isolated_pixels(prediction, valid))
        self.transitions.append(transitions(prediction))
        self.borders.append(transitions(torch.where(valid, prediction, VOID)))
        if decodes(self.network) and seen.image_NCHW is not None:
            first, end = (self.effort.places * number // len(self.scene.names) for number in (index, index + 1))
            self.places.append(places_of(seen.features, seen.image_NCHW, end - first, first))
        if index < self.effort.shifted:
            self._add_flips(image, prediction)
        if index < self.effort.gradients:
            self.gradient.add(cut(input_energy(self.network, image), 1, self.periods), energy=True)

    def _add_maps(self, seen: Seen) -> None:
        logits = centred(seen.logits_NCHW)
        self.first_logits = logits[0] if self.first_logits is None else self.first_logits
        self.moments.append(torch.stack([logits.mean(dim=(0, 2, 3)), logits.square().mean(dim=(0, 2, 3))]).double())
        self.logits.add(cut(logits, 1, self.periods))
        self.probabilities.add(cut(seen.logits_NCHW.softmax(dim=1), 1, self.periods))
        for seam, sums in self.seams.items():
            if seam.name in seen.seams:
                sums.add(cut(channels_evenly(seen.seams[seam.name], FEATURE_CHANNELS), seam.stride_to, sums.periods))

    def _add_flips(self, image_1CHW: Tensor, prediction_HW: Tensor) -> None:
        coarsest = max(self.periods)
        controls = [(coarsest, self.flips_control)] if self.effort.shift_control else []
        for pixels, flips in [(1, self.flips), *controls]:
            if min(prediction_HW.shape) > 2 * pixels:
                of_moved = predict(see(self.network, moved(image_1CHW, pixels)).logits_NCHW)[0]
                flips.add(*shift_flips(prediction_HW, of_moved, pixels))

    def measured(self) -> Measured:
        """What the sums come to."""
        assert self.first_logits is not None
        means, squares = torch.stack(self.moments).mean(dim=0)
        signal = float((squares - means.square()).sum())
        decode = cast(Decode, getattr(self.network.core, "decode", None))
        response = constant_response(decode, joined(self.places)) if self.places else None
        rows = [*self._map_rows(), *self._prediction_rows(), *_decoder_rows(response, signal)]
        return Measured(rows, self.first_logits, self.logits, response, signal)

    def _map_rows(self) -> Iterator[Row]:
        image = self.scene.image_lines(1, self.periods)
        of_both = strongest([image, self.scene.label_lines(self.periods)])
        yield from self.logits.rows("logits", 1, of_both)
        yield from self.probabilities.rows("probabilities", 1, of_both)
        yield from self.gradient.rows("gradient", 1, image)
        for seam, sums in self.seams.items():
            if sums.size != (0, 0):
                lines = self.scene.image_lines(seam.stride_to, sums.periods)
                yield from sums.rows(f"seam:{seam.name}", seam.stride_to, lines)

    def _prediction_rows(self) -> Iterator[Row]:
        of_label, of_prediction = self.scene.label_borders, summed(self.transitions)
        length, label_length = (int(rows.sum() + columns.sum()) for rows, columns in (summed(self.borders), of_label))
        control = self.flips_control.value if self.effort.shift_control else None
        yield row("prediction", None, "shift_flips", self.flips.value, control)
        yield row("prediction", None, "isolated_pixels", self.isolated.value, self.scene.label_isolated)
        ratio = length / label_length if label_length else math.nan
        yield row("prediction", None, "boundary_length_ratio", ratio, 1.0)
        for period in self.periods:
            if min(self.scene.labels_NHW.shape[1:]) // period >= LEAST_SPACING:
                values = blockiness(of_prediction, period), blockiness(of_label, period)
                yield row("prediction", period, "blockiness", *values)


def _decoder_rows(response: Response | None, signal: float) -> Iterator[Row]:
    if response is None:
        return
    stride = response.middle_KCSS.shape[-1]
    values = response.index(signal), response.border(signal)
    yield row("decoder", stride, "constant_response_index", *values)
    yield row("decoder", stride, "constant_response_flips", response.flips(), response.border_flips())
