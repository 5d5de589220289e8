"""segsuite.train.optimizers: groups and schedules, against torch's own."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer, lr_scheduler

from segsuite.config import Optimizer as OptimizerSettings
from segsuite.config import Schedule
from segsuite.models.network import SegmentationNetwork
from segsuite.train.optimizers import build_optimizer, learning_rate_factor
from tests.train.tiny import network

STEPS = 40
References = Callable[[Optimizer, int], lr_scheduler.LRScheduler]
SCHEDULES: dict[str, tuple[dict[str, Any], References]] = {
    "poly": ({"power": 0.9}, lambda sgd, steps: lr_scheduler.PolynomialLR(sgd, steps, power=0.9)),
    "linear": ({"name": "poly", "power": 1.0}, lambda sgd, steps: lr_scheduler.LinearLR(sgd, 1.0, 0.0, steps)),
    "cosine": ({}, lambda sgd, steps: lr_scheduler.CosineAnnealingLR(sgd, steps)),
    "step": (
        {"milestones": (0.5, 0.75), "gamma": 0.1},
        lambda sgd, steps: lr_scheduler.MultiStepLR(sgd, [steps // 2, 3 * steps // 4], gamma=0.1),
    ),
    "constant": ({}, lambda sgd, steps: lr_scheduler.ConstantLR(sgd, 1.0)),
}


def reference(build: Callable[[Optimizer], lr_scheduler.LRScheduler], steps: int) -> list[float]:
    """The factors of a scheduler of torch at steps 0, 1, ..."""
    sgd = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    factors = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR itself uses what torch deprecates
        schedule = build(sgd)
        for _ in range(steps):
            factors.append(float(sgd.param_groups[0]["lr"]))
            sgd.step()
            schedule.step()
    return factors


def factors(schedule: Schedule, steps: int = STEPS) -> list[float]:
    return [learning_rate_factor(schedule, step, steps) for step in range(steps)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_that_of_torch(name: str) -> None:
    settings, build = SCHEDULES[name]
    expected = reference(lambda sgd: build(sgd, STEPS), STEPS)
    assert factors(Schedule(**{"name": name, **settings})) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["poly", "cosine"])
def test_warmup_is_torchs_linear_one_before_the_schedule_of_the_rest(name: str) -> None:
    settings, build = SCHEDULES[name]
    warmup = 8

    def sequence(sgd: Optimizer) -> lr_scheduler.LRScheduler:
        rise = lr_scheduler.LinearLR(sgd, 1 / (warmup + 1), 1.0, warmup)
        return lr_scheduler.SequentialLR(sgd, [rise, build(sgd, STEPS - warmup)], [warmup])

    found = factors(Schedule(**{"name": name, "warmup_fraction": warmup / STEPS, **settings}))
    assert found == pytest.approx(reference(sequence, STEPS), abs=1e-9)


@pytest.mark.parametrize("name", ["poly", "cosine", "step", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.3, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_no_step_has_a_rate_of_zero_or_above_the_peak(name: Any, warmup: float, steps: int) -> None:
    found = factors(Schedule(name=name, warmup_fraction=warmup), steps)
    assert all(0 < factor <= 1 for factor in found)


def test_milestones_count_the_whole_training_warmup_included() -> None:
    schedule = Schedule(name="step", milestones=(0.5,), gamma=0.1, warmup_fraction=0.1)
    assert factors(schedule, 20)[9:11] == pytest.approx([1.0, 0.1])


def built(**settings: Any) -> tuple[SegmentationNetwork, Optimizer]:
    net = network()
    chosen = OptimizerSettings(**settings)
    return net, build_optimizer(chosen, net.encoder_parameters(), net.decoder_parameters())


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_every_parameter_is_in_exactly_one_group(name: Any) -> None:
    net, optimizer = built(name=name)
    grouped = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in net.parameters())


def test_only_parameters_of_more_than_one_dimension_are_decayed() -> None:
    _, optimizer = built(weight_decay=0.25)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.25 if parameter.ndim > 1 else 0.0)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_encoder_has_a_rate_of_its_own(name: Any) -> None:
    net, optimizer = built(name=name, learning_rate=0.5, encoder_learning_rate=0.125)
    of_encoder = {id(parameter) for parameter in net.encoder_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert group["lr"] == (0.125 if id(parameter) in of_encoder else 0.5)


def test_without_an_encoder_rate_all_have_the_same() -> None:
    _, optimizer = built(learning_rate=0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}


def test_sgd_has_nesterov_momentum_and_adamw_its_moments() -> None:
    _, sgd = built(name="sgd", momentum=0.8)
    _, adamw = built(name="adamw", momentum=0.8)
    assert (sgd.param_groups[0]["momentum"], sgd.param_groups[0]["nesterov"]) == (0.8, True)
    assert adamw.param_groups[0]["betas"] == (0.8, 0.999)
    assert not built(name="sgd", momentum=0.0)[1].param_groups[0]["nesterov"]


def test_a_network_that_is_all_encoder_has_no_empty_group() -> None:
    optimizer = build_optimizer(OptimizerSettings(), [nn.Parameter(torch.zeros(2, 2))], [])
    assert len(optimizer.param_groups) == 1
