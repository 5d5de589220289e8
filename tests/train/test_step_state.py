"""segsuite.train.step_state: what is not finite reaches no weight, also where the host looks seldom."""

import math

import pytest
import torch
from torch import nn

from segsuite.errors import NonFiniteError
from segsuite.train.step_state import StepState

CPU = torch.device("cpu")


def train(losses: list[float], state: StepState, every: int = 1) -> tuple[nn.Linear, list[torch.Tensor]]:
    """Steps of fused AdamW with these losses as the gradient of each weight; the weights before each step."""
    torch.manual_seed(0)
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), 0.1, fused=True)
    optimizer.found_inf = state.bad  # type: ignore[attr-defined]
    before = []
    for step, value in enumerate(losses):
        before.append(layer.weight.detach().clone())
        loss = torch.tensor(value)
        for parameter in layer.parameters():
            parameter.grad = torch.full_like(parameter, value)
        state.add_loss(loss)
        state.add_step(nn.utils.get_total_norm([p.grad for p in layer.parameters() if p.grad is not None]), step)
        state.look(epoch=0)
        optimizer.step()
    return layer, before


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_step_that_is_not_finite_and_all_after_it_leave_the_weights(bad: float) -> None:
    state = StepState(CPU, read_every=100)
    layer, before = train([1.0, 2.0, bad, 1.0, 1.0], state)
    assert not torch.equal(before[1], before[2])
    assert all(torch.equal(weight, before[2]) for weight in before[3:])
    assert torch.equal(layer.weight, before[2])
    with pytest.raises(NonFiniteError, match=f"the loss became {bad} in epoch 3, step 2"):
        state.look(epoch=3, wait=True)


def test_the_host_learns_of_it_two_looks_later_at_most() -> None:
    with pytest.raises(NonFiniteError, match="step 5"):
        train([1.0] * 5 + [math.nan] + [1.0] * 8, StepState(CPU, read_every=4))


def test_the_host_learns_of_it_at_once_where_it_looks_at_each_step() -> None:
    state = StepState(CPU)
    with pytest.raises(NonFiniteError, match="step 1"):
        train([1.0, math.nan], state)


def test_a_gradient_that_is_not_finite_is_told_from_a_loss() -> None:
    state = StepState(CPU, read_every=100)
    state.add_loss(torch.tensor(1.0))
    state.add_step(torch.tensor(math.inf), 7)
    with pytest.raises(NonFiniteError, match="a gradient is not finite in epoch 0, step 7"):
        state.look(epoch=0, wait=True)


def test_with_a_loss_scale_only_the_loss_has_to_be_finite() -> None:
    state = StepState(CPU, loss_scale=True)
    state.add_loss(torch.tensor(1.0))
    state.add_step(torch.tensor(math.inf), 0)
    state.look(epoch=0)
    assert state.bad == 0
    state.add_loss(torch.tensor(math.nan))
    state.add_step(torch.tensor(1.0), 1)
    with pytest.raises(NonFiniteError, match="the loss became nan in epoch 0, step 1"):
        state.look(epoch=0)


@pytest.mark.parametrize("read_every", [1, 3, 100])
def test_means_are_those_of_the_steps(read_every: int) -> None:
    state = StepState(CPU, read_every=read_every)
    for step, value in enumerate([1.0, 2.0, 6.0]):
        state.add_loss(torch.tensor(value / 2))
        state.add_loss(torch.tensor(value / 2))
        state.add_step(torch.tensor(10 * value), step)
        state.look(epoch=0)
    state.look(epoch=0, wait=True)
    assert (state.mean_loss, state.mean_norm) == (3.0, 30.0)
    other = StepState(CPU, read_every=read_every)
    other.start_epoch(**state.sums())
    assert (other.mean_loss, other.mean_norm) == (3.0, 30.0)
    state.start_epoch()
    assert (state.mean_loss, state.mean_norm) == (0.0, 0.0)
