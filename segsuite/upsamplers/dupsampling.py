"""DUpsampling, data-dependent upsampling as a head (Tian, He, Shen, Yan 2019, arXiv 1903.02120).

A 1x1 convolution without bias, C -> s^2 N, and depth to space: each coarse feature vector v becomes an s x s patch of
logits W v, in one step for any s. The softmax has a learned temperature: the logits are divided by T, 1 at the start.
What is learned is log T, which keeps T positive; it is one number, and like biases it gets no weight decay. W / T is
taken once a step, before autocast rounds: dividing the logits in bf16 would also round T, to 1 part in 256.

W can start from the labels, as in the paper: of all rank-C codes W P of one-hot label patches, take the one
with the least squared error, the top eigenvectors of the patches' second moment (`label_code`, `fit_labels`). Not of
the covariance: neither convolution nor code has a bias.

C -> N channels, factor s: parameters s^2 N C + 1, multiply-adds per low-resolution pixel s^2 N C.
"""

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg  # type: ignore[import-untyped]
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from segsuite.errors import ConfigError
from segsuite.upsamplers.base import Upsampler, keep_second_moment_

VOID = 255


class DUpsampling(Upsampler):
    """A linear map from each coarse pixel to its s x s patch; logits divided by a learned temperature.

    Raises ConfigError for a factor below 2. `fits_labels`: `fit_labels` starts it from training labels.
    """

    fits_labels: ClassVar[bool] = True

    def __init__(self, in_channels: int, out_channels: int, factor: int = 2, init: str = "random") -> None:
        super().__init__(in_channels, out_channels, factor, init)
        if factor < 2:
            raise ConfigError(
                f"DUpsampling enlarges by 2, 3, 4, ..., not by {factor}", advice="choose a factor of at least 2"
            )
        # output channels: class by class, the s x s pixels of a class row by row
        self.decode = nn.Conv2d(in_channels, factor**2 * out_channels, 1, bias=False)
        self.log_temperature = nn.Parameter(torch.zeros(()))
        self.initialise()

    def initialise(self, generator: Generator | None = None) -> None:
        keep_second_moment_(self.decode, generator)
        nn.init.zeros_(self.log_temperature)

    def enlarge(self, x_NCHW: Tensor, guide_NCHW: Tensor | None) -> Tensor:
        weight = self.decode.weight * self.log_temperature.neg().exp()
        return F.pixel_shuffle(F.conv2d(x_NCHW, weight), self.factor)

    def fit_labels(self, masks: Iterable[NDArray[np.uint8]], num_classes: int) -> None:
        """Replaces W by that of the best code of the label patches of `masks`, (H, W) of any sizes; T becomes 1.

        Channels beyond the rank of the patches start at 0: their features add nothing to the first logits, and
        their weights have a gradient from the first step on. Raises ConfigError when out_channels is not
        num_classes, for labels that are neither below num_classes nor void, and when all are void.
        """
        if num_classes != self.out_channels:
            raise ConfigError(
                f"DUpsampling of {self.out_channels} output channels cannot start from labels of {num_classes} classes",
                advice="fit the one that gives the logits",
            )
        decode_DC, _ = label_code(masks, num_classes, self.factor, self.in_channels)
        with torch.no_grad():
            self.decode.weight.copy_(torch.from_numpy(decode_DC)[:, :, None, None])
            self.log_temperature.zero_()


def label_code(
    masks: Iterable[NDArray[np.uint8]], num_classes: int, factor: int, code_size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(W, P) of shapes (factor^2 num_classes, code_size) and transposed that minimise the sum of |t - W P t|^2 over
    the one-hot label patches t of all masks, closed form: W holds the top eigenvectors of sum t t^T as columns,
    strongest first, each with its largest entry positive; P = W^T.

    A patch is factor x factor pixels, from (0, 0) on; at the right and bottom it is filled up with void (255), and
    void pixels are zero in every class. Entries of t: class by class, the pixels of a class row by row. Columns
    beyond the rank of the patches are zero. Memory and time: (factor^2 num_classes)^2 float64 and its third power.
    Raises ConfigError for labels that are neither below num_classes nor void, and when all are void.
    """
    entries = factor**2 * num_classes
    moment_DD = np.zeros((entries, entries))
    for mask in masks:
        _check_labels(mask, num_classes)
        # most patches of real labels are equal to others: 3 times fewer products on CamVid at factor 8
        patches, counts = np.unique(_patches(mask, factor), axis=0, return_counts=True)
        onehot = patches[:, None, :] == np.arange(num_classes, dtype=np.uint8)[None, :, None]
        # sums of counts below 2^24 are exact in float32
        t_KD = onehot.reshape(len(patches), entries).astype(np.float32)
        moment_DD += (t_KD * counts[:, None].astype(np.float32)).T @ t_KD
    size = min(code_size, entries)
    values, vectors = linalg.eigh(moment_DD, subset_by_index=(entries - size, entries - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    if values[0] <= 0:
        raise ConfigError("no pixel with a label in the masks", advice="give the masks of the training images")
    rank = int((values > entries * np.finfo(np.float64).eps * values[0]).sum())
    decode_DC = np.zeros((entries, code_size))
    decode_DC[:, :rank] = vectors[:, :rank] * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(size)])[:rank]
    return decode_DC, decode_DC.T.copy()


def _patches(mask_HW: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """The factor x factor patches of a mask, one a row, filled up with void."""
    height, width = mask_HW.shape
    padded_HW = np.pad(mask_HW, ((0, -height % factor), (0, -width % factor)), constant_values=VOID)
    split = padded_HW.reshape(padded_HW.shape[0] // factor, factor, padded_HW.shape[1] // factor, factor)
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(-1, factor * factor))


def _check_labels(mask_HW: NDArray[np.uint8], num_classes: int) -> None:
    wrong = mask_HW[(mask_HW >= num_classes) & (mask_HW != VOID)]
    if wrong.size:
        raise ConfigError(
            f"label {int(wrong.flat[0])} in a mask for {num_classes} classes",
            advice=f"give labels 0 to {num_classes - 1}, and {VOID} for void",
        )
