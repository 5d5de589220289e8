"""A batch in strips: some rows of some images, small enough for the cache of a CPU, or for a small share of a GPU's
memory."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

STRIP_ELEMENTS_CPU = 2**18
STRIP_ELEMENTS = 2**25


class Strip:
    """Some rows of some images: logits (n, C, P) contiguous in at least fp32, `labels` (n, P) with 0 for void, `valid`
    (n, P) 1 or 0."""

    def __init__(
        self,
        logits_NCHW: Tensor,
        labels_NHW: Tensor,
        ignore_index: int,
        images: slice,
        rows: slice,
        shift_C: Tensor | None = None,
    ) -> None:
        self.images, self.rows = images, rows
        self.on_cpu = on_cpu(labels_NHW)
        dtype = torch.float64 if logits_NCHW.dtype == torch.float64 else torch.float32
        part = logits_NCHW[images, :, rows]
        self.shape = part.shape
        logits_nCP = part.reshape(len(part), part.shape[1], -1)
        if logits_nCP.dtype != dtype or not logits_nCP.is_contiguous():
            # one pass, where .float().contiguous() takes two
            logits_nCP = torch.empty(logits_nCP.shape, dtype=dtype, device=part.device).copy_(logits_nCP)
        labels_nP = labels_NHW[images, rows].reshape(len(part), -1)
        void_nP = labels_nP == ignore_index
        # On CUDA, looking whether it is needed would make the host wait.
        if not self.on_cpu or not torch.isfinite(logits_nCP.sum()):
            logits_nCP = logits_nCP.masked_fill(void_nP[:, None], 0.0)
        self.logits_nCP = logits_nCP if shift_C is None else logits_nCP + shift_C.to(dtype)[:, None]
        self.labels_nP = labels_nP.to(torch.int64) * ~void_nP
        self.valid_nP = (~void_nP).to(dtype)

    def softmax(self) -> Tensor:
        """p (n, C, P)."""
        return F.softmax(self.logits_nCP, 1)

    def of_label(self, values_nCP: Tensor) -> Tensor:
        """Each pixel's value at its label (n, P)."""
        return values_nCP.gather(1, self.labels_nP[:, None])[:, 0]

    def is_label(self) -> Tensor:
        """bool (n, C, P): whether the class is the label."""
        classes_C = torch.arange(self.shape[1], device=self.labels_nP.device)
        return self.labels_nP[:, None] == classes_C[:, None]

    def add_at_label(self, values_nCP: Tensor, added_nP: Tensor) -> Tensor:
        """Adds in place at each pixel's label."""
        if self.on_cpu:
            return values_nCP.scatter_add_(1, self.labels_nP[:, None], added_nP[:, None])
        # scatter_add is not deterministic on CUDA, or sorts first
        return values_nCP.addcmul_(self.is_label().to(values_nCP.dtype), added_nP[:, None])


def on_cpu(tensor: Tensor) -> bool:
    """Whether values may be looked at without making the host wait."""
    return tensor.device.type == "cpu"


def strips(logits_NCHW: Tensor) -> Iterator[tuple[slice, slice]]:
    """Slices of images and of rows that together are the batch, each of bounded size."""
    n, channels, height, width = logits_NCHW.shape
    if not logits_NCHW.numel():
        return
    cpu = on_cpu(logits_NCHW)
    elements = STRIP_ELEMENTS_CPU * torch.get_num_threads() if cpu else STRIP_ELEMENTS
    rows = min(height, max(1, elements // max(1, channels * width)))
    images = max(1, elements // max(1, channels * width * height)) if not cpu and rows == height else 1
    for image in range(0, n, images):
        for row in range(0, height, max(1, rows)):
            yield slice(image, image + images), slice(row, row + rows)
