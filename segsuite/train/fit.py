"""Fits a module: the Lightning trainer as a trial needs it."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch.utils.data import DataLoader

from segsuite.config import Train
from segsuite.datasets.loader import ResumableLoader
from segsuite.io.store import RunDirectory
from segsuite.train import checkpoint_io
from segsuite.train.average import MovingAverage
from segsuite.train.callbacks import Checkpoints, Events, RandomState, Report, StopRequest
from segsuite.train.distributed import RankEnvironment, trainer_settings
from segsuite.train.module import SegmentationModule

DETERMINISTIC: dict[str, Any] = {"off": False, "warn": "warn", "strict": True}
LIGHTNING_PRECISION: dict[str, Any] = {"fp32": "32-true", "bf16-mixed": "bf16-mixed", "fp16-mixed": "16-mixed"}


def total_steps(settings: Train, batches: int) -> int:
    """Optimizer steps of the whole training with `batches` batches an epoch."""
    steps = settings.epochs * -(-batches // settings.accumulate)
    return min(steps, settings.max_steps) if settings.max_steps else steps


def epochs_done(checkpoint: dict[str, Any]) -> int:
    """Whole epochs in a checkpoint. Its own entry `epoch` is one less when it was saved at an epoch's end."""
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def fit_or_resume(
    module: SegmentationModule,
    training: ResumableLoader,
    validation: DataLoader[Any],
    run: RunDirectory,
    device: str,
    precision: str,
    checkpoint_minutes: float,
    stop: StopRequest,
    report: Report,
    watching: Sequence[Callback] = (),
) -> None:
    """Trains `module` from the run directory's last.ckpt if there is one, else from the start; one of a training that
    has ended is loaded.

    Raises NonFiniteError, or Preempted when `stop` was set and the state was saved. Of several ranks all call this; the
    first one writes the files and reports.
    """
    settings, ranks = module.settings, module.ranks
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # its INFO lines are adverts and tips
    callbacks: list[Callback] = [
        RandomState(ranks),
        *([Events(run, report)] if ranks.is_first else []),
        Checkpoints(run, stop, checkpoint_minutes, ranks),
        *watching,
    ]
    if settings.ema_decay is not None:
        callbacks.append(MovingAverage(settings.ema_decay, ranks.device(device)))
    if settings.early_stopping_patience is not None:
        callbacks.append(EarlyStopping("val/miou", mode="max", patience=settings.early_stopping_patience))
    one_process: dict[str, Any] = {"devices": 1}
    trainer = pl.Trainer(
        accelerator={"cuda": "gpu"}.get(device, device),
        **(one_process if ranks.world == 1 else trainer_settings(ranks, device)),
        precision=LIGHTNING_PRECISION[precision],
        max_epochs=settings.epochs,
        accumulate_grad_batches=settings.accumulate,
        check_val_every_n_epoch=settings.validate_every,
        num_sanity_val_steps=0,
        deterministic=DETERMINISTIC[settings.deterministic],
        # The plain environment, also within a SLURM job: Lightning's own requeue saves inside the signal handler, and
        # one of seven resumes was exact.
        plugins=[
            checkpoint_io.AtomicCheckpointIO(),
            LightningEnvironment() if ranks.world == 1 else RankEnvironment(ranks),
        ],
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    if ranks.strategy == "fsdp":
        # torch 2.15 writes the optimizer's state of channels_last weights in one order and reads it in another.
        module.to(memory_format=torch.contiguous_format)
    # Its handler of SIGTERM broadcasts from within, which upsets whatever the ranks are doing.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    is_done = False
    if ranks.is_first:
        checkpoint = checkpoint_io.load_newest_whole(run)
        is_done = checkpoint is not None and checkpoint_io.is_weights_alone(checkpoint)
        if not is_done:
            run.rewind(epochs_done(checkpoint) if checkpoint else 0)
    if ranks.of_first(is_done):  # it had finished, and its result.json was lost
        module.load_state_dict(checkpoint_io.load(run.last_checkpoint)["state_dict"])
        return
    resume = run.last_checkpoint if ranks.of_first(run.last_checkpoint.exists()) else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")  # a setting of ours, on purpose
        warnings.filterwarnings("ignore", ".*`srun` command is available.*")  # no trial needs it, within a job or not
        warnings.filterwarnings("ignore", ".*treespec, LeafSpec.* is deprecated")  # Lightning's own use of torch
        warnings.filterwarnings("ignore", ".*Checkpoint directory.*exists and is not empty.*")
        warnings.filterwarnings("ignore", ".*broadcast_buffers. is deprecated")  # its successor is of torch 2.15
        warnings.filterwarnings("ignore", ".*did not find any unused parameters")  # most networks have none
        trainer.fit(module, training, validation, ckpt_path=resume, weights_only=True)
    if device == "cuda":
        torch.cuda.synchronize()
