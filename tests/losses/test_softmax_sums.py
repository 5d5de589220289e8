"""The shared softmax: the same as autograd's through materialised probabilities, without keeping them."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segsuite.losses import build_loss
from segsuite.losses.softmax_sums import softmax_sums
from tests.losses.cases import batch, value_and_gradient


def naive(logits_NCHW: Tensor, labels_NHW: Tensor) -> tuple[Tensor, ...]:
    """The same sums with every tensor written out."""
    valid = (labels_NHW != 255)[:, None]
    one_hot = F.one_hot(labels_NHW.long().clamp(max=logits_NCHW.shape[1] - 1), logits_NCHW.shape[1]).permute(0, 3, 1, 2)
    log_p = F.log_softmax(logits_NCHW, 1)
    p, one_hot = log_p.exp() * valid, one_hot * valid
    return (log_p * one_hot).sum(1), p.sum((2, 3)), (p * one_hot).sum((2, 3)), p.square().sum((2, 3))


def slopes(logits_NCHW: Tensor, outputs: tuple[Tensor | None, ...]) -> Tensor:
    """Gradient of the outputs' sum with weights that differ everywhere."""
    generator = torch.Generator().manual_seed(9)
    kept = [output for output in outputs if output is not None]
    total = sum(((torch.rand(o.shape, generator=generator) - 0.5).to(o.dtype) * o).sum() for o in kept)
    assert isinstance(total, Tensor)
    return torch.autograd.grad(total, logits_NCHW)[0]


@pytest.mark.parametrize(("sums", "squares"), [(False, False), (True, False), (True, True)])
def test_values_and_gradient_are_autograds(sums: bool, squares: bool) -> None:
    logits_NCHW, labels_NHW = batch()
    logits_NCHW = logits_NCHW.double().requires_grad_()
    ours = softmax_sums(logits_NCHW, labels_NHW, sums=sums, squares=squares)
    theirs = naive(logits_NCHW, labels_NHW)
    kept = tuple(value if value is not None else None for value in ours)
    assert [value is not None for value in kept] == [True, sums, sums, squares]
    expected = tuple(value for value, own in zip(theirs, kept, strict=True) if own is not None)
    torch.testing.assert_close(tuple(value for value in kept if value is not None), expected)
    torch.testing.assert_close(slopes(logits_NCHW, kept), slopes(logits_NCHW, expected))


def test_log_p_is_exact_where_p_underflows() -> None:
    logits_NCHW = torch.tensor([0.0, 200.0, -300.0]).view(1, 3, 1, 1)
    for label, expected in enumerate((-200.0, 0.0, -500.0)):
        log_p_NHW, *_ = softmax_sums(logits_NCHW, torch.tensor([[[label]]]))
        assert log_p_NHW.item() == expected


def test_shift_adds_to_the_logits() -> None:
    logits_NCHW, labels_NHW = batch()
    shift_C = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0])
    expected, *_ = softmax_sums(logits_NCHW + shift_C[:, None, None], labels_NHW)
    torch.testing.assert_close(softmax_sums(logits_NCHW, labels_NHW, shift_C=shift_C)[0], expected)


def test_backward_can_be_run_again() -> None:
    logits_NCHW, labels_NHW = batch()
    logits_NCHW.requires_grad_()
    value = build_loss("dice")(logits_NCHW, labels_NHW)
    first, second = (torch.autograd.grad(value, logits_NCHW, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_second_derivatives_are_refused() -> None:
    logits_NCHW, labels_NHW = batch()
    logits_NCHW.requires_grad_()
    (gradient,) = torch.autograd.grad(build_loss("focal")(logits_NCHW, labels_NHW), logits_NCHW, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


def test_gradient_of_bf16_logits_is_in_bf16() -> None:
    logits_NCHW, labels_NHW = batch()
    _, gradient = value_and_gradient(build_loss("dice"), logits_NCHW.bfloat16(), labels_NHW)
    _, exact = value_and_gradient(build_loss("dice"), logits_NCHW.bfloat16().float(), labels_NHW)
    assert torch.equal(gradient, exact.bfloat16())


def test_a_sum_of_three_keeps_nothing_of_the_logits_size_but_the_logits() -> None:
    logits_NCHW, labels_NHW = batch(num_classes=40)
    logits_NCHW.requires_grad_()
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    loss = build_loss("sum", terms=[{"name": "cross_entropy"}, {"name": "focal"}, {"name": "dice"}])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss(logits_NCHW, labels_NHW)
    large = {tensor.untyped_storage().data_ptr() for tensor in kept if tensor.numel() > labels_NHW.numel()}
    assert large == {logits_NCHW.untyped_storage().data_ptr()}
