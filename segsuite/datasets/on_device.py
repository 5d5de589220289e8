"""A whole dataset in the memory of a device, and the augmentation of a batch there.

Loading and augmenting an image takes a CPU core 10 to 30 ms, a training step of eight images on a GPU as much for all
of them. So where a dataset of bytes fits, its pixels go to the device once, and of each sample the host makes nothing
but what its augmentation draws (transforms.py, the same random numbers) and from that two small tables: for each row
and column of the result the two rows and columns of the image that it lies between, and their weights.

The result is that of OpenCV and albumentations: labels equal, bytes of images within one level for each step of colour
and within one for scaling. Scaling takes OpenCV's weights of 11 bits and rounds as it does.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.loader import Key, Sample, Samples, sample_seed
from segsuite.datasets.transforms import COLOURS, MEAN_COLOUR, NEAREST, VOID, Drawn, Transform
from segsuite.devices import runs_triton
from segsuite.errors import ConfigError

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(len(COLOURS))
BITS = 11  # of OpenCV's weights
# Of each row or column: its two neighbours in the image, their weights, and the nearest one, -1 where it is padding.
LOW, HIGH, WEIGHT_LOW, WEIGHT_HIGH, NEAR = range(5)
# OpenCV's grey: red, green and blue in 15 bits.
GREY = (9798, 19235, 3735)
BYTES_A_PIXEL = 4  # of an image and its label
MEMORY_SHARE = 0.25
Made = dict[str, Tensor]


def table(length: int, scaled: int, padding: int, corner: int, size: int) -> np.ndarray:
    """int32 (5, size): where the outputs of a crop lie on one axis of an image of `length` pixels that is scaled to
    `scaled`, then padded by `padding` in front, and cropped from `corner` on."""
    found = np.zeros((5, size), np.int32)
    found[NEAR] = -1
    first, last = max(0, padding - corner), min(size, padding - corner + scaled)
    found[:, first:last] = _axis(length, scaled)[:, corner + first - padding : corner + last - padding]
    return found


@lru_cache(maxsize=1024)  # a random scale takes few hundred values in whole pixels
def _axis(length: int, scaled: int) -> np.ndarray:
    """int32 (5, scaled): neighbours, weights and nearest pixel of each output of the scaled axis."""
    found = np.zeros((5, scaled), np.int32)
    near = np.arange(length, dtype=np.uint16)
    if scaled == length:  # left as it is
        found[[LOW, HIGH, NEAR]], found[WEIGHT_LOW] = near, 1 << BITS
        return found
    where = ((np.arange(scaled) + 0.5) * (1.0 / (scaled / length)) - 0.5).astype(np.float32)
    low = np.floor(where).astype(np.int32)
    fraction = where - low.astype(np.float32)
    fraction[(low < 0) | (low >= length - 1)] = 0
    found[LOW] = low.clip(0, length - 1)
    found[HIGH] = np.minimum(found[LOW] + 1, length - 1)
    found[WEIGHT_LOW], found[WEIGHT_HIGH] = (np.rint(part * (1 << BITS)) for part in (1 - fraction, fraction))
    found[NEAR] = cv2.resize(near[None], (scaled, 1), interpolation=NEAREST)[0]
    return found


def tables(drawn: Drawn, image: tuple[int, int], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """What `DeviceData.batch` needs of a sample: "rows" (5, height), "columns" (5, width), "steps" (3,) the steps of
    colour in their order, -1 for none, and "factors" (3,); of an `image` (height, width) and a result of `size`."""
    of_axes = zip(image, drawn.size, drawn.padding, drawn.corner, size, strict=True)
    rows, columns = (table(*axis) for axis in of_axes)
    steps, factors = np.full(3, -1, np.int64), np.ones(3)
    for at, (step, factor) in enumerate(drawn.colours):
        steps[at], factors[at] = step, factor
    return {
        "rows": rows,
        "columns": columns[:, ::-1].copy() if drawn.flipped else columns,
        "steps": steps,
        "factors": factors,
    }


class DeviceData:
    """The images and labels of a dataset on a `device`, and the batches that are made of them there.

    Images may differ in size; each is three bytes and its label one byte a pixel. `contrast`: whether that step may be
    drawn, which needs the mean of each image. Raises DataError as reading does.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        device: torch.device,
        threads: int = 1,
        progress: Callable[[int], None] = lambda done: None,
        contrast: bool = True,
    ) -> None:
        self.contrast = contrast
        self.shapes: list[tuple[int, int]] = []
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        with ThreadPoolExecutor(max(1, threads)) as readers:  # decoding does not hold Python's lock
            for image, label in readers.map(dataset.read, range(len(dataset))):
                self.shapes.append((image.shape[0], image.shape[1]))
                parts.append((image.reshape(-1, 3), label.reshape(-1)))
                progress(len(parts))
        self.labels = [label.reshape(shape) for (_, label), shape in zip(parts, self.shapes, strict=True)]
        """On the host, for crops that are placed by their classes."""
        starts = np.cumsum([0, *(len(label) for _, label in parts)])
        self.pixels = torch.from_numpy(np.concatenate([image for image, _ in parts])).to(device)
        self.ids = torch.from_numpy(np.concatenate([label for _, label in parts])).to(device)
        self.starts = torch.from_numpy(starts[:-1]).to(device)
        self.widths = torch.tensor([width for _, width in self.shapes], device=device)
        self._mean_colour = torch.tensor(MEAN_COLOUR, device=device).to(torch.uint8)

    def __deepcopy__(self, memo: dict[int, Any]) -> "DeviceData":
        """Itself: an average of the weights is made of a copy of the module, which holds this."""
        return self

    def batch(self, drawn: Made) -> Made:
        """The images (N, 3, H, W) uint8, in channels_last, and labels (N, H, W) of the `tables` of N samples."""
        if runs_triton(self.pixels):
            image_NHWC, label_NHW = self.by_kernel(drawn)
        else:
            image_NHWC = _coloured(self._image(drawn), drawn["steps"], drawn["factors"])
            label_NHW = self.label(drawn)
        return {"image": image_NHWC.permute(0, 3, 1, 2), "label": label_NHW, "index": drawn["index"]}

    def by_kernel(self, drawn: Made) -> tuple[Tensor, Tensor]:
        """Images (N, H, W, 3) and labels (N, H, W): the same by augment_kernel.py."""
        from segsuite.datasets.augment_kernel import augmented

        red, green, blue = map(int, MEAN_COLOUR)
        return augmented(
            *(self.pixels, self.ids, self.starts, self.widths, drawn),
            *((red, green, blue, VOID), GREY, (BRIGHTNESS, CONTRAST, SATURATION), self.contrast),
        )

    def label(self, drawn: Made) -> Tensor:
        """Labels alone."""
        rows, columns = drawn["rows"][:, NEAR, :, None], drawn["columns"][:, NEAR, None, :]
        found = self.ids[self._place(drawn, rows.clamp(min=0), columns.clamp(min=0))]
        return found.masked_fill((rows < 0) | (columns < 0), VOID)

    def _place(self, drawn: Made, rows: Tensor, columns: Tensor) -> Tensor:
        """int64 (N, H, W): where the pixels of rows (N, H, 1) and columns (N, 1, W) lie."""
        index = drawn["index"]
        return self.starts[index][:, None, None] + rows * self.widths[index][:, None, None] + columns

    def _image(self, drawn: Made) -> Tensor:
        """uint8 (N, H, W, 3), scaled, cropped and flipped."""
        rows, columns = drawn["rows"][..., None], drawn["columns"][:, :, None]

        def row(y: int, weight: int) -> Tensor:
            low = self.pixels[self._place(drawn, rows[:, y], columns[:, LOW])].int()
            high = self.pixels[self._place(drawn, rows[:, y], columns[:, HIGH])].int()
            found = low.mul_(columns[:, WEIGHT_LOW, ..., None]).add_(high.mul_(columns[:, WEIGHT_HIGH, ..., None]))
            # As OpenCV rounds: each product keeps 16 bits less, the sum of two rows two more.
            return found.bitwise_right_shift_(4).mul_(rows[:, weight, ..., None]).bitwise_right_shift_(16)

        found = row(LOW, WEIGHT_LOW).add_(row(HIGH, WEIGHT_HIGH)).add_(2).bitwise_right_shift_(2)
        found = found.clamp_(0, 255).to(torch.uint8)
        padding = (rows[:, NEAR] < 0) | (columns[:, NEAR] < 0)
        return torch.where(padding[..., None], self._mean_colour, found)


def _coloured(image_NHWC: Tensor, steps_N3: Tensor, factors_N3: Tensor) -> Tensor:
    """Brightness, contrast and saturation by the factors, each step rounded to bytes, as albumentations does."""
    # Where a product falls between two levels decides single precision otherwise; MPS has no other.
    exact = torch.float32 if image_NHWC.device.type == "mps" else torch.float64
    for step_N, factor_N in zip(steps_N3.T, factors_N3.T, strict=True):
        step, factor = step_N[:, None, None, None], factor_N[:, None, None, None].to(exact)
        x = image_NHWC.to(exact)
        red, green, blue = (channel * weight for channel, weight in zip(x.unbind(-1), GREY, strict=True))
        grey = torch.floor(((red + green + blue) / (1 << 15)) + 0.5)[..., None]
        mean = grey.mean((1, 2, 3), keepdim=True)
        added = torch.where(step == CONTRAST, mean * (1 - factor), 0.0)
        by_table = torch.floor(x * factor + added)
        saturated = torch.round(x * factor + grey * (1 - factor))
        found = torch.where(step == SATURATION, saturated, by_table).clamp(0, 255).to(torch.uint8)
        image_NHWC = torch.where(step < 0, image_NHWC, found)
    return image_NHWC


def load_on_device(
    dataset: SegmentationDataset,
    transform: Transform,
    device: torch.device,
    wanted: bool | Literal["auto"],
    threads: int = 1,
) -> DeviceData | None:
    """The dataset on `device` where its batches can be made there; None where they are not to be, or cannot under auto.

    auto: on a GPU, where it takes no more than MEMORY_SHARE of the free memory. Raises ConfigError with the reason when
    it is `wanted` and cannot be.
    """
    if wanted is False or (wanted == "auto" and device.type != "cuda"):
        return None
    reason, found = _reason_against(dataset, transform, device), None
    if reason is None:
        found = DeviceData(dataset, device, threads, contrast=transform.strengths[CONTRAST] > 0)
        if transform.crop is None and len(set(found.shapes)) > 1:
            reason, found = "without augment.crop all images must have one size", None
    if reason is not None and wanted is True:
        raise ConfigError(f"execution.data_on_device is true, but {reason}", advice="set it to auto or false")
    return found


def _reason_against(dataset: SegmentationDataset, transform: Transform, device: torch.device) -> str | None:
    if transform.strengths[HUE] > 0:
        return "augment.hue is computed on the CPU alone"
    if transform.crop is None and transform.scale != (1.0, 1.0):
        return "augment.scale without augment.crop gives images of many sizes"
    image, _ = dataset.read(0)
    if image.dtype != np.uint8:
        return "its images are not of 8 bits"
    needed = len(dataset) * image.shape[0] * image.shape[1] * BYTES_A_PIXEL
    if device.type == "cuda" and needed > MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]:
        return f"the dataset needs about {needed / 2**30:.1f} GiB, more than a quarter of the free memory of the GPU"
    return None


class DrawnSamples(torch.utils.data.Dataset[Sample]):
    """In the place of `Samples`: by its keys, what a sample's augmentation draws instead of its pixels."""

    def __init__(self, samples: Samples, data: DeviceData) -> None:
        assert samples.transform is not None
        self.dataset, self.seed, self.transform = samples.dataset, samples.seed, samples.transform
        self.size = self.transform.crop or data.shapes[0]
        self._labels, self._shapes = data.labels, data.shapes

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> Sample:
        epoch, index, *copy = key
        drawn = self.transform.draw(self._labels[index], sample_seed(self.seed, epoch, index, *copy))
        return {**tables(drawn, self._shapes[index], self.size), "index": index}
