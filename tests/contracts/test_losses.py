"""The contract of segsuite.losses, run for every name in the dict; F.cross_entropy is the reference of cross
entropy."""

import math

import pytest
import torch
from torch import Tensor, nn

from segsuite.errors import ConfigError, DataError
from segsuite.losses import LOSSES, build_loss
from segsuite.losses.cross_entropy import CrossEntropy

every_loss = pytest.mark.parametrize("name", LOSSES)
LABEL_TYPES = [torch.uint8, torch.int32, torch.int64]


def batch(num_classes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (2, C, 6, 7) and uint8 labels with about a fifth void."""
    generator = torch.Generator().manual_seed(seed)
    logits_NCHW = torch.randn(2, num_classes, 6, 7, generator=generator) * 3
    labels_NHW = torch.randint(0, num_classes, (2, 6, 7), generator=generator).to(torch.uint8)
    labels_NHW[torch.rand(2, 6, 7, generator=generator) < 0.2] = 255
    return logits_NCHW, labels_NHW


def value_and_gradient(loss: nn.Module, logits_NCHW: Tensor, labels_NHW: Tensor) -> tuple[Tensor, Tensor]:
    logits_NCHW = logits_NCHW.clone().requires_grad_()
    value: Tensor = loss(logits_NCHW, labels_NHW)
    value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert logits_NCHW.grad is not None
    return value.detach(), logits_NCHW.grad


@every_loss
def test_value_is_a_scalar_in_fp32_from_bf16_logits_under_autocast(name: str) -> None:
    logits_NCHW, labels_NHW = batch()
    loss = build_loss(name)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits_NCHW.bfloat16(), labels_NHW)
    assert value.dtype == torch.float32
    assert value.shape == ()
    assert value.item() == pytest.approx(loss(logits_NCHW.bfloat16().float(), labels_NHW).item(), rel=1e-6)


@every_loss
@pytest.mark.parametrize("dtype", LABEL_TYPES)
def test_label_types_give_one_value(name: str, dtype: torch.dtype) -> None:
    logits_NCHW, labels_NHW = batch()
    loss = build_loss(name)
    assert torch.equal(loss(logits_NCHW, labels_NHW.to(dtype)), loss(logits_NCHW, labels_NHW))


@every_loss
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_void_pixels_have_no_weight_whatever_their_logits(name: str, bad: float) -> None:
    logits_NCHW, labels_NHW = batch()
    void_NCHW = (labels_NHW == 255)[:, None].expand_as(logits_NCHW)
    expected, expected_gradient = value_and_gradient(build_loss(name), logits_NCHW, labels_NHW)
    damaged_NCHW = logits_NCHW.masked_fill(void_NCHW, bad)
    value, gradient = value_and_gradient(build_loss(name), damaged_NCHW, labels_NHW)
    assert (gradient[void_NCHW] == 0).all()
    torch.testing.assert_close((value, gradient), (expected, expected_gradient))


@every_loss
@pytest.mark.parametrize("fill", [1.0, math.nan])
def test_all_void_gives_exactly_zero_with_zero_gradient(name: str, fill: float) -> None:
    logits_NCHW = torch.full((2, 5, 6, 7), fill)
    labels_NHW = torch.full((2, 6, 7), 255, dtype=torch.uint8)
    value, gradient = value_and_gradient(build_loss(name), logits_NCHW, labels_NHW)
    assert value.item() == 0.0
    assert (gradient == 0).all()


@every_loss
def test_non_finite_logit_at_a_valid_pixel_shows_in_the_value(name: str) -> None:
    logits_NCHW, labels_NHW = batch()
    labels_NHW[0, 0, 0] = 1
    logits_NCHW[0, 2, 0, 0] = math.nan
    assert not torch.isfinite(build_loss(name)(logits_NCHW, labels_NHW))


@every_loss
@pytest.mark.parametrize("dtype", LABEL_TYPES)
def test_unknown_label_is_named(name: str, dtype: torch.dtype) -> None:
    logits_NCHW, labels_NHW = batch()
    labels_NHW[1, 2, 3] = 17
    with pytest.raises(DataError, match=r"label 17 is neither a class \(0..4\) nor void"):
        build_loss(name)(logits_NCHW, labels_NHW.to(dtype))


@every_loss
@pytest.mark.parametrize("label", [-1, 256, 70000])
def test_label_outside_a_byte_is_named(name: str, label: int) -> None:
    logits_NCHW, labels_NHW = batch()
    labels_NHW = labels_NHW.long()
    labels_NHW[1, 2, 3] = label
    with pytest.raises(DataError, match=f"label {label} "):
        build_loss(name)(logits_NCHW, labels_NHW)


@every_loss
def test_shift_of_all_logits_changes_nothing(name: str) -> None:
    logits_NCHW, labels_NHW = batch()
    loss = build_loss(name)
    torch.testing.assert_close(loss(logits_NCHW + 10, labels_NHW), loss(logits_NCHW, labels_NHW))


@every_loss
def test_gradient_is_the_slope_of_the_value(name: str) -> None:
    logits_NCHW, labels_NHW = batch()
    loss = build_loss(name)
    _, gradient = value_and_gradient(loss, logits_NCHW, labels_NHW)
    step_NCHW = 0.05 * gradient / gradient.norm()
    slope = loss(logits_NCHW + step_NCHW, labels_NHW) - loss(logits_NCHW - step_NCHW, labels_NHW)
    assert slope.item() == pytest.approx(0.1 * gradient.norm().item(), rel=0.01)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.5, 0.3, 1.0]])
@pytest.mark.parametrize("channels_last", [False, True])
def test_cross_entropy_equals_torch_in_value_and_gradient(
    smoothing: float, weights: list[float] | None, channels_last: bool
) -> None:
    logits_NCHW, labels_NHW = batch()
    if channels_last:
        logits_NCHW = logits_NCHW.to(memory_format=torch.channels_last)
    loss = build_loss("cross_entropy", label_smoothing=smoothing, class_weights=weights)
    ours = value_and_gradient(loss, logits_NCHW, labels_NHW)
    torchs = nn.CrossEntropyLoss(
        None if weights is None else torch.tensor(weights), ignore_index=255, label_smoothing=smoothing
    )
    torch.testing.assert_close(ours, value_and_gradient(torchs, logits_NCHW, labels_NHW.long()))


def test_cross_entropy_of_uniform_logits_is_the_logarithm_of_the_number_of_classes() -> None:
    value = build_loss("cross_entropy")(torch.zeros(1, 11, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8))
    assert value.item() == pytest.approx(math.log(11))


def test_cross_entropy_counts_only_valid_pixels() -> None:
    logits_NCHW, labels_NHW = batch()
    half_NHW = labels_NHW.clone()
    half_NHW[1] = 255
    loss = build_loss("cross_entropy")
    torch.testing.assert_close(loss(logits_NCHW, half_NHW), loss(logits_NCHW[:1], labels_NHW[:1]))


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.5, 0.3, 1.0]])
def test_cross_entropy_divides_on_cuda_by_what_it_divides_by_on_a_cpu(
    weights: list[float] | None,
) -> None:
    _, labels_NHW = batch()
    loss = CrossEntropy(class_weights=weights)
    torch.testing.assert_close(loss._weight_sum(labels_NHW), loss._weight_sum_on_cpu(labels_NHW, 5))


@pytest.mark.parametrize(
    "settings",
    [
        {"label_smoothing": 1.5},
        {"class_weights": [1.0, -1.0]},
        {"class_weights": [0.0, 0.0]},
        {"class_weights": [math.nan]},
        {"ignore_index": -100},
    ],
)
def test_cross_entropy_refuses_values_out_of_range(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        build_loss("cross_entropy", **settings)


def test_cross_entropy_refuses_class_weights_of_another_length() -> None:
    with pytest.raises(ConfigError, match="2 numbers, the model has 5 classes"):
        build_loss("cross_entropy", class_weights=[1.0, 2.0])(*batch())


def test_unknown_loss_and_setting_get_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cross_entropy'"):
        build_loss("cros_entropy")
    with pytest.raises(ConfigError, match="did you mean 'label_smoothing'"):
        build_loss("cross_entropy", label_smothing=0.1)
