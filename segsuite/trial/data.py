"""The datasets and loaders of a trial."""

from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader

from segsuite.config import TrialSettings
from segsuite.datasets import build_dataset
from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.loader import ResumableLoader, Samples, evaluation_loader, training_loader
from segsuite.datasets.transforms import build_transform


@dataclass(frozen=True)
class TrialData:
    """The splits of a trial; `scored` is the one that the result is about, `validation` the one watched in training."""

    training: ResumableLoader
    validation: DataLoader[Any]
    scored: DataLoader[Any]
    scored_dataset: SegmentationDataset
    scored_indices: range
    classes: tuple[str, ...]
    fingerprint: str

    @property
    def num_classes(self) -> int:
        """Number of classes without void."""
        return len(self.classes)


def build_data(settings: TrialSettings) -> TrialData:
    """Datasets and loaders. A sanity run (overfit_batches) trains on and scores the same few images, unchanged."""
    overfit = settings.train.overfit_batches * settings.train.batch_size
    watched = "train" if overfit else "val"
    scored = "train" if overfit else settings.evaluation.split
    options = settings.data.model_dump(exclude={"name"})
    datasets = {split: build_dataset(settings.data.name, split, **options) for split in ("train", watched, scored)}
    execution = settings.execution

    def samples(split: str, augmented: bool) -> tuple[Samples, range]:
        transform = build_transform(**settings.augment.model_dump()) if augmented else None
        count = min(overfit or len(datasets[split]), len(datasets[split]))
        return Samples(datasets[split], settings.seed, transform, execution.cache_images), range(count)

    training = training_loader(*samples("train", not overfit), settings.train.batch_size, execution.workers)
    loaders = {
        split: evaluation_loader(*samples(split, False), execution.evaluation_batch_size, execution.workers)
        for split in {watched, scored}
    }
    return TrialData(
        training,
        loaders[watched],
        loaders[scored],
        datasets[scored],
        samples(scored, False)[1],
        datasets["train"].classes,
        "-".join(datasets[split].fingerprint() for split in ("train", scored)),
    )
