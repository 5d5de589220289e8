"""Gives a tracker the predictions of a few validation images while a trial trains."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback
from torch.utils.data import DataLoader

from segsuite.config.tracking import is_shown
from segsuite.io.wandb_environment import first_line
from segsuite.metrics.confusion import predict
from segsuite.train.evaluation import AUTOCAST
from segsuite.train.module import SegmentationModule
from segsuite.train.samples import chosen
from segsuite.train.tracking import Shown, Tracker


class ShownImages(Callback):
    """Predicts right after a validation, with the network in evaluation: nothing of the training changes."""

    def __init__(self, tracker: Tracker, validation: DataLoader[Any], precision: str) -> None:
        self.tracker, self.precision = tracker, precision
        self.dataset = validation.dataset.dataset  # type: ignore[attr-defined]
        self.indices = chosen(validation.sampler.indices, tracker.images)  # type: ignore[attr-defined]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Photos and ground truth."""
        assert isinstance(pl_module, SegmentationModule)
        shown = [Shown(self.dataset.sample_name(index), *self.dataset.read(index)) for index in self.indices]
        self.tracker.truth(shown, pl_module.classes)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Predictions, at a few of the validations."""
        assert isinstance(pl_module, SegmentationModule)
        settings = pl_module.settings
        if not is_shown(trainer.current_epoch + 1, settings.epochs, settings.validate_every, self.tracker.image_times):
            return
        try:
            labels = [self._predict(pl_module, index) for index in self.indices]
        except Exception as error:  # e.g. memory: a picture is not worth a trial
            self.tracker.warn(f"no predictions are shown ({type(error).__name__}: {first_line(error)})")
            return
        names = [self.dataset.sample_name(index) for index in self.indices]
        self.tracker.predictions(names, labels, self.dataset.palette)

    @torch.inference_mode()
    def _predict(self, module: SegmentationModule, index: int) -> NDArray[np.uint8]:
        image, _ = self.dataset.read(index)
        image_NCHW = torch.from_numpy(image).permute(2, 0, 1)[None].to(module.device)
        dtype = AUTOCAST.get(self.precision)
        with torch.autocast(module.device.type, dtype, enabled=dtype is not None):
            prediction_NHW = predict(module.network(image_NCHW))
        label: NDArray[np.uint8] = prediction_NHW[0].to(torch.uint8).cpu().numpy()
        return label
