"""segsuite.train.module within the trainer: non-finite numbers, void, freezing, averages, accumulation, the end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segsuite.errors import NonFiniteError, Preempted
from segsuite.io.store import events
from segsuite.losses import build_loss
from segsuite.train import checkpoint_io
from segsuite.train.callbacks import StopRequest
from segsuite.train.module import SegmentationModule
from tests.train.tiny import Noise, differing, fit, module, network, snapshot, train_settings


class Watched(SegmentationModule):
    """Keeps the weights that each step starts with, and those that are validated."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.before: list[dict[str, Tensor]] = []
        self.validated: list[dict[str, Tensor]] = []

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        self.before.append(snapshot(self.network))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        self.validated.append(snapshot(self.network))


class Spoilt(nn.Module):
    """Cross entropy, spoilt from training step `at` on: its value, or only its gradient."""

    def __init__(self, at: int, value: bool) -> None:
        super().__init__()
        self.loss, self.at, self.value, self.calls = build_loss("cross_entropy"), at, value, 0

    def forward(self, logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
        self.calls += self.training
        loss: Tensor = self.loss(logits_NCHW, labels_NHW)
        if self.calls <= self.at:
            return loss
        return loss * float("nan") if self.value else loss + (0 * logits_NCHW.sum()).sqrt()


def watched(settings: Any, **more: Any) -> Watched:
    found = module(settings, kind=Watched, **more)
    assert isinstance(found, Watched)
    return found


@pytest.mark.parametrize(("value", "message"), [(True, "the loss became nan"), (False, "a gradient is not finite")])
def test_what_is_not_finite_stops_before_the_weights_change(tmp_path: Path, value: bool, message: str) -> None:
    trained = watched(train_settings(), loss=Spoilt(3, value))
    with pytest.raises(NonFiniteError, match=f"{message} in epoch 0, step 3"):
        fit(trained, tmp_path)
    assert len(trained.before) == 4
    now = snapshot(trained.network)
    parameters = {name for name, _ in trained.network.named_parameters()}
    assert not differing(trained.before[-1], now) & parameters
    assert all(torch.isfinite(now[name]).all() for name in parameters)


def test_a_spoilt_epoch_leaves_the_checkpoint_of_the_one_before(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError):
        fit(module(train_settings(), loss=Spoilt(6, True)), tmp_path)
    weights = checkpoint_io.load(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_batches_of_void_only_train_on(tmp_path: Path) -> None:
    run = fit(module(train_settings()), tmp_path, Noise(void=(0, 1, 2, 3, 4)))
    found = events(run.folder)
    assert [event["epoch"] for event in found] == [0, 1]
    assert all(event["loss"] is not None for event in found)


def test_a_training_split_of_void_only_keeps_the_weights_finite(tmp_path: Path) -> None:
    trained = module(train_settings())
    fit(trained, tmp_path, Noise(void=tuple(range(8))))
    assert all(torch.isfinite(value).all() for value in snapshot(trained.network).values())


def test_a_frozen_encoder_keeps_weights_and_statistics_and_then_trains_both(tmp_path: Path) -> None:
    trained = watched(train_settings(freeze_encoder_epochs=1))
    fit(trained, tmp_path)
    first, after_epoch, end = trained.before[0], trained.before[4], snapshot(trained.network)
    of_encoder = {name for name in first if ".encoder." in name}
    assert not differing(first, after_epoch) & of_encoder
    assert differing(first, after_epoch)
    assert differing(after_epoch, end) >= of_encoder


def test_the_average_of_the_weights_is_what_is_validated_and_saved(tmp_path: Path) -> None:
    decay = 0.75
    trained = watched(train_settings(ema_decay=decay))
    fit(trained, tmp_path)
    checkpoint = checkpoint_io.load(tmp_path / "checkpoints" / "last.ckpt")
    states = [*trained.before[1:], checkpoint_io.network_weights({"state_dict": checkpoint["current_model_state"]})]
    average = dict(states[0])
    for state in states[1:]:
        average = {name: decay * average[name] + (1 - decay) * state[name] for name in average}
    saved = checkpoint_io.network_weights(checkpoint)
    for name, _ in trained.network.named_parameters():
        assert torch.allclose(saved[name], average[name], rtol=1e-5, atol=1e-6)
    assert not differing(saved, trained.validated[-1])
    assert differing(saved, states[-1])


LOSSES = {
    "plain": {"name": "cross_entropy"},
    "weighted": {"name": "cross_entropy", "class_weights": [1.0, 3.0]},
    "sum": {"name": "sum", "terms": [{"name": "cross_entropy", "class_weights": [1.0, 3.0]}, {"name": "focal"}]},
    "dice of each image": {"name": "dice", "per_image": True},
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("images", "accumulate"), [(8, 4), (6, 4), (2, 4)])
@pytest.mark.parametrize("void", [(), (1, 2)])
def test_batches_of_2_accumulated_are_one_batch_of_all(
    name: str, images: int, accumulate: int, void: tuple[int, ...], tmp_path: Path
) -> None:
    """Also in a step of fewer batches than train.accumulate, and with images that are all void."""
    optimizer = {"name": "sgd", "learning_rate": 0.5, "momentum": 0.0}
    results = []
    for batch_size, parts in ((images, 1), (2, accumulate)):
        settings = train_settings(epochs=1, batch_size=batch_size, accumulate=parts, optimizer=optimizer)
        loss = build_loss(**LOSSES[name])
        trained = module(settings, network(normalised=False), loss, images=images)
        run = fit(trained, tmp_path / str(parts), Noise(images, void))
        assert events(run.folder)[-1]["step"] == 1
        results.append((snapshot(trained.network), events(run.folder)[-1]["loss"]))
    (whole, loss_of_whole), (parts_of_it, loss_of_parts) = results
    assert loss_of_parts == pytest.approx(loss_of_whole, rel=1e-6)
    assert differing(whole, snapshot(network(normalised=False)))
    for weight in whole:
        torch.testing.assert_close(parts_of_it[weight], whole[weight], rtol=1e-6, atol=1e-6)


def test_a_last_group_that_is_not_full_is_a_step_too(tmp_path: Path) -> None:
    settings = train_settings(epochs=2, accumulate=3)
    trained = module(settings)
    run = fit(trained, tmp_path)
    assert events(run.folder)[-1]["step"] == trained.total_steps == 4


def test_the_rate_ends_where_the_schedule_ends(tmp_path: Path) -> None:
    run = fit(module(train_settings(accumulate=3, schedule={"name": "poly", "power": 1.0})), tmp_path)
    assert [event["learning_rate"] for event in events(run.folder)] == pytest.approx([5e-4, 0.0])


def test_a_finished_training_is_not_continued(tmp_path: Path) -> None:
    fit(module(train_settings()), tmp_path)
    before = (tmp_path / "events.jsonl").read_bytes()
    again = watched(train_settings())
    fit(again, tmp_path)
    assert again.before == []
    assert (tmp_path / "events.jsonl").read_bytes() == before


def test_a_training_that_was_stopped_early_is_not_continued(tmp_path: Path) -> None:
    settings = train_settings(epochs=9, early_stopping_patience=1, optimizer={"learning_rate": 1e-12})
    run = fit(module(settings, network(normalised=False)), tmp_path)
    assert len(events(run.folder)) == 2
    again = watched(settings, net=network(normalised=False))
    fit(again, tmp_path)
    assert again.before == []
    assert len(events(run.folder)) == 2


@pytest.mark.parametrize("max_steps", [2, 4, 6])
def test_the_training_ends_at_max_steps(tmp_path: Path, max_steps: int) -> None:
    settings = train_settings(max_steps=max_steps, epochs=5)
    run = fit(module(settings), tmp_path)
    assert events(run.folder)[-1]["step"] == max_steps
    again = watched(settings)
    fit(again, tmp_path)
    assert again.before == []


def test_a_stop_that_was_asked_for_before_the_first_step_leaves_at_once(tmp_path: Path) -> None:
    stop = StopRequest()
    stop.set()
    trained = watched(train_settings(accumulate=4))
    with pytest.raises(Preempted):
        fit(trained, tmp_path, stop=stop)
    assert trained.before == []
    assert not (tmp_path / "checkpoints").exists()


def test_the_best_checkpoint_is_that_of_the_best_validation(tmp_path: Path) -> None:
    run = fit(module(train_settings(epochs=6, optimizer={"learning_rate": 0.05})), tmp_path)
    scored = [(event["miou"], -event["step"]) for event in events(run.folder)]
    assert checkpoint_io.load(run.best_checkpoint)["global_step"] == -max(scored)[1]


def test_the_loss_of_a_validation_is_the_mean_over_its_images(tmp_path: Path) -> None:
    trained, data = module(train_settings()), Noise(void=(3,))
    run = fit(trained, tmp_path, data)
    images, labels = (torch.from_numpy(np.stack(parts)) for parts in zip(*map(data.read, range(8)), strict=True))
    with torch.inference_mode():
        logits_NCHW = trained.network.eval()(images.permute(0, 3, 1, 2))
    losses = [float(trained.loss(logits_NCHW[n : n + 1], labels[n : n + 1])) for n in range(8) if n != 3]
    assert events(run.folder)[-1]["validation_loss"] == pytest.approx(sum(losses) / 7, rel=1e-6)


def test_the_loss_of_a_validation_changes_nothing_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_it = fit(module(train_settings()), tmp_path / "with")
    monkeypatch.setattr("segsuite.train.module.losses_of_images", lambda *_: torch.zeros(0, dtype=torch.float64))
    without = fit(module(train_settings()), tmp_path / "without")
    first, second = (checkpoint_io.load(run.last_checkpoint)["state_dict"] for run in (with_it, without))
    assert not differing(first, second)


def test_the_last_checkpoint_is_of_the_last_step_while_the_best_stays_earlier(tmp_path: Path) -> None:
    """Steps of no size, so that no epoch beats the first: Lightning's own `save_last` would stay there too."""
    settings = train_settings(epochs=3, optimizer={"learning_rate": 1e-12})
    run = fit(module(settings, network(normalised=False)), tmp_path)
    steps = [event["step"] for event in events(run.folder)]
    assert checkpoint_io.load(run.best_checkpoint)["global_step"] == steps[0]
    assert checkpoint_io.load(run.last_checkpoint)["global_step"] == steps[-1] > steps[0]
