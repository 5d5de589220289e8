"""segsuite.losses.upsample_cross_entropy beside torch's interpolation and cross entropy in float64."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segsuite.errors import ConfigError, DataError
from segsuite.losses import enlargement as enlargement_file
from segsuite.losses import fused_cross_entropy as fused_file
from segsuite.losses import strips as strips_file
from segsuite.losses import upsample_cross_entropy
from tests.losses.enlarged import LargestTensor
from tests.waiting import no_waiting

C = 6
SIZES = [
    ((13, 9), (52, 36)),
    ((65, 33), (513, 257)),
    ((17, 23), (100, 131)),
    ((9, 9), (9, 40)),
    ((9, 8), (4, 3)),
    ((1, 1), (7, 5)),
    ((6, 5), (7, 6)),
    ((1, 3), (1, 96)),
]
WEIGHT = torch.tensor([1.0, 0.0, 2.5, 0.25, 1.5, 4.0])
SETTINGS: list[dict[str, Any]] = [
    {},
    {"weight": WEIGHT},
    {"label_smoothing": 0.1},
    {"weight": WEIGHT, "label_smoothing": 0.25},
]
settings_of_each_kind = pytest.mark.parametrize(
    "settings", SETTINGS, ids=lambda settings: "+".join(settings) or "plain"
)


def batch(low: tuple[int, int] = (5, 4), size: tuple[int, int] = (18, 15), seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (2, C, h, w), and int64 labels (2, H, W) with void pixels."""
    generator = torch.Generator().manual_seed(seed)
    labels_NHW = torch.randint(0, C, (2, *size), generator=generator)
    labels_NHW[torch.rand(2, *size, generator=generator) < 0.2] = 255
    labels_NHW[0, 0, 0] = 2  # a pixel counts
    return torch.randn(2, C, *low, generator=generator) * 3, labels_NHW


def reference(logits_NChw: Tensor, labels_NHW: Tensor, align_corners: bool = False, **settings: Any) -> Tensor:
    logits_NCHW = F.interpolate(logits_NChw, labels_NHW.shape[1:], mode="bilinear", align_corners=align_corners)
    weight = settings.pop("weight", None)
    weight = None if weight is None else weight.to(logits_NCHW.dtype)
    return F.cross_entropy(logits_NCHW, labels_NHW.long(), weight, ignore_index=255, **settings)


def value_and_gradient(
    loss: Callable[..., Tensor], logits_NChw: Tensor, labels_NHW: Tensor, **settings: Any
) -> tuple[Tensor, Tensor]:
    logits_NChw = logits_NChw.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    value = loss(logits_NChw, labels_NHW, **settings)
    (gradient,) = torch.autograd.grad(value, logits_NChw)
    return value.detach(), gradient


def assert_as_reference(logits_NChw: Tensor, labels_NHW: Tensor, relative: float = 2e-6, **settings: Any) -> None:
    value, gradient = value_and_gradient(upsample_cross_entropy, logits_NChw, labels_NHW, **settings)
    exact, exact_gradient = value_and_gradient(reference, logits_NChw.double(), labels_NHW, **settings)
    assert value.item() == pytest.approx(exact.item(), rel=relative)
    largest = float(exact_gradient.abs().max())
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=0, atol=relative * largest)


@settings_of_each_kind
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("low", "size"), SIZES)
def test_value_and_gradient_are_those_of_interpolation_and_cross_entropy(
    low: tuple[int, int], size: tuple[int, int], align_corners: bool, settings: dict[str, Any]
) -> None:
    assert_as_reference(*batch(low, size), align_corners=align_corners, **settings)


@settings_of_each_kind
@pytest.mark.parametrize("elements", [1, 150, 400, 1000])
def test_size_of_the_strips_changes_nothing(
    elements: int, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enlargement_file, "STRIP_ELEMENTS_CPU", elements)  # from one row to several groups of rows
    assert_as_reference(*batch(), **settings)


@settings_of_each_kind
@pytest.mark.parametrize("elements", [150, 2**25])
def test_way_for_other_devices_gives_the_same(
    elements: int, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in (enlargement_file, fused_file, strips_file):
        monkeypatch.setattr(file, "on_cpu", lambda tensor: False)
    monkeypatch.setattr(enlargement_file, "STRIP_ELEMENTS", elements)
    assert_as_reference(*batch(), **settings)


@settings_of_each_kind
def test_gradient_is_the_slope_of_the_value(settings: dict[str, Any]) -> None:
    logits_NChw, labels_NHW = batch((2, 3), (5, 7))
    assert torch.autograd.gradcheck(
        lambda logits: upsample_cross_entropy(logits, labels_NHW, **settings), logits_NChw.double().requires_grad_()
    )


@settings_of_each_kind
def test_batch_of_void_pixels_gives_zero_and_a_gradient_of_zero(settings: dict[str, Any]) -> None:
    logits_NChw, labels_NHW = batch()
    value, gradient = value_and_gradient(
        upsample_cross_entropy, logits_NChw, torch.full_like(labels_NHW, 255), **settings
    )
    assert value == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


@settings_of_each_kind
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_only_void_pixels_see_may_be_anything(bad: float, settings: dict[str, Any]) -> None:
    logits_NChw, labels_NHW = batch((4, 4), (16, 16))
    labels_NHW[0, :, 6:] = 255  # columns 6.. are those that see column 2 of the logits
    expected = value_and_gradient(upsample_cross_entropy, logits_NChw, labels_NHW, **settings)
    logits_NChw[0, :, :, 2:] = bad
    found = value_and_gradient(upsample_cross_entropy, logits_NChw, labels_NHW, **settings)
    torch.testing.assert_close(found, expected)
    assert torch.equal(found[1][0, :, :, 2:], torch.zeros_like(found[1][0, :, :, 2:]))


def test_what_a_pixel_that_counts_sees_must_be_a_number() -> None:
    logits_NChw, labels_NHW = batch()
    logits_NChw[0, 0, 0, 0] = float("nan")
    assert upsample_cross_entropy(logits_NChw, labels_NHW).isnan()


def test_logits_that_differ_by_more_than_fp32_can_divide() -> None:
    logits_NChw, labels_NHW = batch()
    assert_as_reference(logits_NChw * 1000, labels_NHW)


def test_bf16_logits_are_computed_in_fp32() -> None:
    logits_NChw, labels_NHW = batch()
    half = logits_NChw.bfloat16()
    value, gradient = value_and_gradient(upsample_cross_entropy, half, labels_NHW)
    exact, exact_gradient = value_and_gradient(upsample_cross_entropy, half.float(), labels_NHW)
    assert value.dtype == torch.float32
    assert value == exact
    assert torch.equal(gradient, exact_gradient.bfloat16())


def test_autocast_changes_no_bit() -> None:
    given = batch()
    expected = value_and_gradient(upsample_cross_entropy, *given)
    with torch.autocast("cpu", torch.bfloat16):
        found = value_and_gradient(upsample_cross_entropy, *given)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_labels_of_any_integer_type(dtype: torch.dtype) -> None:
    logits_NChw, labels_NHW = batch()
    expected = upsample_cross_entropy(logits_NChw, labels_NHW)
    assert torch.equal(upsample_cross_entropy(logits_NChw, labels_NHW.to(dtype)), expected)


@pytest.mark.parametrize("ignore_index", [-100, -1, 3, 200])
def test_any_integer_may_be_the_void_label(ignore_index: int) -> None:
    logits_NChw, labels_NHW = batch()
    void_NHW = (labels_NHW == 255) | (labels_NHW == ignore_index)
    expected = upsample_cross_entropy(logits_NChw, labels_NHW.masked_fill(void_NHW, 255))
    labels_NHW = labels_NHW.masked_fill(void_NHW, ignore_index)
    assert torch.equal(upsample_cross_entropy(logits_NChw, labels_NHW, ignore_index), expected)


def test_void_label_need_not_fit_the_labels_type() -> None:
    logits_NChw, labels_NHW = batch()
    labels_NHW[labels_NHW == 255] = 0
    expected = upsample_cross_entropy(logits_NChw, labels_NHW)
    assert torch.equal(upsample_cross_entropy(logits_NChw, labels_NHW.to(torch.uint8), -100), expected)


@pytest.mark.parametrize("label", [C, 254, -1, 1000])
def test_unknown_label_is_named(label: int) -> None:
    logits_NChw, labels_NHW = batch()
    labels_NHW[1, 2, 3] = label
    with pytest.raises(DataError, match=f"label {label} is neither a class"):
        upsample_cross_entropy(logits_NChw, labels_NHW)


def test_channels_last_logits_give_the_same() -> None:
    logits_NChw, labels_NHW = batch()
    expected = value_and_gradient(upsample_cross_entropy, logits_NChw, labels_NHW)
    given = logits_NChw.to(memory_format=torch.channels_last)
    assert all(map(torch.equal, value_and_gradient(upsample_cross_entropy, given, labels_NHW), expected))


def test_what_it_is_given_stays_as_it_is() -> None:
    logits_NChw, labels_NHW = batch()
    given = logits_NChw.clone().requires_grad_(), labels_NHW.clone()
    torch.autograd.grad(upsample_cross_entropy(*given), given[0])
    assert torch.equal(given[0], logits_NChw)
    assert torch.equal(given[1], labels_NHW)


def test_without_gradients_the_value_is_the_same() -> None:
    logits_NChw, labels_NHW = batch()
    expected = upsample_cross_entropy(logits_NChw.clone().requires_grad_(), labels_NHW)
    with torch.no_grad():
        value = upsample_cross_entropy(logits_NChw.clone().requires_grad_(), labels_NHW)
    assert torch.equal(value, expected)
    assert not value.requires_grad


def test_gradient_may_be_asked_for_twice_and_scaled() -> None:
    logits_NChw, labels_NHW = batch()
    logits_NChw.requires_grad_()
    value = upsample_cross_entropy(logits_NChw, labels_NHW)
    (once,) = torch.autograd.grad(value, logits_NChw, retain_graph=True)
    (thrice,) = torch.autograd.grad(3 * value, logits_NChw)
    torch.testing.assert_close(thrice, 3 * once)


def test_second_derivatives_are_refused() -> None:
    logits_NChw, labels_NHW = batch()
    logits_NChw.requires_grad_()
    (gradient,) = torch.autograd.grad(upsample_cross_entropy(logits_NChw, labels_NHW), logits_NChw, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.autograd.grad(gradient.sum(), logits_NChw)


@pytest.mark.parametrize("with_gradient", [True, False])
def test_nothing_of_the_enlarged_size_is_made(with_gradient: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlargement_file, "STRIP_ELEMENTS_CPU", 4000)
    logits_NChw, labels_NHW = batch((16, 16), (128, 128))
    logits_NChw.requires_grad_(with_gradient)
    with LargestTensor() as seen:
        value = upsample_cross_entropy(logits_NChw, labels_NHW)
        if with_gradient:
            torch.autograd.grad(value, logits_NChw)
    assert seen.elements <= labels_NHW.numel()


def test_nothing_waits_for_the_device() -> None:
    """Tensors on the meta device have no values: whatever would read one raises."""
    logits_NChw = torch.empty(2, C, 5, 4, device="meta", requires_grad=True)
    labels_NHW = torch.empty(2, 18, 15, device="meta", dtype=torch.uint8)
    value = upsample_cross_entropy(logits_NChw, labels_NHW, weight=WEIGHT.to("meta"), label_smoothing=0.1)
    assert torch.autograd.grad(value, logits_NChw)[0].shape == logits_NChw.shape


@pytest.mark.cuda
@settings_of_each_kind
def test_on_cuda_it_is_deterministic_and_that_of_the_cpu(settings: dict[str, Any]) -> None:
    logits_NChw, labels_NHW = batch()
    expected = value_and_gradient(upsample_cross_entropy, logits_NChw, labels_NHW, **settings)
    settings = {name: value.cuda() if isinstance(value, Tensor) else value for name, value in settings.items()}
    given = logits_NChw.cuda(), labels_NHW.cuda()
    value_and_gradient(upsample_cross_entropy, *given, **settings)
    torch.use_deterministic_algorithms(True)
    try:
        with no_waiting():
            found = value_and_gradient(upsample_cross_entropy, *given, **settings)
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(tuple(part.cpu() for part in found), expected)


def test_torch_compile_goes_around_it() -> None:
    logits_NChw, labels_NHW = batch()
    compiled = torch.compile(lambda logits: upsample_cross_entropy(2 * logits, labels_NHW), backend="eager")
    assert torch.equal(compiled(logits_NChw), upsample_cross_entropy(2 * logits_NChw, labels_NHW))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"weight": [1.0, 2.0]}, ConfigError, "weight has 2 numbers, the model has 6 classes"),
        ({"label_smoothing": 1.5}, ConfigError, "label_smoothing is 1.5"),
        ({"labels_NHW": torch.zeros(3, 4, 4, dtype=torch.uint8)}, ValueError, r"are not \(N, C, h, w\)"),
        ({"logits_NChw": torch.zeros(2, 6, 4)}, ValueError, r"are not \(N, C, h, w\)"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    logits_NChw, labels_NHW = batch()
    with pytest.raises(error, match=message):
        upsample_cross_entropy(**{"logits_NChw": logits_NChw, "labels_NHW": labels_NHW, **changes})


def test_package_gives_the_function_whatever_was_imported_before() -> None:
    importlib.import_module("segsuite.losses.fused_cross_entropy")
    assert importlib.import_module("segsuite.losses").upsample_cross_entropy is fused_file.upsample_cross_entropy
