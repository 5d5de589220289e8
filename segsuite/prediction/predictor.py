"""What trained networks say of an image: one network or the mean of several, on the whole image or by windows, as it is
or the mean over changed views of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.metrics.confusion import predict
from segsuite.prediction.windows import Windows, rows
from segsuite.train.evaluation import AUTOCAST

Image = NDArray[np.uint8] | NDArray[np.float32]


class View(NamedTuple):
    """A change of the image that is undone in what the network says: its size times `scale`, mirrored from left to
    right or not."""

    scale: float = 1.0
    mirrored: bool = False


PLAIN = (View(),)


class Band(NamedTuple):
    """Complete rows of a prediction from row `top` on: `labels_HW` uint8 or, of more than 255 classes, int64;
    `probabilities_CHW` float32, where they are asked for."""

    top: int
    labels_HW: NDArray[np.integer]
    probabilities_CHW: NDArray[np.float32] | None


@dataclass(frozen=True)
class Predictor:
    """`networks` in evaluation mode on `device`, whose probabilities are averaged; `precision`: fp32, bf16-mixed or
    fp16-mixed."""

    networks: tuple[nn.Module, ...]
    num_classes: int
    device: str = "cpu"
    precision: str = "fp32"
    views: tuple[View, ...] = PLAIN

    @torch.inference_mode()
    def bands(self, image_HWC: Image, windows: Windows | None = None, probabilities: bool = False) -> Iterator[Band]:
        """The prediction of an RGB image (H, W, 3), uint8 or float in 0..1, from the top down: in one piece without
        `windows`, else a row of windows at a time, so that memory holds no more than that. A single network without
        views decides by its logits, exactly as when it is scored. Raises NonFiniteError."""
        height, width = image_HWC.shape[:2]
        if windows is None:
            labels_HW, scores_CHW = self._whole(image_HWC, probabilities)
            yield Band(0, labels_HW, scores_CHW)
            return
        side, weights_hw = windows.side, torch.from_numpy(windows.weights()).to(self.device)
        sum_CHW = torch.zeros(self.num_classes, side, width, device=self.device)
        weight_HW = torch.zeros(side, width, device=self.device)
        begin = 0  # the image's row that is the first of the sums
        for top, done in rows(windows, height):
            _drop_rows(sum_CHW, weight_HW, top - begin)
            begin = top
            for left in windows.starts(width):
                part_HWC = image_HWC[top : top + side, left : left + side]
                one_CHW = self._probabilities(part_HWC)
                tall, wide = one_CHW.shape[1:]
                weights = weights_hw[:tall, :wide]
                sum_CHW[:, :tall, left : left + wide] += one_CHW * weights
                weight_HW[:tall, left : left + wide] += weights
            mean_CHW = sum_CHW[:, : done - top] / weight_HW[: done - top]
            yield self._band(top, mean_CHW, probabilities)

    def labels(self, image_HWC: Image, windows: Windows | None = None) -> NDArray[np.integer]:
        """Class ids (H, W) of the whole image; see `bands`."""
        return np.concatenate([band.labels_HW for band in self.bands(image_HWC, windows)])

    def probabilities(self, image_HWC: Image, windows: Windows | None = None) -> NDArray[np.float32]:
        """(C, H, W) float32 of the whole image; see `bands`."""
        found = [band.probabilities_CHW for band in self.bands(image_HWC, windows, probabilities=True)]
        return np.concatenate([one for one in found if one is not None], axis=1)

    def _whole(self, image_HWC: Image, wanted: bool) -> tuple[NDArray[np.integer], NDArray[np.float32] | None]:
        if len(self.networks) > 1 or self.views != PLAIN:
            band = self._band(0, self._probabilities(image_HWC), wanted)
            return band.labels_HW, band.probabilities_CHW
        logits_NCHW = self._logits(self.networks[0], self._batch(image_HWC))
        labels_HW = predict(logits_NCHW)[0].cpu().numpy()
        if not wanted:
            return labels_HW, None
        return labels_HW, torch.softmax(logits_NCHW[0].float(), dim=0).cpu().numpy()

    def _band(self, top: int, mean_CHW: Tensor, wanted: bool) -> Band:
        labels_HW = predict(mean_CHW[None])[0].cpu().numpy()
        return Band(top, labels_HW, mean_CHW.cpu().numpy() if wanted else None)

    def _probabilities(self, part_HWC: Image) -> Tensor:
        """The mean over networks and views (C, H, W), float32."""
        logits = [partial(self._logits, network) for network in self.networks]
        return mean_probabilities(logits, self._batch(part_HWC), self.views)[0]

    def _batch(self, image_HWC: Image) -> Tensor:
        # Not a copy in channels-first order: the layout of the file is the one that the networks compute in.
        return torch.from_numpy(np.ascontiguousarray(image_HWC)).to(self.device).permute(2, 0, 1)[None]

    def _logits(self, network: nn.Module, images_NCHW: Tensor) -> Tensor:
        with torch.autocast(self.device, AUTOCAST.get(self.precision), enabled=self.precision in AUTOCAST):
            logits_NCHW: Tensor = network(images_NCHW)
        return logits_NCHW


def mean_probabilities(
    networks: Sequence[Callable[[Tensor], Tensor]], images_NCHW: Tensor, views: tuple[View, ...]
) -> Tensor:
    """(N, C, H, W) float32: the mean over views and networks, which make logits of images."""
    size = images_NCHW.shape[-2:]
    total_NCHW: Tensor | None = None
    for view in views:
        seen_NCHW = changed(images_NCHW, view)
        for network in networks:
            logits_NCHW = network(seen_NCHW).float()
            if view.mirrored:
                logits_NCHW = logits_NCHW.flip(-1)
            if logits_NCHW.shape[-2:] != size:
                logits_NCHW = F.interpolate(logits_NCHW, tuple(size), mode="bilinear", align_corners=False)
            one_NCHW = torch.softmax(logits_NCHW, dim=1)
            total_NCHW = one_NCHW if total_NCHW is None else total_NCHW.add_(one_NCHW)
    assert total_NCHW is not None
    return total_NCHW.div_(len(views) * len(networks))


def changed(image_NCHW: Tensor, view: View) -> Tensor:
    """Images (N, 3, H, W), uint8 or float in 0..1, as the view shows them."""
    if view.scale != 1:
        size = [max(1, round(length * view.scale)) for length in image_NCHW.shape[-2:]]
        if image_NCHW.dtype == torch.uint8:
            image_NCHW = image_NCHW.float() / 255
        image_NCHW = F.interpolate(image_NCHW, size, mode="bilinear", align_corners=False, antialias=view.scale < 1)
    return image_NCHW.flip(-1) if view.mirrored else image_NCHW


def _drop_rows(sum_CHW: Tensor, weight_HW: Tensor, count: int) -> None:
    """Moves what is left up by `count` rows and clears the rest, in place: a second copy would double the memory."""
    if count == 0:
        return
    kept = len(weight_HW) - count
    for begin in range(0, kept, count):  # in steps that do not overlap what they are copied to
        end = min(kept, begin + count)
        sum_CHW[:, begin:end] = sum_CHW[:, begin + count : end + count]
        weight_HW[begin:end] = weight_HW[begin + count : end + count]
    sum_CHW[:, kept:] = 0
    weight_HW[kept:] = 0


def views_of(mirrored: bool, scales: Sequence[float]) -> tuple[View, ...]:
    """Every scale, as it is and, where wished, mirrored."""
    return tuple(View(scale, flip) for scale in scales for flip in ((False, True) if mirrored else (False,)))
