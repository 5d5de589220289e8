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
from segsuite.datasets.loader import ResumableLoader
from segsuite.datasets.on_device import DeviceData
from segsuite.losses.effective_batch import EffectiveBatch, within
from segsuite.losses.full_resolution import LowLogits
from segsuite.losses.of_images import losses_of_images
from segsuite.metrics.confusion import confusion_matrix, predict
from segsuite.metrics.scores import Scores
from segsuite.models.network import SegmentationNetwork
from segsuite.train.batch_norm import SharedBatchNorm
from segsuite.train.distributed import ALONE, Ranks
from segsuite.train.fp32_backward import Fp32Backward
from segsuite.train.optimizers import build_optimizer, learning_rate_factor
from segsuite.train.step_graph import EAGER_STEPS, StepGraph
from segsuite.train.step_state import StepState

Batch = dict[str, Any]


class SegmentationModule(pl.LightningModule):
    """Trains `network` (images_NCHW -> logits_NCHW) with `loss` (logits_NCHW, labels_NHW) -> scalar, which takes
    LowLogits when settings.full_resolution is fused.

    `total_steps` is the number of optimizer steps of the whole training, which the schedule needs. Loss, gradient and
    scores are those of the batches of all `ranks`. `data` makes the training batches on the device, if it is given;
    with `graphs` steps are replayed from a CUDA graph where they can be.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        loss: nn.Module,
        classes: Sequence[str],
        settings: Train,
        total_steps: int,
        ranks: Ranks = ALONE,
        data: DeviceData | None = None,
        graphs: bool = False,
    ) -> None:
        super().__init__()
        self._data, self.graphs = data, graphs
        self._graph: StepGraph | None = None
        self._eager_steps, self._frozen = 0, False
        self.network, self.loss, self.ranks = network, loss, ranks
        self._matrices = frozenset(id(parameter) for parameter in network.parameters() if parameter.ndim > 1)
        self.classes, self.settings, self.total_steps = tuple(classes), settings, total_steps
        self.scores: Scores | None = None
        self.validation_loss: float | None = None
        """Mean over the images of the last validation of the loss of each on its own."""
        self._matrix = torch.zeros(len(classes), len(classes), dtype=torch.int64)
        self._losses = torch.zeros(2, dtype=torch.float64)  # their sum and number
        self.steps = StepState(self.device)
        self._continued: dict[str, float] = {}  # sums of an epoch that a checkpoint was saved in
        self._clock = {"images": 0.0, "seconds": 0.0, "data_seconds": 0.0}
        self._batch_start = 0.0
        self._step: EffectiveBatch | None = None  # the batches of this optimizer step, where they are several

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Logits of the images' own size."""
        logits: torch.Tensor = self.network(images_NCHW)
        return logits

    def on_train_start(self) -> None:
        """An epoch that is continued in its middle has no start of its own: its sums are those of the checkpoint. Not
        earlier: a network spread over processes is on its device and restored only now."""
        self.steps = StepState(self.device, loss_scale=self.trainer.precision == "16-mixed")
        self.steps.start_epoch(**self._continued)
        self._freeze_or_free_encoder()

    def on_train_epoch_start(self) -> None:
        """A new epoch has no scores yet."""
        self.scores = self.validation_loss = None
        self._freeze_or_free_encoder()

    def _freeze_or_free_encoder(self) -> None:
        """A frozen encoder keeps its normalisation, too."""
        frozen = self.current_epoch < self.settings.freeze_encoder_epochs
        if frozen != self._frozen:
            self._frozen, self._graph = frozen, None
        for parameter in self.network.encoder_parameters():
            parameter.requires_grad_(not frozen)
        self.network.encoder.train(not frozen)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Makes a training batch on the device of what was drawn for it."""
        if self._data is None or not isinstance(batch, dict):  # validation batches are lists
            return batch
        made: Batch = self._data.batch(batch)
        if "labels_of_step" in batch:
            made["labels_of_step"] = [self._data.label(drawn) for drawn in batch["labels_of_step"]]
        return made

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Starts the clock of the step; waiting for the loader has a clock of its own."""
        loader = self.trainer.train_dataloader
        if isinstance(loader, ResumableLoader):
            self._clock["data_seconds"] += loader.take_seconds()
        self._batch_start = time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """The loss of a batch."""
        images, labels = batch["image"], batch["label"]
        if "labels_of_step" in batch:
            self._step = EffectiveBatch(batch["labels_of_step"], self.settings.accumulate)
        if self._is_graphed(images, labels):
            assert self._graph is not None
            loss = self._graph.run(images, labels)
        else:
            loss = self._loss_of(images, labels)
        self.steps.add_loss(loss / self.settings.accumulate)
        self._clock["images"] += len(labels) * self.ranks.world
        self._eager_steps += 1
        return loss

    def _loss_of(self, images_NCHW: torch.Tensor, labels_NHW: torch.Tensor) -> torch.Tensor:
        fused = self.settings.full_resolution == "fused"
        with contextlib.ExitStack() as around:
            if images_NCHW.device.type == "cpu":
                around.enter_context(Fp32Backward())
            if self.ranks.world > 1:
                around.enter_context(SharedBatchNorm())
            logits = LowLogits(*self.network.low_logits(images_NCHW)) if fused else self(images_NCHW)
        with within(self._step):
            loss: torch.Tensor = self.loss(logits, labels_NHW)
            auxiliary = self.network.take_auxiliary_logits()
            if auxiliary is not None:
                of_head = LowLogits(auxiliary, self.network.padded_size(images_NCHW)) if fused else auxiliary
                loss = loss + self.network.auxiliary_weight * self.loss(of_head, labels_NHW)
        return loss

    def _is_graphed(self, images_NCHW: torch.Tensor, labels_NHW: torch.Tensor) -> bool:
        """Whether this step is replayed from a CUDA graph, which is made after some eager ones."""
        alone = self.ranks.world == 1 and self.settings.accumulate == 1 and not self.steps.loss_scale
        if not (self.graphs and alone and images_NCHW.is_cuda and self._eager_steps >= EAGER_STEPS):
            return False
        if self._graph is None:
            self._graph = StepGraph(self, self._loss_of)
        return self._graph.fits(images_NCHW, labels_NHW)

    def backward(self, loss: torch.Tensor, *arguments: Any, **more: Any) -> None:
        """The gradients of a step that was replayed from a graph are there already; the trainer has just taken those of
        the step before away."""
        if self._graph is not None and not loss.requires_grad:
            self._graph.give_gradients()
        else:
            super().backward(loss, *arguments, **more)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clips the gradient, and sees to it that one that is not finite, or a loss, does not reach the weights: raises
        NonFiniteError, or has the optimizer skip the step where the host has not looked yet."""
        norm = self._clipped(optimizer)
        self.steps.add_step(norm, self.global_step)
        if not self.steps.loss_scale and optimizer.defaults.get("fused"):
            optimizer.found_inf = self.steps.bad  # type: ignore[attr-defined]  # read by all fused optimizers of torch
        self.steps.look(self.current_epoch)

    def _clipped(self, optimizer: torch.optim.Optimizer) -> torch.Tensor:
        """The norm of the whole gradient, which is clipped to train.gradient_clip. Lightning's own clipping refuses
        fused optimizers under mixed precision, which need no other treatment than to be unscaled first."""
        limit, model = self.settings.gradient_clip, self.trainer.model
        if isinstance(model, FullyShardedDataParallel):
            return model.clip_grad_norm_(math.inf if limit is None else limit)
        if self.steps.loss_scale:
            self.trainer.precision_plugin.scaler.unscale_(optimizer)  # type: ignore[attr-defined]  # with fp16 it has one
        parameters = [parameter for parameter in self.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        if limit is not None:
            nn.utils.clip_grads_with_norm_(parameters, limit, norm)
        return norm

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stops the clock of the step."""
        self._clock["seconds"] += time.perf_counter() - self._batch_start

    def take_epoch(self) -> dict[str, float]:
        """Mean loss and gradient norm; seconds of the steps and of waiting for data, images a second of both; since the
        last call, which starts anew."""
        self.know_all()
        clock, self._clock = self._clock, dict.fromkeys(self._clock, 0.0)
        loss, norm = self.steps.mean_loss, self.steps.mean_norm
        self.steps.start_epoch()
        return {
            "loss": loss,
            "gradient_norm": norm,
            "seconds": clock["seconds"],
            "data_seconds": clock["data_seconds"],
            "images_per_second": clock["images"] / max(clock["seconds"] + clock["data_seconds"], 1e-9),
        }

    def know_all(self) -> None:
        """Waits until the device has done all steps; the time belongs to them. Raises NonFiniteError when one was not
        finite."""
        start = time.perf_counter()
        self.steps.look(self.current_epoch, wait=True)
        self._clock["seconds"] += time.perf_counter() - start

    @property
    def running_loss(self) -> float:
        """Mean loss of this epoch so far."""
        return self.steps.mean_loss

    def on_validation_epoch_start(self) -> None:
        """An empty confusion matrix; only finite weights are validated."""
        self.know_all()
        self._matrix, self._losses = torch.zeros_like(self._matrix), torch.zeros_like(self._losses)

    def validation_step(self, batch: list[Batch], batch_idx: int) -> None:
        """Counts predictions at the labels' own resolution, and sums the losses of the images."""
        for group in batch:
            logits_NCHW, labels_NHW = self(group["image"]), group["label"]
            counts = confusion_matrix(predict(logits_NCHW), labels_NHW, len(self.classes))
            self._matrix += counts.to(self._matrix.device)
            losses = losses_of_images(self.loss, logits_NCHW, labels_NHW)
            self._losses += torch.tensor([float(losses.sum()), float(len(losses))], dtype=torch.float64)

    def on_validation_epoch_end(self) -> None:
        """Scores of the whole split from one matrix, never averaged over batches."""
        if not self.trainer.sanity_checking:
            self.scores = Scores(self.ranks.sum(self._matrix).numpy())
            total, images = self.ranks.sum(self._losses).tolist()
            self.validation_loss = total / images if images else None
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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The sums of a half-done epoch belong to the state, and what is not finite does not."""
        if self.trainer.training:
            self.know_all()
        checkpoint["segsuite_epoch"] = self._clock | self.steps.sums()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continues the sums of a half-done epoch."""
        saved = dict(checkpoint["segsuite_epoch"])
        if "batches" in saved:  # of a version that counted batches
            saved["steps"] = saved.pop("batches") / self.settings.accumulate
        self._clock = {name: float(saved.pop(name, 0.0)) for name in self._clock}
        self._continued = saved
