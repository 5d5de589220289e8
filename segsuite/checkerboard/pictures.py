"""Small arrays for figures of a measurement; a few dozen kB in all."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segsuite.checkerboard.constant_response import Response
from segsuite.checkerboard.maps import cut
from segsuite.checkerboard.measure import Measured
from segsuite.checkerboard.phases import phase_means
from segsuite.checkerboard.scene import Scene
from segsuite.checkerboard.spectrum import LEAST_SPACING

SPECTRUM_SIDE = 128
CROP_SIDE = 64
LEAST_DECIBELS = -80.0

Arrays = dict[str, NDArray[np.generic]]


def pictures(measured: Measured, scene: Scene, periods: tuple[int, ...]) -> Arrays:
    """Named arrays; those of one that cannot be measured are left out.

    spectrum       float16 (<= 128, <= 128): power of the logits, mean over images and classes, in dB of its largest
                   bin, frequency (0, 0) in the middle; bins are averaged in blocks. Harmonics (a/s, b/s) are at
                   (a/s, b/s) of height and width from the middle.
    phase_map      float16 (s, s), s the largest period that fits 6 times: mean square of what the first image's logits
                   deviate from the mean of s + 1 pixels a side around them, by phase; 1 is the mean over phases.
    constant_response           float16 (S, S): the class with the most variance in the response to a constant scene,
                   at the place where it is largest, without its mean, in standard deviations of the real logits.
    constant_response_classes   uint8 (S, S): the classes predicted there.
    margin         float16 (64, 64): largest minus second largest logit in the part of the first image with the most
                   borders in its label.
    margin_image   uint8 (64, 64, 3), margin_label and margin_prediction uint8 (64, 64): what is there.
    """
    logits = measured.logits_CHW
    found: Arrays = {"spectrum": spectrum_picture(measured.logits.spectrum.power_HW)}
    phase = phase_map(logits, periods)
    if phase is not None:
        found["phase_map"] = phase
    if measured.response is not None:
        found |= constant_pictures(measured.response, measured.signal_variance)
    return found | margin_pictures(logits, scene)


def spectrum_picture(power_HW: Tensor) -> NDArray[np.float16]:
    """See `pictures`."""
    block = -(-max(power_HW.shape) // SPECTRUM_SIDE)
    centred = torch.fft.fftshift(power_HW)
    small = F.avg_pool2d(centred[None, None], block, ceil_mode=True)[0, 0]
    decibels = 10 * (small / small.max().clamp(min=1e-300)).clamp(min=1e-30).log10()
    return _float16(decibels.clamp(min=LEAST_DECIBELS))


def phase_map(logits_CHW: Tensor, periods: tuple[int, ...]) -> NDArray[np.float16] | None:
    """See `pictures`; None for an image that is too small."""
    maps = cut(logits_CHW[None], 1, periods)
    stride = max((period for period in periods if min(maps.shape[-2:]) // period >= LEAST_SPACING), default=0)
    if not stride:
        return None
    around = stride // 2 * 2 + 1
    mean = F.avg_pool2d(maps, around, stride=1)
    edge = around // 2
    deviation = (maps[..., edge:-edge, edge:-edge] - mean)[..., stride - edge :, stride - edge :]
    by_phase = phase_means(deviation.square(), stride).mean(dim=(0, 1))
    return _float16(by_phase / by_phase.mean().clamp(min=1e-30))


def constant_pictures(response: Response, signal_variance: float) -> Arrays:
    """See `pictures`."""
    variance_KC = response.middle_KCSS.var(dim=(-2, -1), correction=0)
    place = int(variance_KC.sum(dim=1).argmax())
    tile = response.middle_KCSS[place, int(variance_KC[place].argmax())]
    classes = response.middle_KCSS[place].argmax(dim=0)
    scale = max(signal_variance, 1e-30) ** 0.5
    return {
        "constant_response": _float16((tile - tile.mean()) / scale),
        "constant_response_classes": classes.to(torch.uint8).cpu().numpy(),
    }


def margin_pictures(logits_CHW: Tensor, scene: Scene) -> Arrays:
    """See `pictures`."""
    label, image = scene.labels_NHW[0], scene.images_NCHW[0]
    top, left = most_borders(label, scene.valid_NHW[0], CROP_SIDE)
    there = (slice(top, top + CROP_SIDE), slice(left, left + CROP_SIDE))
    largest = logits_CHW.topk(min(2, len(logits_CHW)), dim=0).values
    return {
        "margin": _float16((largest[0] - largest[-1])[there]),
        "margin_image": (image[:, *there] * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy(),
        "margin_label": label[there].to(torch.uint8).cpu().numpy(),
        "margin_prediction": logits_CHW.argmax(dim=0)[there].to(torch.uint8).cpu().numpy(),
    }


def most_borders(label_HW: Tensor, valid_HW: Tensor, side: int) -> tuple[int, int]:
    """Top and left, multiples of 8, of the square with the most pixels whose valid left or upper neighbour differs."""
    changes = torch.zeros(label_HW.shape, dtype=torch.float32, device=label_HW.device)
    changes[1:] += (label_HW[1:] != label_HW[:-1]) & valid_HW[1:] & valid_HW[:-1]
    changes[:, 1:] += (label_HW[:, 1:] != label_HW[:, :-1]) & valid_HW[:, 1:] & valid_HW[:, :-1]
    squares = F.avg_pool2d(changes[None], tuple(min(side, length) for length in label_HW.shape), stride=8)[0]
    best = int(squares.argmax())
    return 8 * (best // squares.shape[1]), 8 * (best % squares.shape[1])


def _float16(values: Tensor) -> NDArray[np.float16]:
    return values.float().clamp(-6e4, 6e4).cpu().numpy().astype(np.float16)
