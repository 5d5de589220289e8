"""The contract of segsuite.losses, run for every name in the dict with the settings of tests/losses/cases.py."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from segsuite.errors import ConfigError, DataError
from segsuite.losses import LOSSES, build_loss
from segsuite.losses import cross_entropy as cross_entropy_file
from segsuite.losses import pixels as pixels_file
from segsuite.losses import strips as strips_file
from tests.losses.cases import CASES, batch, case_id, value_and_gradient
from tests.losses.references import REFERENCES
from tests.waiting import no_waiting

Settings = dict[str, Any]
every_loss = pytest.mark.parametrize(("name", "settings"), CASES, ids=case_id)
every_name = pytest.mark.parametrize(
    ("name", "settings"), {name: (name, settings) for name, settings in reversed(CASES)}.values(), ids=case_id
)
LABEL_TYPES = [torch.uint8, torch.int32, torch.int64]


def those(keep: Callable[[str, Settings], bool]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "settings"), [case for case in CASES if keep(*case)], ids=case_id)


def without_class(label: int) -> tuple[Tensor, Tensor]:
    logits_NCHW, labels_NHW = batch(seed=1)
    return logits_NCHW, labels_NHW.masked_fill(labels_NHW == label, 0)


def void_image() -> tuple[Tensor, Tensor]:
    logits_NCHW, labels_NHW = batch(seed=2)
    labels_NHW[1] = 255
    return logits_NCHW, labels_NHW


BATCHES = {"plain": batch(), "class 2 absent": without_class(2), "an image all void": void_image()}


def test_every_loss_has_a_reference() -> None:
    assert set(LOSSES) == set(REFERENCES)


@every_loss
@pytest.mark.parametrize("which", BATCHES)
def test_equals_the_loops_over_pixels(name: str, settings: Settings, which: str) -> None:
    logits_NCHW, labels_NHW = BATCHES[which]
    expected = REFERENCES[name](logits_NCHW.double().numpy(), labels_NHW.numpy(), **settings)
    loss = build_loss(name, **settings)
    assert loss(logits_NCHW.double(), labels_NHW).item() == pytest.approx(expected, rel=1e-6)
    assert loss(logits_NCHW, labels_NHW).item() == pytest.approx(expected, rel=1e-5)


@every_loss
def test_gradient_is_the_slope_of_the_value(name: str, settings: Settings) -> None:
    logits_NCHW, labels_NHW = batch()
    logits_NCHW, labels_NHW = logits_NCHW[..., :2, :3].double(), labels_NHW[..., :2, :3]
    loss = build_loss(name, **settings)
    assert torch.autograd.gradcheck(lambda logits: loss(logits, labels_NHW), logits_NCHW.requires_grad_())


@every_loss
def test_fp32_gradient_is_that_in_fp64(name: str, settings: Settings) -> None:
    logits_NCHW, labels_NHW = batch(seed=3)
    loss = build_loss(name, **settings)
    _, gradient = value_and_gradient(loss, logits_NCHW, labels_NHW)
    _, exact = value_and_gradient(loss, logits_NCHW.double(), labels_NHW)
    torch.testing.assert_close(gradient.double(), exact, rtol=0, atol=2e-6 * float(exact.abs().max()))


@every_loss
def test_value_is_a_scalar_in_fp32_from_bf16_logits_under_autocast(name: str, settings: Settings) -> None:
    logits_NCHW, labels_NHW = batch()
    loss = build_loss(name, **settings)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits_NCHW.bfloat16(), labels_NHW)
    assert value.dtype == torch.float32
    assert value.shape == ()
    assert value.item() == pytest.approx(loss(logits_NCHW.bfloat16().float(), labels_NHW).item(), rel=1e-6)


@every_loss
def test_autocast_changes_neither_value_nor_gradient(name: str, settings: Settings) -> None:
    logits_NCHW, labels_NHW = batch()
    loss = build_loss(name, **settings)
    expected = value_and_gradient(loss, logits_NCHW, labels_NHW)
    with torch.autocast("cpu", torch.bfloat16):
        ours = value_and_gradient(loss, logits_NCHW, labels_NHW)
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=0)


@every_name
@pytest.mark.parametrize("dtype", LABEL_TYPES)
def test_label_types_give_one_value(name: str, settings: Settings, dtype: torch.dtype) -> None:
    logits_NCHW, labels_NHW = batch()
    loss = build_loss(name, **settings)
    assert torch.equal(loss(logits_NCHW, labels_NHW.to(dtype)), loss(logits_NCHW, labels_NHW))


@every_loss
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_void_pixels_have_no_weight_whatever_their_logits(name: str, settings: Settings, bad: float) -> None:
    logits_NCHW, labels_NHW = batch()
    void_NCHW = (labels_NHW == 255)[:, None].expand_as(logits_NCHW)
    loss = build_loss(name, **settings)
    expected, expected_gradient = value_and_gradient(loss, logits_NCHW, labels_NHW)
    value, gradient = value_and_gradient(loss, logits_NCHW.masked_fill(void_NCHW, bad), labels_NHW)
    assert (expected_gradient[void_NCHW] == 0).all()
    assert (gradient[void_NCHW] == 0).all()
    torch.testing.assert_close((value, gradient), (expected, expected_gradient))


@every_loss
@pytest.mark.parametrize("fill", [1.0, math.nan])
def test_all_void_gives_exactly_zero_with_zero_gradient(name: str, settings: Settings, fill: float) -> None:
    logits_NCHW = torch.full((2, 5, 6, 7), fill)
    labels_NHW = torch.full((2, 6, 7), 255, dtype=torch.uint8)
    value, gradient = value_and_gradient(build_loss(name, **settings), logits_NCHW, labels_NHW)
    assert value.item() == 0.0
    assert (gradient == 0).all()


@every_loss
def test_non_finite_logit_at_a_valid_pixel_shows_in_the_value(name: str, settings: Settings) -> None:
    logits_NCHW, labels_NHW = batch()
    labels_NHW[0, 0, 0] = 0
    logits_NCHW[0, 2, 0, 0] = math.nan
    assert not torch.isfinite(build_loss(name, **settings)(logits_NCHW, labels_NHW))


@every_name
@pytest.mark.parametrize("dtype", LABEL_TYPES)
def test_unknown_label_is_named(name: str, settings: Settings, dtype: torch.dtype) -> None:
    logits_NCHW, labels_NHW = batch()
    labels_NHW[1, 2, 3] = 17
    with pytest.raises(DataError, match=r"label 17 is neither a class \(0..4\) nor void"):
        build_loss(name, **settings)(logits_NCHW, labels_NHW.to(dtype))


@every_name
@pytest.mark.parametrize("label", [-1, 70000])
def test_label_outside_a_byte_is_named(name: str, settings: Settings, label: int) -> None:
    logits_NCHW, labels_NHW = batch()
    labels_NHW = labels_NHW.long()
    labels_NHW[1, 2, 3] = label
    with pytest.raises(DataError, match=f"label {label} "):
        build_loss(name, **settings)(logits_NCHW, labels_NHW)


@every_loss
def test_another_void_label_is_as_good(name: str, settings: Settings) -> None:
    logits_NCHW, labels_NHW = batch()
    moved_NHW = labels_NHW.masked_fill(labels_NHW == 255, 77)
    ours = value_and_gradient(build_loss(name, **settings, ignore_index=77), logits_NCHW, moved_NHW)
    assert ours[0].item() == value_and_gradient(build_loss(name, **settings), logits_NCHW, labels_NHW)[0].item()


@every_loss
def test_shift_of_all_logits_changes_nothing(name: str, settings: Settings) -> None:
    logits_NCHW, labels_NHW = batch()
    loss = build_loss(name, **settings)
    torch.testing.assert_close(loss(logits_NCHW + 10, labels_NHW), loss(logits_NCHW, labels_NHW))


@those(lambda name, settings: "label_smoothing" not in str(settings))  # a smoothed target is never met
def test_perfect_prediction_costs_nothing(name: str, settings: Settings) -> None:
    _, labels_NHW = batch()
    is_label_NCHW = labels_NHW[:, None] == torch.arange(5)[:, None, None]
    assert 0 <= build_loss(name, **settings)(40.0 * is_label_NCHW, labels_NHW).item() < 1e-6


@every_loss
def test_order_of_the_images_does_not_matter(name: str, settings: Settings) -> None:
    logits_NCHW, labels_NHW = batch(images=3)
    loss = build_loss(name, **settings)
    value, gradient = value_and_gradient(loss, logits_NCHW, labels_NHW)
    turned = value_and_gradient(loss, logits_NCHW.flip(0), labels_NHW.flip(0))
    torch.testing.assert_close(turned, (value, gradient.flip(0)))


@every_loss
def test_batch_is_the_mean_of_its_parts_exactly_when_it_says_so(name: str, settings: Settings) -> None:
    """Four images with equally many pixels of each class, of which the last two are harder."""
    logits_NCHW, labels_NHW = batch(images=4)
    logits_NCHW[2:] *= 3
    generator = torch.Generator().manual_seed(0)
    shuffled = [labels_NHW[0].flatten()[torch.randperm(42, generator=generator)] for _ in range(4)]
    labels_NHW = torch.stack(shuffled).view_as(labels_NHW)
    loss = build_loss(name, **settings)
    whole = value_and_gradient(loss, logits_NCHW, labels_NHW)
    parts = [value_and_gradient(loss, logits_NCHW[k : k + 2], labels_NHW[k : k + 2]) for k in (0, 2)]
    mean = torch.stack([value for value, _ in parts]).mean(), torch.cat([gradient for _, gradient in parts]) / 2
    close = all(torch.allclose(ours, theirs, rtol=1e-5, atol=1e-7) for ours, theirs in zip(whole, mean, strict=True))
    assert close == loss.additive


@every_loss
@pytest.mark.parametrize("channels_last", [False, True])
def test_small_strips_and_memory_formats_change_nothing(
    name: str, settings: Settings, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits_NCHW, labels_NHW = batch()
    loss = build_loss(name, **settings)
    expected = value_and_gradient(loss, logits_NCHW, labels_NHW)
    monkeypatch.setattr(strips_file, "STRIP_ELEMENTS_CPU", 80)  # 2 of 6 rows of one image
    given = logits_NCHW.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    torch.testing.assert_close(value_and_gradient(loss, given, labels_NHW), expected)


@every_loss
@pytest.mark.parametrize("elements", [80, 2**25])
def test_way_for_other_devices_gives_the_same(
    name: str, settings: Settings, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits_NCHW, labels_NHW = batch()
    loss = build_loss(name, **settings)
    expected = value_and_gradient(loss, logits_NCHW, labels_NHW)
    for file in (pixels_file, strips_file, cross_entropy_file):
        monkeypatch.setattr(file, "on_cpu", lambda tensor: False)
    monkeypatch.setattr(strips_file, "STRIP_ELEMENTS", elements)
    torch.testing.assert_close(value_and_gradient(loss, logits_NCHW, labels_NHW), expected)


@every_loss
def test_nothing_waits_for_the_device(name: str, settings: Settings) -> None:
    """Tensors on the meta device have no values: whatever would read one raises."""
    logits_NCHW = torch.empty(2, 5, 6, 7, device="meta", requires_grad=True)
    labels_NHW = torch.empty(2, 6, 7, device="meta", dtype=torch.uint8)
    loss = build_loss(name, **settings).to("meta")
    loss(logits_NCHW, labels_NHW).backward()
    assert logits_NCHW.grad is not None


@every_loss
@pytest.mark.cuda
def test_on_cuda_it_is_deterministic_and_that_of_the_cpu(name: str, settings: Settings) -> None:
    logits_NCHW, labels_NHW = batch()
    loss = build_loss(name, **settings)
    expected = value_and_gradient(loss, logits_NCHW, labels_NHW)
    loss, logits_NCHW, labels_NHW = loss.cuda(), logits_NCHW.cuda(), labels_NHW.cuda()
    value_and_gradient(loss, logits_NCHW, labels_NHW)  # makes tables and compiles kernels
    torch.use_deterministic_algorithms(True)
    try:
        with no_waiting():
            ours = value_and_gradient(loss, logits_NCHW, labels_NHW)
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(tuple(part.cpu() for part in ours), expected)


@every_name
@pytest.mark.parametrize("dtype", LABEL_TYPES)
def test_what_it_is_given_stays_as_it_is(name: str, settings: Settings, dtype: torch.dtype) -> None:
    logits_NCHW, labels_NHW = batch()
    given = logits_NCHW.clone().requires_grad_(), labels_NHW.to(dtype)
    build_loss(name, **settings)(*given).backward()
    assert torch.equal(given[0], logits_NCHW)
    assert torch.equal(given[1], labels_NHW.to(dtype))


@those(lambda name, settings: name != "sum")
def test_weight_multiplies_it(name: str, settings: Settings) -> None:
    value = build_loss(name, **settings)(*batch())
    torch.testing.assert_close(build_loss(name, weight=2.5, **settings)(*batch()), 2.5 * value)


@those(lambda name, settings: any(isinstance(value, list) for value in settings.values()) and name != "sum")
def test_numbers_that_do_not_fit_the_classes_are_refused(name: str, settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"the model has [17] classes"):
        build_loss(name, **settings)(*batch(num_classes=1 if "rare_classes" in settings else 7))


@every_name
def test_void_label_must_fit_a_byte(name: str, settings: Settings) -> None:
    with pytest.raises(ConfigError, match="ignore_index is -100"):
        build_loss(name, **settings, ignore_index=-100)
