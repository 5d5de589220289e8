"""Where the time of a training step goes, by a clock at each of its parts."""

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from segsuite.train.module import SegmentationModule

PARTS = ("data", "forward", "loss", "backward", "checks", "optimizer", "logging", "the rest")
"""data: waiting for the loader and bringing the batch to the device; checks: gradient norm, clipping, finite numbers;
logging: progress, checkpoints that are due, the schedule; the rest: what the trainer does in between."""


class StepProfile(Callback):
    """Seconds of each of the PARTS in the steps after the first `warmup`; a GPU is waited for between parts, so that
    each has its own time."""

    def __init__(self, warmup: int) -> None:
        self.warmup = warmup
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.steps = 0
        self._counts = warmup == 0
        self._at = 0.0
        self._handles: list[Any] = []
        self._device = torch.device("cpu")

    def _lap(self, part: str | None) -> None:
        """What has passed since the last call belongs to `part`."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if part is not None and self._counts:
            self.seconds[part] += now - self._at
        self._at = now

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts clocks around the network, the loss, the checks and the optimizer."""
        assert isinstance(pl_module, SegmentationModule)
        self._device = pl_module.device
        self._at = time.perf_counter()
        for module, part in ((pl_module.network, "forward"), (pl_module.loss, "loss")):
            self._handles += [
                module.register_forward_pre_hook(lambda *_: self._lap("the rest")),
                module.register_forward_hook(lambda *_, part=part: self._lap(part)),
            ]
        pl_module.on_before_optimizer_step = self._timed(  # type: ignore[method-assign]
            pl_module.on_before_optimizer_step, "checks"
        )
        # Forward and backward happen within; what is left of it after the checks is the optimizer's own.
        pl_module.optimizer_step = self._timed(  # type: ignore[method-assign]
            pl_module.optimizer_step, "optimizer"
        )

    def _timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **more: Any) -> Any:
            self._lap("the rest")
            found = function(*arguments, **more)
            self._lap(part)
            return found

        return timed

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """The batch is there."""
        self._lap("data")
        self.steps += self._counts

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        """The loss is there."""
        self._lap("the rest")

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        """The gradients are there."""
        self._lap("backward")

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """What came after the optimizer's step was for those who watch; the next step counts, its data included, after
        the first ones."""
        self._lap("logging")
        self._counts = trainer.global_step >= self.warmup
