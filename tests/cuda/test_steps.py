"""A training step on a GPU: it never makes the host wait; batch normalisation over NCCL is that of one process."""

import contextlib
from pathlib import Path

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import distributed, nn

from segsuite.datasets.loader import Samples, evaluation_loader, training_loader
from segsuite.errors import NonFiniteError
from segsuite.io.store import RunDirectory, events
from segsuite.losses import build_loss
from segsuite.train.batch_norm import SharedBatchNorm
from segsuite.train.callbacks import StopRequest
from segsuite.train.fit import fit_or_resume
from tests.train.tiny import Noise, module, snapshot, train_settings
from tests.waiting import no_waiting

pytestmark = pytest.mark.cuda


class Listening(Callback):
    """Refuses to let the host wait in the steps 4 to 6 of an epoch."""

    def __init__(self) -> None:
        self.within = contextlib.ExitStack()

    def on_train_batch_start(self, trainer: object, module: object, batch: object, batch_idx: int) -> None:
        if batch_idx == 4:
            self.within.enter_context(no_waiting())

    def on_train_batch_end(
        self, trainer: object, module: object, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if batch_idx == 6:
            self.within.close()


@pytest.mark.parametrize("precision", ["fp32", "bf16-mixed"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("graphs", [False, True])
def test_no_step_waits_for_the_device(precision: str, optimizer: str, graphs: bool, tmp_path: Path) -> None:
    settings = train_settings(epochs=1, gradient_clip=1.0, optimizer={"name": optimizer}, ema_decay=0.9)
    trained, data, listening = module(settings), Noise(16), Listening()
    trained.graphs = graphs
    training = training_loader(Samples(data), range(16), 2, 0)
    validation = evaluation_loader(Samples(data), range(16), 4, 0)
    with listening.within:
        fit_or_resume(
            trained, training, validation, RunDirectory(tmp_path), "cuda", precision, 100.0, StopRequest(),
            lambda event: None, [listening],
        )  # fmt: skip


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_step_that_is_not_finite_is_skipped_on_the_device_and_reported(optimizer: str, tmp_path: Path) -> None:
    class Spoilt(nn.Module):
        """Cross entropy that is NaN in the fourth step."""

        def __init__(self) -> None:
            super().__init__()
            self.loss, self.calls = build_loss("cross_entropy"), 0

        def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            loss: torch.Tensor = self.loss(logits, labels)
            return loss * float("nan") if self.calls == 4 else loss

    trained, data = module(train_settings(epochs=1, optimizer={"name": optimizer}), loss=Spoilt()), Noise(16)
    training = training_loader(Samples(data), range(16), 2, 0)
    validation = evaluation_loader(Samples(data), range(16), 4, 0)
    with pytest.raises(NonFiniteError, match="the loss became nan in epoch 0, step 3"):
        fit_or_resume(
            trained, training, validation, RunDirectory(tmp_path), "cuda", "fp32", 100.0, StopRequest(),
            lambda event: None,
        )  # fmt: skip
    assert all(parameter.isfinite().all() for parameter in trained.parameters())


def test_steps_from_a_graph_are_those_of_eager_ones(tmp_path: Path) -> None:
    """Thirty steps of which the last twenty are replayed, by algorithms that repeat themselves: the same bits."""
    found = []
    for graphs in (False, True):
        trained, data = module(train_settings(epochs=1), images=64), Noise(64)
        trained.graphs = graphs
        training = training_loader(Samples(data), range(64), 2, 0)
        validation = evaluation_loader(Samples(data), range(4), 4, 0)
        run = RunDirectory(tmp_path / str(graphs))
        run.folder.mkdir()
        fit_or_resume(trained, training, validation, run, "cuda", "fp32", 100.0, StopRequest(), lambda event: None)
        found.append((snapshot(trained.network), events(run.folder)[-1]["loss"]))
    (eager, loss), (replayed, loss_of_graph) = found
    assert loss_of_graph == pytest.approx(loss, rel=1e-5)
    for name in eager:
        torch.testing.assert_close(replayed[name], eager[name], rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not distributed.is_nccl_available(), reason="torch without NCCL")
def test_batch_normalisation_over_nccl_is_that_of_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 8, 9, 7, device="cuda") + 3
    distributed.init_process_group("nccl", f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        found = []
        for shared in (True, False):
            layer, given = nn.BatchNorm2d(8).cuda(), x.clone().requires_grad_()
            with SharedBatchNorm() if shared else torch.enable_grad():
                y = layer(given)
            y.square().sum().backward()
            found.append([y, given.grad, layer.running_mean, layer.running_var])
    finally:
        distributed.destroy_process_group()
    for ours, torchs in zip(*found, strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-4, atol=1e-4)
