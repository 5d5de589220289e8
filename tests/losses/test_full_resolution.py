"""segsuite.losses.full_resolution: every loss, fused with the enlargement of its logits, beside the loss of logits that
F.interpolate enlarged."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segsuite.errors import ConfigError, DataError
from segsuite.losses import NOT_FUSED, build_loss, check_fused
from segsuite.losses import enlargement as enlargement_file
from segsuite.losses import fused_cross_entropy as fused_file
from segsuite.losses import pixels as pixels_file
from segsuite.losses import strips as strips_file
from segsuite.losses.full_resolution import FusedLoss, LowLogits, build_fused_loss
from segsuite.losses.gradient_norm import MeasuredLoss, gradient_norm
from tests.losses.cases import CASES, case_id
from tests.losses.enlarged import LargestTensor

Settings = dict[str, Any]
C = 5


def is_fused(name: str, settings: Settings) -> bool:
    terms = settings.get("terms", [{"name": name}])
    names = {term["name"] for term in terms}
    return not names & set(NOT_FUSED) and (len(terms) == 1 or not any("label_smoothing" in term for term in terms))


def those(fused: bool) -> pytest.MarkDecorator:
    cases = [case for case in CASES if is_fused(*case) == fused]
    return pytest.mark.parametrize(("name", "settings"), cases, ids=case_id)


SUM: Settings = {
    "terms": [
        {"name": "cross_entropy", "class_weights": [1.0, 0.0, 2.5, 0.25, 1.5]},
        {"name": "focal", "weight": 0.5},
        {"name": "dice", "weight": 2.0, "squared": True},
    ]
}
SIZES = [((5, 4), (18, 15)), ((65, 9), (513, 72)), ((7, 9), (7, 20)), ((9, 8), (4, 3)), ((1, 1), (7, 5))]


def batch(low: tuple[int, int] = (5, 4), size: tuple[int, int] = (18, 15)) -> tuple[Tensor, Tensor]:
    """Logits (2, C, h, w), and uint8 labels (2, H, W) with void pixels."""
    generator = torch.Generator().manual_seed(0)
    labels_NHW = torch.randint(0, C, (2, *size), generator=generator).to(torch.uint8)
    labels_NHW[torch.rand(2, *size, generator=generator) < 0.2] = 255
    return torch.randn(2, C, *low, generator=generator) * 3, labels_NHW


def enlarged(low_NChw: Tensor, size: tuple[int, int], labels_NHW: Tensor) -> Tensor:
    """What a network that ends in bilinear interpolation gives: cut, or its edges repeated, to the labels' size."""
    height, width = labels_NHW.shape[1:]
    logits_NCHW = F.interpolate(low_NChw, size, mode="bilinear")[..., :height, :width]
    missing = (0, width - logits_NCHW.shape[-1], 0, height - logits_NCHW.shape[-2])
    return F.pad(logits_NCHW, missing, mode="replicate")


def direct(
    name: str, settings: Settings, low_NChw: Tensor, size: tuple[int, int], labels_NHW: Tensor
) -> tuple[Tensor, Tensor]:
    """Value and gradient in float64 of the loss of enlarged logits."""
    low_NChw = low_NChw.double().requires_grad_()
    value = build_loss(name, **settings).double()(enlarged(low_NChw, size, labels_NHW), labels_NHW)
    return value.detach(), torch.autograd.grad(value, low_NChw)[0]


def fused(
    name: str, settings: Settings, low_NChw: Tensor, size: tuple[int, int], labels_NHW: Tensor
) -> tuple[Tensor, Tensor]:
    low_NChw = low_NChw.detach().clone().requires_grad_()
    value = build_fused_loss(name, **settings)(LowLogits(low_NChw, size), labels_NHW)
    return value.detach(), torch.autograd.grad(value, low_NChw)[0]


def assert_as_direct(
    name: str, settings: Settings, low_NChw: Tensor, size: tuple[int, int], labels_NHW: Tensor
) -> None:
    value, gradient = fused(name, settings, low_NChw, size, labels_NHW)
    exact, exact_gradient = direct(name, settings, low_NChw, size, labels_NHW)
    assert value.item() == pytest.approx(exact.item(), rel=1e-5, abs=1e-7)
    largest = float(exact_gradient.abs().max())
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=0, atol=1e-5 * largest)


@those(fused=True)
def test_every_loss_is_that_of_the_enlarged_logits(name: str, settings: Settings) -> None:
    low_NChw, labels_NHW = batch()
    assert_as_direct(name, settings, low_NChw, (18, 15), labels_NHW)


@pytest.mark.parametrize(("low", "size"), SIZES)
def test_any_factor_and_size(low: tuple[int, int], size: tuple[int, int]) -> None:
    low_NChw, labels_NHW = batch(low, size)
    assert_as_direct("sum", SUM, low_NChw, size, labels_NHW)


@pytest.mark.parametrize("elements", [1, 150, 400, 1000])
@pytest.mark.parametrize(("name", "settings"), [("sum", SUM), ("recall_weighted_cross_entropy", {})])
def test_size_of_the_strips_changes_nothing(
    name: str, settings: Settings, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enlargement_file, "STRIP_ELEMENTS_CPU", elements)
    low_NChw, labels_NHW = batch()
    assert_as_direct(name, settings, low_NChw, (18, 15), labels_NHW)


@those(fused=True)
def test_way_for_other_devices_gives_the_same(name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    low_NChw, labels_NHW = batch()
    for file in (enlargement_file, fused_file, pixels_file, strips_file):
        monkeypatch.setattr(file, "on_cpu", lambda tensor: False)
    assert_as_direct(name, settings, low_NChw, (18, 15), labels_NHW)


@pytest.mark.parametrize(("name", "settings"), [("sum", SUM), ("cross_entropy", {"label_smoothing": 0.1})])
@pytest.mark.parametrize("size", [(20, 16), (32, 16), (17, 15), (18, 12)])
def test_enlarged_logits_may_be_cut_or_their_edges_repeated(
    name: str, settings: Settings, size: tuple[int, int]
) -> None:
    low_NChw, labels_NHW = batch()
    assert_as_direct(name, settings, low_NChw, size, labels_NHW)


@pytest.mark.parametrize(("name", "settings"), [("sum", SUM), ("cross_entropy", {})])
def test_cutting_logits_is_padding_labels_with_void(name: str, settings: Settings) -> None:
    low_NChw, labels_NHW = batch()
    padded_NHW = F.pad(labels_NHW, (0, 1, 0, 2), value=255)
    cut = fused(name, settings, low_NChw, (20, 16), labels_NHW)
    torch.testing.assert_close(fused(name, settings, low_NChw, (20, 16), padded_NHW), cut)


@pytest.mark.parametrize(("name", "settings"), [("sum", SUM), ("cross_entropy", {}), ("dice", {})])
def test_batch_of_void_pixels_gives_zero_and_a_gradient_of_zero(name: str, settings: Settings) -> None:
    low_NChw, labels_NHW = batch()
    value, gradient = fused(name, settings, low_NChw, (18, 15), torch.full_like(labels_NHW, 255))
    assert value == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_what_only_void_pixels_see_may_be_anything() -> None:
    low_NChw, labels_NHW = batch((4, 4), (16, 16))
    labels_NHW[0, :, 6:] = 255  # columns 6.. are those that see column 2 of the logits
    expected = fused("sum", SUM, low_NChw, (16, 16), labels_NHW)
    low_NChw[0, :, :, 2:] = float("nan")
    torch.testing.assert_close(fused("sum", SUM, low_NChw, (16, 16), labels_NHW), expected)


def test_bf16_logits_are_computed_in_fp32() -> None:
    low_NChw, labels_NHW = batch()
    half = low_NChw.bfloat16()
    value, gradient = fused("sum", SUM, half, (18, 15), labels_NHW)
    exact, exact_gradient = fused("sum", SUM, half.float(), (18, 15), labels_NHW)
    assert value == exact
    assert torch.equal(gradient, exact_gradient.bfloat16())


def test_unknown_label_is_named() -> None:
    low_NChw, labels_NHW = batch()
    labels_NHW[1, 2, 3] = 77
    with pytest.raises(DataError, match="label 77 is neither a class"):
        fused("dice", {}, low_NChw, (18, 15), labels_NHW)


def test_nothing_of_the_enlarged_size_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlargement_file, "STRIP_ELEMENTS_CPU", 4000)
    low_NChw, labels_NHW = batch((16, 16), (128, 128))
    with LargestTensor() as seen:
        fused("sum", SUM, low_NChw, (128, 128), labels_NHW)
    assert seen.elements <= labels_NHW.numel()


@those(fused=False)
def test_losses_that_read_all_probabilities_or_have_a_second_softmax_are_refused(name: str, settings: Settings) -> None:
    with pytest.raises(ConfigError, match="full_resolution is fused") as caught:
        build_fused_loss(name, **settings)
    assert "direct" in caught.value.advice


def test_logit_adjustment_is_refused_in_a_sum_and_not_alone() -> None:
    adjusted = {"name": "logit_adjusted_cross_entropy", "pixel_counts": [1.0] * C}
    check_fused(**adjusted)
    with pytest.raises(ConfigError, match="which logit_adjusted_cross_entropy does not have in a sum"):
        check_fused("sum", terms=[adjusted, {"name": "dice"}])


@pytest.mark.parametrize("name", NOT_FUSED)
def test_a_loss_that_reads_all_probabilities_says_so(name: str) -> None:
    low_NChw, labels_NHW = batch()
    with pytest.raises(ConfigError, match="reads all probabilities"):
        FusedLoss(build_loss(name))(LowLogits(low_NChw, (18, 15)), labels_NHW)


@those(fused=True)
def test_norm_of_the_gradient_is_that_at_the_labels_resolution(name: str, settings: Settings) -> None:
    low_NChw, labels_NHW = batch()
    found = build_fused_loss(name, **settings).gradient_norm(LowLogits(low_NChw, (20, 16)), labels_NHW)
    expected = gradient_norm(build_loss(name, **settings), enlarged(low_NChw, (20, 16), labels_NHW), labels_NHW)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "dice"])
def test_weight_multiplies_value_and_norm(name: str) -> None:
    low_NChw, labels_NHW = batch()
    given = LowLogits(low_NChw, (18, 15)), labels_NHW
    one, two = build_fused_loss(name), build_fused_loss(name, weight=2.0)
    torch.testing.assert_close(two(*given), 2 * one(*given))
    assert two.gradient_norm(*given) == pytest.approx(2 * one.gradient_norm(*given))


def test_matched_loss_is_multiplied_by_the_same_factor_as_direct() -> None:
    low_NChw, labels_NHW = batch()
    ours, theirs = (
        MeasuredLoss(build_fused_loss("sum", **SUM), match=True),
        MeasuredLoss(build_loss("sum", **SUM), True),
    )
    value = ours(LowLogits(low_NChw, (18, 15)), labels_NHW)
    torch.testing.assert_close(value, theirs(enlarged(low_NChw, (18, 15), labels_NHW), labels_NHW))
    assert ours.record() == pytest.approx(theirs.record(), rel=1e-5)


def test_nothing_waits_for_the_device() -> None:
    """Tensors on the meta device have no values: whatever would read one raises."""
    low_NChw = torch.empty(2, C, 5, 4, device="meta", requires_grad=True)
    labels_NHW = torch.empty(2, 18, 15, device="meta", dtype=torch.uint8)
    value = build_fused_loss("sum", **SUM).to("meta")(LowLogits(low_NChw, (18, 15)), labels_NHW)
    assert torch.autograd.grad(value, low_NChw)[0].shape == low_NChw.shape
