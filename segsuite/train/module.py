"""The Lightning module: forward, loss, validation scores, optimizer. Nothing of files or of what is printed."""

import contextlib
import math
import time
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from segsuite.config import Train
from segsuite.errors import NonFiniteError
from segsuite.losses.full_resolution import LowLogits
from segsuite.metrics.confusion import confusion_matrix, predict
from segsuite.metrics.scores import Scores
from segsuite.models.network import SegmentationNetwork
from segsuite.train.batch_norm import SharedBatchNorm
from segsuite.train.depthwise import Fp32DepthwiseBackward
from segsuite.train.distributed import ALONE, Ranks
from segsuite.train.optimizers import build_optimizer, learning_rate_factor

Batch = dict[str, torch.Tensor]


class SegmentationModule(pl.LightningModule):
    """Trains `network` (images_NCHW -> logits_NCHW) with `loss` (logits_NCHW, labels_NHW) -> scalar, which takes
    LowLogits when settings.full_resolution is fused.

    `total_steps` is the number of optimizer steps of the whole training, which the schedule needs. Loss, gradient and
    scores are those of the batches of all `ranks`.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        loss: nn.Module,
        classes: Sequence[str],
        settings: Train,
        total_steps: int,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__()
        self.network, self.loss, self.ranks = network, loss, ranks
        self._matrices = frozenset(id(parameter) for parameter in network.parameters() if parameter.ndim > 1)
        self.classes, self.settings, self.total_steps = tuple(classes), settings, total_steps
        self.scores: Scores | None = None
        self._matrix = torch.zeros(len(classes), len(classes), dtype=torch.int64)
        self._epoch = {"loss_sum": 0.0, "batches": 0, "images": 0, "seconds": 0.0}
        self._batch_start = 0.0

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Logits of the images' own size."""
        logits: torch.Tensor = self.network(images_NCHW)
        return logits

    def on_train_start(self) -> None:
        """An epoch that is continued in its middle has no start of its own."""
        self._freeze_or_free_encoder()

    def on_train_epoch_start(self) -> None:
        """A new epoch has no scores yet."""
        self.scores = None
        self._freeze_or_free_encoder()

    def _freeze_or_free_encoder(self) -> None:
        """A frozen encoder keeps its normalisation, too."""
        frozen = self.current_epoch < self.settings.freeze_encoder_epochs
        for parameter in self.network.encoder_parameters():
            parameter.requires_grad_(not frozen)
        self.network.encoder.train(not frozen)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Starts the clock of the step; loading is not in it."""
        self._batch_start = time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """The loss of a batch. Raises NonFiniteError when it is not a finite number."""
        on_cpu, fused = batch["image"].device.type == "cpu", self.settings.full_resolution == "fused"
        with contextlib.ExitStack() as around:
            if on_cpu:
                around.enter_context(Fp32DepthwiseBackward())
            if self.ranks.world > 1:
                around.enter_context(SharedBatchNorm())
            logits = LowLogits(*self.network.low_logits(batch["image"])) if fused else self(batch["image"])
        loss: torch.Tensor = self.loss(logits, batch["label"])
        auxiliary = self.network.take_auxiliary_logits()
        if auxiliary is not None:
            of_head = LowLogits(auxiliary, self.network.padded_size(batch["image"])) if fused else auxiliary
            loss = loss + self.network.auxiliary_weight * self.loss(of_head, batch["label"])
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NonFiniteError(
                f"the loss became {value} in epoch {self.current_epoch}, step {self.global_step}",
                advice="lower train.optimizer.learning_rate, set train.gradient_clip: 1, or use train.precision: fp32",
            )
        self._epoch["loss_sum"] += value
        self._epoch["batches"] += 1
        self._epoch["images"] += len(batch["label"]) * self.ranks.world
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stops before a gradient that is not finite reaches the weights. With fp16 the loss scale deals with
        those itself."""
        if self.settings.precision == "fp16-mixed" or self.trainer.precision == "16-mixed":
            return
        gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        if not math.isfinite(float(torch.nn.utils.get_total_norm(gradients))):
            raise NonFiniteError(
                f"a gradient is not finite in epoch {self.current_epoch}, step {self.global_step}",
                advice="lower train.optimizer.learning_rate, set train.gradient_clip: 1, or use train.precision: fp32",
            )

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stops the clock of the step."""
        self._epoch["seconds"] += time.perf_counter() - self._batch_start

    def take_epoch(self) -> dict[str, float]:
        """Mean loss, images and seconds since the last call, which starts anew."""
        epoch, self._epoch = self._epoch, {"loss_sum": 0.0, "batches": 0, "images": 0, "seconds": 0.0}
        seconds = max(epoch["seconds"], 1e-9)
        return {
            "loss": epoch["loss_sum"] / max(1, epoch["batches"]),
            "seconds": epoch["seconds"],
            "images_per_second": epoch["images"] / seconds,
        }

    @property
    def running_loss(self) -> float:
        """Mean loss of this epoch so far."""
        return self._epoch["loss_sum"] / max(1, self._epoch["batches"])

    def on_validation_epoch_start(self) -> None:
        """An empty confusion matrix."""
        self._matrix = torch.zeros_like(self._matrix)

    def validation_step(self, batch: list[Batch], batch_idx: int) -> None:
        """Counts predictions at the labels' own resolution."""
        for group in batch:
            prediction_NHW = predict(self(group["image"]))
            self._matrix += confusion_matrix(prediction_NHW, group["label"], len(self.classes)).to(self._matrix.device)

    def on_validation_epoch_end(self) -> None:
        """Scores of the whole split from one matrix, never averaged over batches."""
        if not self.trainer.sanity_checking:
            self.scores = Scores(self.ranks.sum(self._matrix).numpy())
            self.log("val/miou", float(self.scores.miou), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Optimizer and a schedule per optimizer step."""
        optimizer = build_optimizer(
            self.settings.optimizer,
            self.network.encoder_parameters(),
            self.network.decoder_parameters(),
            self._matrices,
            self.settings.learning_rate_factor,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(self.settings.schedule, step, self.total_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """By the norm of the whole gradient, also where each rank has a part of it, which Lightning does not do."""
        if gradient_clip_val is not None and isinstance(self.trainer.model, FullyShardedDataParallel):
            self.trainer.model.clip_grad_norm_(gradient_clip_val)
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The running means of a half-done epoch belong to the state."""
        checkpoint["segsuite_epoch"] = dict(self._epoch)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continues the running means of a half-done epoch."""
        self._epoch = dict(checkpoint["segsuite_epoch"])
