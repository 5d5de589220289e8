"""segsuite.losses.kernels, by Triton's interpreter on a CPU and on a GPU where there is one: the sums of the softmax,
direct and of enlarged logits, those of classes, and distances, against the definitions in fp64."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

triton = pytest.importorskip("triton", reason="Triton is for Linux")

from segsuite.losses.border import distance_to  # noqa: E402
from segsuite.losses.enlargement import Enlargement  # noqa: E402
from segsuite.losses.full_resolution import EnlargedPixels, LowLogits  # noqa: E402
from segsuite.losses.kernels.classes import class_sums  # noqa: E402
from segsuite.losses.kernels.distance import nearest_over_rows  # noqa: E402
from segsuite.losses.kernels.enlarged import EnlargedSums  # noqa: E402
from segsuite.losses.kernels.softmax import DirectSums  # noqa: E402
from segsuite.losses.softmax_sums import softmax_sums  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
INTERPRETED = pytest.mark.skipif(not triton.knobs.runtime.interpret, reason="needs a GPU, or TRITON_INTERPRET=1")
pytestmark = pytest.mark.cuda if DEVICE == "cuda" else INTERPRETED
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
# Low (h, w), enlarged (H, W), labels (H, W): whole and broken factors, cut and repeated at the end, one pixel.
SIZES = [
    ((5, 7), (20, 28), (20, 28)),
    ((5, 7), (20, 28), (18, 25)),
    ((3, 2), (48, 32), (48, 32)),
    ((5, 7), (13, 11), (13, 11)),
    ((3, 4), (7, 9), (9, 12)),
    ((1, 1), (4, 4), (4, 4)),
]


def batch(
    size: tuple[int, int], classes: int, label_size: tuple[int, int], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Logits, and labels with rows of void; the first image's logits at void are not finite."""
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(2, classes, *size, generator=generator)).to(dtype)
    labels = torch.randint(0, classes, (2, *label_size), generator=generator).to(torch.uint8)
    labels[0, :2] = 255
    return logits.to(DEVICE), labels.to(DEVICE)


def slopes(sums: Sequence[Tensor | None], given: Tensor) -> Tensor:
    """The gradient of a random combination of all sums to what they were computed of."""
    generator = torch.Generator().manual_seed(1)
    total = torch.zeros((), dtype=torch.float64, device=given.device)
    for part in sums:
        if part is not None:
            total = total + (part.double() * torch.randn(part.shape, generator=generator).to(given.device)).sum()
    (gradient,) = torch.autograd.grad(total, given)
    return gradient.double()


def assert_same(found: Sequence[Tensor | None], expected: Sequence[Tensor | None], tolerance: float = 1e-5) -> None:
    for ours, exact in zip(found, expected, strict=True):
        assert (ours is None) == (exact is None)
        if ours is not None and exact is not None:
            torch.testing.assert_close(ours.double(), exact.double(), rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("classes", [2, 11, 150])
@pytest.mark.parametrize("shifted", [False, True])
def test_sums_and_gradient_are_the_definition(layout: str, classes: int, shifted: bool) -> None:
    logits, labels = batch((9, 13), classes, (9, 13), torch.float32)
    shift = torch.randn(classes, generator=torch.Generator().manual_seed(2)).to(DEVICE) if shifted else None
    given = logits.to(memory_format=LAYOUTS[layout]).requires_grad_()
    exact = logits.double().requires_grad_()
    expected = softmax_sums(exact, labels, 255, None if shift is None else shift.double(), True, True)
    found = DirectSums.apply(given, labels, 255, shift, True, True)
    assert_same(found, expected)
    torch.testing.assert_close(slopes(found, given), slopes(expected, exact), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_16_bits_are_computed_in_fp32(dtype: torch.dtype) -> None:
    logits, labels = batch((9, 13), 11, (9, 13), dtype)
    given, exact = logits.clone().requires_grad_(), logits.double().requires_grad_()
    found, expected = DirectSums.apply(given, labels, 255, None, True, False), softmax_sums(exact, labels)
    assert_same(found, expected)
    torch.testing.assert_close(slopes(found, given), slopes(expected, exact), rtol=2e-2, atol=1e-2)


def test_a_view_that_is_cut_is_read_and_written_in_place() -> None:
    logits, labels = batch((12, 16), 5, (9, 13), torch.float32)
    cut = logits[..., :9, :13].requires_grad_()
    exact = cut.detach().double().requires_grad_()
    found, expected = (
        DirectSums.apply(cut, labels, 255, None, True, True),
        softmax_sums(exact, labels, 255, None, True, True),
    )
    assert_same(found, expected)
    torch.testing.assert_close(slopes(found, cut), slopes(expected, exact), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("classes", [3, 19])
def test_enlarged_sums_and_gradient_are_the_definition(
    sizes: tuple[tuple[int, int], tuple[int, int], tuple[int, int]], classes: int
) -> None:
    low_size, enlarged, label_size = sizes
    low, labels = batch(low_size, classes, label_size, torch.float32)
    given, exact = low.clone().requires_grad_(), low.double().requires_grad_()
    pixels = EnlargedPixels(LowLogits(exact, enlarged), labels)
    expected = pixels.softmax_sums(None, True, True)
    axes = Enlargement(given, enlarged, label_size)
    found = EnlargedSums.apply(given, labels, 255, None, True, True, axes.rows, axes.columns)
    assert_same(found, expected, 2e-5)
    torch.testing.assert_close(slopes(found, given), slopes(expected, exact), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kernel", ["direct", "enlarged"])
def test_what_lies_at_void_pixels_does_not_matter(kernel: str) -> None:
    logits, labels = batch((6, 8), 4, (6, 8), torch.float32)
    labels[1] = 255
    logits[1, :, 2, 3] = float("nan")
    logits.requires_grad_()
    axes = Enlargement(logits, (6, 8), (6, 8))
    found = (
        DirectSums.apply(logits, labels, 255, None, True, True)
        if kernel == "direct"
        else EnlargedSums.apply(logits, labels, 255, None, True, True, axes.rows, axes.columns)
    )
    gradient = slopes(found, logits)
    assert all(part.isfinite().all() for part in found)
    assert (gradient[1] == 0).all()
    assert all((part[1] == 0).all() for part in found)


def test_a_label_without_a_meaning_makes_the_loss_nan() -> None:
    logits, labels = batch((6, 8), 4, (6, 8), torch.float32)
    labels[1, 3, 3] = 200
    log_p, *_ = DirectSums.apply(logits, labels, 255, None, False, False)
    assert log_p[1, 3, 3].isnan()
    assert int(log_p.isnan().sum()) == 1


@pytest.mark.parametrize("classes", [1, 5, 150])
def test_class_sums_are_those_of_a_loop(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, (3, 17, 29), generator=generator).to(torch.uint8).to(DEVICE)
    labels[1, 4:9] = 255
    values = torch.rand(3, 17, 29, generator=generator).to(DEVICE)
    for given in (None, values):
        found = class_sums(labels, classes, 255, given)
        counted = torch.ones_like(values) if given is None else given
        for label in range(classes):
            expected = (counted.double() * (labels == label)).sum((1, 2))
            torch.testing.assert_close(found[:, label], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("radius", [3, 40])
def test_distances_are_those_of_the_other_devices(radius: int) -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(2, 37, 70, generator=generator) < 0.01
    expected = distance_to(mask, radius)
    # The first pass, along the rows, is the same on all devices.
    column = torch.arange(70.0)
    apart = (column[:, None] - column[None, :]).abs()
    row = torch.where(mask[:, :, None, :], apart, 1000.0).amin(3).square()
    nearest = nearest_over_rows(row.to(DEVICE), radius).cpu()
    found = torch.where(nearest <= radius**2, nearest.sqrt(), float("inf"))
    torch.testing.assert_close(found, expected)
