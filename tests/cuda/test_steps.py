"""A training step on a GPU: it never makes the host wait; batch normalisation over NCCL is that of one process."""

import warnings
from pathlib import Path

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import distributed, nn

from segsuite.datasets.loader import Samples, evaluation_loader, training_loader
from segsuite.io.store import RunDirectory
from segsuite.train.batch_norm import SharedBatchNorm
from segsuite.train.callbacks import StopRequest
from segsuite.train.fit import fit_or_resume
from tests.train.tiny import Noise, module, train_settings

pytestmark = pytest.mark.cuda


class Listening(Callback):
    """Counts the places of the steps 4 to 7 of an epoch where the host waits."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def on_train_batch_start(self, trainer: object, module: object, batch: object, batch_idx: int) -> None:
        if batch_idx == 4:
            torch.cuda.set_sync_debug_mode("warn")

    def on_train_batch_end(
        self, trainer: object, module: object, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if batch_idx == 6:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["fp32", "bf16-mixed"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_no_step_waits_for_the_device(precision: str, optimizer: str, tmp_path: Path) -> None:
    settings = train_settings(epochs=1, gradient_clip=1.0, optimizer={"name": optimizer}, ema_decay=0.9)
    trained, data = module(settings), Noise(16)
    training = training_loader(Samples(data), range(16), 2, 0)
    validation = evaluation_loader(Samples(data), range(16), 4, 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_or_resume(
            trained, training, validation, RunDirectory(tmp_path), "cuda", precision, 100.0, StopRequest(),
            lambda event: None, [Listening()],
        )  # fmt: skip
    waits = [f"{one.filename}:{one.lineno}" for one in caught if "synchroniz" in str(one.message)]
    assert waits == []


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
