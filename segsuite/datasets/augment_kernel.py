"""The batches of on_device.py as a Triton kernel: scaled, cropped, flipped, coloured images and their labels in three
launches, where the same in torch takes some ninety, as long as a step of a small network."""

import torch
import triton
from torch import Tensor
from triton import language as tl

BLOCK = 1024


@triton.jit
def _sampled(pixels, top, bottom, left, right, above, below, before, after):
    """A channel between four pixels, as OpenCV's weights of 11 bits round it."""
    upper = tl.load(pixels + top + left).to(tl.int32) * before
    upper += tl.load(pixels + top + right).to(tl.int32) * after
    lower = tl.load(pixels + bottom + left).to(tl.int32) * before
    lower += tl.load(pixels + bottom + right).to(tl.int32) * after
    found = ((above * (upper >> 4)) >> 16) + ((below * (lower >> 4)) >> 16)
    return tl.minimum(tl.maximum((found + 2) >> 2, 0), 255)


@triton.jit
def _rounded(x):
    """To the nearest whole number, halves to the even one."""
    up = tl.floor(x + 0.5)
    odd = up - 2.0 * tl.floor(up * 0.5)
    return tl.where((x + 0.5 == up) & (odd == 1.0), up - 1.0, up)


@triton.jit
def _stepped(x, grey, mean, step, factor, BRIGHTNESS, CONTRAST, SATURATION):
    """A channel after a step of colour, in whole numbers from 0 to 255; as it was where there is none."""
    added = tl.where(step == CONTRAST, mean * (1.0 - factor), 0.0)
    found = tl.where(step == SATURATION, _rounded(x * factor + grey * (1.0 - factor)), tl.floor(x * factor + added))
    changes = (step == BRIGHTNESS) | (step == CONTRAST) | (step == SATURATION)
    return tl.where(changes, tl.minimum(tl.maximum(found, 0.0), 255.0), x)


@triton.jit
def _augment(
    pixels, ids, starts, widths, index, rows, columns, steps, factors, means, image_out, label_out, grey_out,
    H, W, void, fill_red, fill_green, fill_blue, RED: tl.constexpr, GREEN: tl.constexpr, BLUE: tl.constexpr,
    BRIGHTNESS: tl.constexpr, CONTRAST: tl.constexpr, SATURATION: tl.constexpr,
    MEANS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """BLOCK pixels of a sample. With MEANS only the sum of their greys before the step of contrast is written."""
    block, n = tl.program_id(0), tl.program_id(1)
    at = block * BLOCK + tl.arange(0, BLOCK)
    inside = at < H * W
    h, w = tl.where(inside, at // W, 0), tl.where(inside, at % W, 0)
    row, column = rows + n * 5 * H + h, columns + n * 5 * W + w
    near_row, near_column = tl.load(row + 4 * H), tl.load(column + 4 * W)
    padding = (near_row < 0) | (near_column < 0)
    sample = tl.load(index + n)
    start, width = tl.load(starts + sample), tl.load(widths + sample)
    if not MEANS:
        place = start + near_row * width + near_column
        label = tl.load(ids + tl.where(padding, start, place)).to(tl.int32)
        label = tl.where(padding, void, label)
        tl.store(label_out + n * H * W + at, label.to(tl.uint8), inside)
    top, bottom = (start + tl.load(row) * width) * 3, (start + tl.load(row + H) * width) * 3
    left, right = tl.load(column).to(tl.int64) * 3, tl.load(column + W).to(tl.int64) * 3
    above, below = tl.load(row + 2 * H), tl.load(row + 3 * H)
    before, after = tl.load(column + 2 * W), tl.load(column + 3 * W)
    red = _sampled(pixels, top, bottom, left, right, above, below, before, after)
    green = _sampled(pixels + 1, top, bottom, left, right, above, below, before, after)
    blue = _sampled(pixels + 2, top, bottom, left, right, above, below, before, after)
    red = tl.where(padding, fill_red, red).to(tl.float64)
    green = tl.where(padding, fill_green, green).to(tl.float64)
    blue = tl.where(padding, fill_blue, blue).to(tl.float64)
    mean = tl.load(means + n)
    grey_sum = 0.0
    for k in tl.static_range(3):
        step, factor = tl.load(steps + n * 3 + k), tl.load(factors + n * 3 + k)
        grey = tl.floor((red * RED + green * GREEN + blue * BLUE) / 32768.0 + 0.5)
        if MEANS:
            grey_sum += tl.where(step == CONTRAST, tl.sum(tl.where(inside, grey, 0.0), 0), 0.0)
        red = _stepped(red, grey, mean, step, factor, BRIGHTNESS, CONTRAST, SATURATION)
        green = _stepped(green, grey, mean, step, factor, BRIGHTNESS, CONTRAST, SATURATION)
        blue = _stepped(blue, grey, mean, step, factor, BRIGHTNESS, CONTRAST, SATURATION)
    if MEANS:
        tl.store(grey_out + n * tl.num_programs(0) + block, grey_sum)
    else:
        target = image_out + (n * H * W + at) * 3
        tl.store(target, red.to(tl.uint8), inside)
        tl.store(target + 1, green.to(tl.uint8), inside)
        tl.store(target + 2, blue.to(tl.uint8), inside)


def augmented(
    pixels: Tensor,
    ids: Tensor,
    starts: Tensor,
    widths: Tensor,
    drawn: dict[str, Tensor],
    padding: tuple[int, int, int, int],
    grey: tuple[int, int, int],
    colours: tuple[int, int, int],
    contrast: bool,
) -> tuple[Tensor, Tensor]:
    """Images (N, H, W, 3) and labels (N, H, W), uint8, of what `DeviceData` holds and is given.

    padding: the colour and the label of what lies outside; grey: weights in 15 bits; colours: the numbers of
    brightness, contrast and saturation among the steps; contrast: whether any sample may have that step.
    """
    rows, columns = drawn["rows"], drawn["columns"]
    images, height, width = len(rows), rows.shape[2], columns.shape[2]
    image = torch.empty(images, height, width, 3, dtype=torch.uint8, device=pixels.device)
    label = torch.empty(images, height, width, dtype=torch.uint8, device=pixels.device)
    blocks = triton.cdiv(height * width, BLOCK)
    greys = torch.zeros(images, blocks, dtype=torch.float64, device=pixels.device)
    means = greys[:, 0]
    *fill, void = padding
    for only_means in (True, False) if contrast else (False,):
        _augment[blocks, images](
            pixels, ids, starts, widths, drawn["index"], rows, columns, drawn["steps"], drawn["factors"], means,
            image, label, greys, height, width, void, *fill, *grey, *colours, MEANS=only_means, BLOCK=BLOCK,
        )  # fmt: skip
        if only_means:
            means = greys.sum(1) / (height * width)
    return image, label
