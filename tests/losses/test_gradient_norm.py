"""The measured gradient norm, the factor that matches it, and both after a training is continued."""

import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from segsuite.errors import Preempted
from segsuite.losses import build_loss
from segsuite.losses.gradient_norm import MeasuredLoss, gradient_norm
from segsuite.train import checkpoint_io
from segsuite.train.callbacks import StopRequest
from tests.losses.cases import CASES, batch, case_id, value_and_gradient
from tests.train.test_resume import Stopping, outcome
from tests.train.tiny import fit, module, train_settings


def norm(gradient: Tensor) -> float:
    return math.sqrt(sum(value**2 for value in gradient.double().flatten().tolist()))


def test_norm_is_that_of_the_gradient_to_the_logits() -> None:
    _, gradient = value_and_gradient(build_loss("dice"), *batch())
    assert gradient_norm(build_loss("dice"), *batch()) == pytest.approx(norm(gradient))


@pytest.mark.parametrize(("name", "settings"), CASES, ids=case_id)
def test_matched_gradient_has_the_norm_of_cross_entropys(name: str, settings: dict[str, Any]) -> None:
    _, reference = value_and_gradient(build_loss("cross_entropy"), *batch())
    matched = MeasuredLoss(build_loss(name, **settings), match=True)
    assert norm(value_and_gradient(matched, *batch())[1]) == pytest.approx(norm(reference), rel=1e-5)


def test_cross_entropy_itself_is_left_as_it_is() -> None:
    matched = MeasuredLoss(build_loss("cross_entropy"), match=True)
    assert torch.equal(matched(*batch()), build_loss("cross_entropy")(*batch()))
    assert matched.factor == 1.0


def test_factor_stays_that_of_the_first_batch() -> None:
    matched = MeasuredLoss(build_loss("dice"), match=True)
    matched(*batch(seed=0))
    factor = matched.factor
    torch.testing.assert_close(matched(*batch(seed=1)), factor * build_loss("dice")(*batch(seed=1)))
    assert matched.factor == factor != 1


def test_without_match_the_norm_is_only_recorded() -> None:
    measured = MeasuredLoss(build_loss("dice"))
    assert torch.equal(measured(*batch()), build_loss("dice")(*batch()))
    assert measured.record() == {
        "loss_gradient_norm": gradient_norm(build_loss("dice"), *batch()),
        "loss_reference_norm": gradient_norm(build_loss("cross_entropy"), *batch()),
        "loss_factor": 1.0,
    }


def test_evaluation_measures_nothing() -> None:
    measured = MeasuredLoss(build_loss("dice")).eval()
    measured(*batch())
    assert measured.gradient_norm is None


@pytest.mark.parametrize("spoil", ["void", "nan"])
def test_a_batch_without_a_gradient_is_passed_over(spoil: str) -> None:
    logits_NCHW, labels_NHW = batch()
    matched = MeasuredLoss(build_loss("dice"), match=True)
    if spoil == "void":
        matched(logits_NCHW, torch.full_like(labels_NHW, 255))
    else:
        matched(torch.full_like(logits_NCHW, math.nan), labels_NHW)
    assert matched.gradient_norm is None
    matched(logits_NCHW, labels_NHW)
    assert matched.gradient_norm is not None


def test_measuring_draws_no_random_numbers_and_leaves_no_gradient() -> None:
    logits_NCHW, labels_NHW = batch()
    logits_NCHW.requires_grad_()
    before = torch.get_rng_state()
    MeasuredLoss(build_loss("dice"))(logits_NCHW, labels_NHW)
    assert torch.equal(torch.get_rng_state(), before)
    assert logits_NCHW.grad is None


def test_a_checkpoint_from_before_the_measurement_is_continued_without_one() -> None:
    measured = MeasuredLoss(build_loss("dice"))
    measured.load_state_dict({})
    measured(*batch())
    assert measured.record() == {"loss_gradient_norm": None, "loss_reference_norm": None, "loss_factor": 1.0}


def attempt(folder: Path, settings: dict[str, Any], stop_at: int = -1) -> MeasuredLoss:
    """One attempt at a training by the matched dice loss, stopped in a batch."""
    loss = MeasuredLoss(build_loss("dice"), match=True)
    trained = module(train_settings(**settings), loss=loss, kind=Stopping)
    assert isinstance(trained, Stopping)
    trained.at, trained.stop = (stop_at,), StopRequest()
    if stop_at < 0:
        fit(trained, folder, stop=trained.stop)
    else:
        with pytest.raises(Preempted):
            fit(trained, folder, stop=trained.stop)
    return loss


@pytest.mark.parametrize("settings", [{}, {"ema_decay": 0.9}], ids=["plain", "average"])
@pytest.mark.parametrize("stop_at", [1, 3])
def test_continued_training_goes_on_with_the_same_factor(
    settings: dict[str, Any], stop_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    whole = attempt(tmp_path / "whole", settings)
    attempt(tmp_path / "stopped", settings, stop_at)
    continued = attempt(tmp_path / "stopped", settings)
    assert continued.record() == whole.record()
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


def test_a_finished_training_gives_back_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial may be stopped between its training and its result."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    first, again = attempt(tmp_path, {}), attempt(tmp_path, {})
    assert again.record() == first.record()
    assert checkpoint_io.load(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]["loss._extra_state"] == {
        "gradient_norm": first.gradient_norm,
        "reference_norm": first.reference_norm,
    }
