"""What happens around training steps: random state, checkpoints, events, stopping."""

import random
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint

from segsuite.datasets.loader import common_batches
from segsuite.errors import Preempted
from segsuite.io import atomic
from segsuite.io.store import RunDirectory
from segsuite.train.distributed import ALONE, Ranks
from segsuite.train.module import SegmentationModule

Report = Callable[[dict[str, Any]], None]


class StopRequest:
    """Set by a signal, or by a launcher that has gone; looked at where a checkpoint can be saved."""

    def __init__(self) -> None:
        self.is_set = False
        self.told_to_leave = False
        """Whether the signal was SIGTERM, which clusters send for preemption and cancellation."""

    def set(self, *_: object) -> None:
        """Asks for a stop. Only sets a flag: saving inside a signal handler corrupts what the handler interrupts."""
        self.is_set = True

    def leave_if_set(self) -> None:
        """Raises Preempted when a stop was asked for; what was saved last is what the next attempt continues from."""
        self._leave_if(self.is_set)

    def leave_if_any_is_set(self, ranks: Ranks, save: Callable[[], None] | None = None, due: bool = False) -> None:
        """The same when any rank was asked to stop, in all of them; before that `save` is called, and also when a save
        is `due` in any of them. All ranks must call it at the same place."""
        told, asked, due_somewhere = ranks.largest(self.told_to_leave, self.is_set, due)
        self.told_to_leave |= bool(told)
        if save is not None and (asked or due_somewhere):
            save()
        self._leave_if(bool(asked))

    @staticmethod
    def _leave_if(asked: bool) -> None:
        if asked:
            raise Preempted("stopped on request", advice="run the experiment again to continue")

    def listen(self) -> None:
        """SIGTERM and SIGUSR1 (preemption, time limit) ask for a stop, and so does the first Ctrl-C; a second one
        stops at once."""

        def terminate(*_: object) -> None:
            self.told_to_leave = True
            self.set()
            # A cluster signals the loader's workers, too: torch would raise at their death, perhaps within a save.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

        signal.signal(signal.SIGTERM, terminate)
        signal.signal(signal.SIGUSR1, self.set)

        def interrupt(*_: object) -> None:
            if self.is_set:
                raise KeyboardInterrupt
            self.set()

        signal.signal(signal.SIGINT, interrupt)


class RandomState(Callback):
    """Keeps all random generators in the checkpoint, those of every rank, which Lightning does not."""

    def __init__(self, ranks: Ranks = ALONE) -> None:
        self.ranks = ranks
        self._loaded: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors, so that the checkpoint loads with weights_only=True."""
        first, *others = self.ranks.of_all(self._own())
        return first | ({"others": others} if others else {})

    @staticmethod
    def _own() -> dict[str, Any]:
        name, keys, *rest = np.random.get_state(legacy=True)
        return {
            "python": random.getstate(),
            "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
            "torch": torch.get_rng_state(),
            "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Kept until training starts: set-up in between draws numbers."""
        self._loaded = state_dict

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restores the generators of the checkpoint; those of a rank that it does not know stay as they are."""
        if self._loaded is None:
            return
        of_ranks, self._loaded = [self._loaded, *self._loaded.get("others", [])], None
        if self.ranks.rank >= len(of_ranks):
            return
        own = of_ranks[self.ranks.rank]
        version, keys, gauss = own["python"]
        random.setstate((version, tuple(keys), gauss))
        name, words, *rest = own["numpy"]
        np.random.set_state((name, words.numpy().astype(np.uint32), *rest))
        torch.set_rng_state(own["torch"])
        if own["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state(own["cuda"][0])


class Events(Callback):
    """Writes an event an epoch, and reports progress at most twice a second."""

    def __init__(self, run: RunDirectory, report: Report) -> None:
        self.run, self.report = run, report
        self._last_report = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tells how far the training is."""
        assert isinstance(pl_module, SegmentationModule)
        if time.monotonic() - self._last_report >= 0.5:
            self._last_report = time.monotonic()
            self.report(self._where(trainer, pl_module) | {"phase": "train", "loss": pl_module.running_loss})

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tells that a validation has begun."""
        assert isinstance(pl_module, SegmentationModule)
        self.report(self._where(trainer, pl_module) | {"phase": "validate"})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One line in events.jsonl."""
        assert isinstance(pl_module, SegmentationModule)
        event = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "learning_rate": trainer.optimizers[0].param_groups[-1]["lr"],
            **pl_module.take_epoch(),
        }
        scores = pl_module.scores
        if scores is not None:
            event |= {"miou": scores.miou, "pixel_accuracy": scores.pixel_accuracy}
            event["validation_loss"] = pl_module.validation_loss
            event["iou"] = dict(zip(pl_module.classes, (float(value) for value in scores.iou), strict=True))
        self.run.add_event(event)
        self.report(self._where(trainer, pl_module) | {"phase": "epoch", **event})

    @staticmethod
    def _where(trainer: pl.Trainer, module: SegmentationModule) -> dict[str, Any]:
        return {
            "epoch": trainer.current_epoch,
            "epochs": trainer.max_epochs,
            "step": trainer.global_step,
            "steps": module.total_steps,
        }


class Checkpoints(Checkpoint):
    """Saves last.ckpt at an epoch's end, every few minutes and on request; best.ckpt has the best val mIoU.

    Only where an optimizer step has just been done: the gradients of a half-done accumulation are in no checkpoint. A
    `Checkpoint`, so that Lightning calls it after all other callbacks. Lightning's own, with a monitor, stays at the
    best epoch. Of several ranks all take part in a save, and the first one writes it.
    """

    def __init__(self, run: RunDirectory, stop: StopRequest, minutes: float, ranks: Ranks = ALONE) -> None:
        self.run, self.stop, self.seconds, self.ranks = run, stop, 60 * minutes, ranks
        self._saved, self._saving = time.monotonic(), 0.0  # when, and how long it took
        self._step = -1
        self._best = {"miou": -1.0, "step": -1}
        self._ended = False

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, the step that it belongs to, and whether training was ended early."""
        return {**self._best, "ended": self._ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        self._best = {"miou": float(state_dict["miou"]), "step": int(state_dict["step"])}
        self._ended = bool(state_dict.get("ended", False))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Signals are listened to from here on again (Lightning has just put its own handlers in place)."""
        self.stop.listen()
        self.stop.leave_if_any_is_set(self.ranks)  # asked for while Lightning set up; nothing is to be saved yet
        trainer.should_stop = self._ended  # which Lightning forgets
        self._step = trainer.global_step
        if self._best["step"] == self._step:  # a kill may have come between last.ckpt and best.ckpt
            self._keep_as_best()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves within an epoch; its last batch is left to the epoch's end, after validation."""
        assert isinstance(pl_module, SegmentationModule)
        # Not the trainer's own max_steps: with it, Lightning 2.6.6 miscounts the epochs of a continued training.
        if trainer.global_step >= pl_module.total_steps:
            trainer.should_stop = True
        stepped, self._step = trainer.global_step != self._step, trainer.global_step
        if not stepped or trainer.should_stop or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            return
        due = time.monotonic() - self._saved > self.seconds
        self.stop.leave_if_any_is_set(self.ranks, lambda: self._save(trainer), due)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """A validation can outlast the time that a cluster grants: leave, and run it again from the last checkpoint."""
        if batch_idx < common_batches(trainer.val_dataloaders):  # type: ignore[arg-type]  # there is one
            self.stop.leave_if_any_is_set(self.ranks)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves after the epoch's event has been written."""
        assert isinstance(pl_module, SegmentationModule)
        scores = pl_module.scores
        is_best = scores is not None and scores.miou > self._best["miou"]  # false for NaN
        if is_best and scores is not None:
            self._best = {"miou": scores.miou, "step": trainer.global_step}
        self._ended = trainer.should_stop
        is_last = self._ended or trainer.current_epoch + 1 == trainer.max_epochs
        # An epoch of a small network on a GPU takes less time than a save, which is to take a tenth of it at most.
        since = time.monotonic() - self._saved
        due = is_best or is_last or since > min(self.seconds, 10 * self._saving)
        self.stop.leave_if_any_is_set(self.ranks, lambda: self._save_epoch(trainer, is_best), due)

    def _save_epoch(self, trainer: pl.Trainer, is_best: bool) -> None:
        self._save(trainer)
        if is_best:
            self._keep_as_best()

    def _save(self, trainer: pl.Trainer) -> None:
        self.run.check_claim()
        start = time.monotonic()
        trainer.save_checkpoint(self.run.last_checkpoint)
        self._saved = time.monotonic()
        self._saving = self._saved - start

    def _keep_as_best(self) -> None:
        if self.ranks.is_first:
            atomic.duplicate(self.run.last_checkpoint, self.run.best_checkpoint)
