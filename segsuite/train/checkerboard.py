"""Measures checkerboards while a trial trains, and at its end; writes artefacts.json and artefacts.npz."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback
from torch.utils.data import DataLoader

from segsuite.checkerboard import VERSION
from segsuite.checkerboard.maps import Row
from segsuite.checkerboard.measure import AT_THE_END, IN_TRAINING, measure, periods_of
from segsuite.checkerboard.pictures import pictures
from segsuite.checkerboard.scene import Scene, scene_of
from segsuite.config.checkerboard import Checkerboard
from segsuite.datasets.base import SegmentationDataset
from segsuite.io import atomic
from segsuite.io.store import read_json
from segsuite.metrics import array_files
from segsuite.models.network import SegmentationNetwork
from segsuite.train.module import SegmentationModule
from segsuite.train.samples import chosen

FINAL_FACTOR = 4
"""How many times the images of a measurement in training are measured at the end."""


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("epoch"), int)


class Artefacts:
    """artefacts.json and artefacts.npz of a run directory."""

    def __init__(self, folder: Path) -> None:
        self.path, self.arrays_path = folder / "artefacts.json", folder / "artefacts.npz"
        found = read_json(self.path)
        kept = found if found is not None and found.get("version") == VERSION else {}
        self.rows: list[Row] = [row for row in _list(kept.get("rows")) if _is_row(row)]
        self.images: list[str] = _list(kept.get("images")) if self.rows else []

    def rewind(self, epochs: int) -> None:
        """Forgets what was measured after more than `epochs` epochs, which are about to be run again."""
        self.rows = [row for row in self.rows if row["epoch"] <= epochs]

    def write(self, network: SegmentationNetwork, final: Sequence[Row] = (), final_images: Sequence[str] = ()) -> None:
        """Writes artefacts.json."""
        seams = [
            {"name": seam.name, "stride_from": seam.stride_from, "stride_to": seam.stride_to}
            for seam in network.seams()
        ]
        content = {
            "version": VERSION,
            "stride": max(periods_of(network), default=1),
            "seams": seams,
            "rows": self.rows,
            "final": list(final),
            "images": self.images,
            "final_images": list(final_images),
        }
        atomic.write_json(self.path, content)

    def write_pictures(self, moment: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Writes arrays into artefacts.npz as MOMENT_NAME; those of other moments stay."""
        kept = {name: value for name, value in self._pictures().items() if not name.startswith(f"{moment}_")}
        named: dict[str, Any] = kept | {f"{moment}_{name}": value for name, value in arrays.items()}
        atomic.write_with(self.arrays_path, lambda file: np.savez_compressed(file, **named))

    def _pictures(self) -> dict[str, NDArray[Any]]:
        try:
            return array_files.read(self.arrays_path)
        except array_files.Damaged:
            return {}


class CheckerboardMeasurement(Callback):
    """Measures at initialisation and after chosen epochs, always on the same images of the validation loader.

    The weights are those of the training, also where an average of them is what is scored. A copy of the network is
    measured: training goes on as it would have, bit for bit.
    """

    def __init__(self, folder: Path, validation: DataLoader[Any], settings: Checkerboard) -> None:
        self.artefacts, self.settings = Artefacts(folder), settings
        self.dataset = validation.dataset.dataset  # type: ignore[attr-defined]
        self.indices = chosen(validation.sampler.indices, settings.images)  # type: ignore[attr-defined]
        self._scene: Scene | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forgets what will be measured again; measures at initialisation."""
        # Of an attempt that left no checkpoint nothing is kept: training starts anew.
        self.artefacts.rewind(trainer.current_epoch if trainer.global_step else -1)
        if trainer.global_step == 0 and is_measured(0, False, self.settings.epochs):
            self._measure(pl_module, 0, 0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before the epoch's checkpoint is saved, so that none is without its rows."""
        done = trainer.current_epoch + 1
        is_last = trainer.should_stop or done == trainer.max_epochs
        if is_measured(done, is_last, self.settings.epochs):
            self._measure(pl_module, done, trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last epoch, when only what came after this callback has ended the training (early stopping)."""
        if self.settings.epochs is None and all(row["step"] != trainer.global_step for row in self.artefacts.rows):
            self._measure(pl_module, trainer.current_epoch, trainer.global_step)

    def _measure(self, module: pl.LightningModule, epoch: int, step: int) -> None:
        assert isinstance(module, SegmentationModule)
        network = module.network
        if self._scene is None:
            self._scene = read_scene(self.dataset, self.indices, network)
        measured = measure(network, self._scene, IN_TRAINING)
        self.artefacts.images = list(self._scene.names)
        self.artefacts.rows += [{"epoch": epoch, "step": step, **row} for row in measured.rows]
        if epoch == 0:
            self.artefacts.write_pictures("start", pictures(measured, self._scene, periods_of(network)))
        self.artefacts.write(network)


def measure_at_the_end(
    network: SegmentationNetwork,
    dataset: SegmentationDataset,
    indices: Sequence[int],
    settings: Checkerboard,
    folder: Path,
) -> None:
    """Measures the weights that are scored, on more images and at more places, and adds it to the files."""
    scene = read_scene(dataset, chosen(indices, FINAL_FACTOR * settings.images), network)
    measured = measure(network, scene, AT_THE_END)
    artefacts = Artefacts(folder)
    artefacts.write_pictures("final", pictures(measured, scene, periods_of(network)))
    artefacts.write(network, measured.rows, scene.names)


def read_scene(dataset: SegmentationDataset, indices: Sequence[int], network: SegmentationNetwork) -> Scene:
    """The images `indices` of `dataset`, cut to a multiple of the network's stride, where the network is."""
    samples = [(dataset.sample_name(index), *dataset.read(index)) for index in indices]
    return scene_of(samples, network.stride).to(next(network.parameters()).device)


def is_measured(done: int, is_last: bool, epochs: Sequence[int] | None) -> bool:
    """Whether it is measured after `done` epochs: at those listed, or without a list at 0, powers of two, the last.

    >>> [done for done in range(13) if is_measured(done, done == 12, None)]
    [0, 1, 2, 4, 8, 12]
    """
    if epochs is not None:
        return done in epochs
    return is_last or done & (done - 1) == 0
