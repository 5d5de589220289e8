"""The datasets and loaders of a trial."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader

from segsuite.config import Augment, Execution, TrialSettings
from segsuite.config.batches import too_few
from segsuite.datasets import build_dataset
from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.class_crops import ClassAwarePlacement
from segsuite.datasets.decoded import decoded
from segsuite.datasets.fingerprints import same_data, trial_fingerprint
from segsuite.datasets.loader import WHOLE, ResumableLoader, Samples, Share, evaluation_loader, training_loader
from segsuite.datasets.on_device import DeviceData, DrawnSamples, load_on_device
from segsuite.datasets.repeat_factors import Floats, repeat_factors
from segsuite.datasets.statistics import label_counts
from segsuite.datasets.transforms import Transform
from segsuite.errors import ConfigError, DataError, plural
from segsuite.io.machine import threads_by_default
from segsuite.io.store import RunDirectory, read_json
from segsuite.train.callbacks import Report
from segsuite.train.distributed import ALONE, Ranks


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
    on_device: DeviceData | None = None
    """The training images, where the device has them and makes their batches."""

    images: dict[str, int] = field(default_factory=dict)
    """Images of each split that the trial uses."""

    @property
    def num_classes(self) -> int:
        """Number of classes without void."""
        return len(self.classes)

    def facts(self, settings: TrialSettings) -> dict[str, Any]:
        """What the manifest says of the data beside their fingerprint. No paths: the same on every machine."""
        options = settings.data.model_dump(mode="json", exclude={"name", "root"})
        return {
            "name": settings.data.name,
            "classes": list(self.classes),
            "palette": [list(colour) for colour in self.scored_dataset.palette],
            "images": self.images,
            "settings": options,
        }


def build_data(
    settings: TrialSettings, ranks: Ranks = ALONE, device: str = "cpu", report: Report = lambda event: None
) -> TrialData:
    """Datasets and loaders; of several ranks each trains on and validates its part, and the whole is scored. A sanity
    run (overfit_batches) trains on and scores the same few images, unchanged. Training images may lie on `device`.
    `report` is told how many images have been decoded, where they are for the first time."""
    overfit = settings.train.overfit_batches * settings.train.batch_size
    watched = "train" if overfit else "val"
    scored = "train" if overfit else settings.evaluation.split
    options = settings.data.model_dump(exclude={"name"})
    datasets = {split: build_dataset(settings.data.name, split, **options) for split in ("train", watched, scored)}
    execution = settings.execution
    few = too_few(len(datasets["train"]), settings)
    if few is not None:
        raise few

    workers, threads = loader_workers(execution, device), threads_by_default()

    def progress(done: int, of: int) -> None:
        report({"phase": "decode", "images": done, "of": of})

    read = {split: decoded(dataset, execution.cache_images, threads, progress) for split, dataset in datasets.items()}

    def samples(split: str, augmented: bool) -> tuple[Samples, range]:
        transform = training_transform(settings.augment, datasets[split]) if augmented else None
        return Samples(read[split], settings.seed, transform), range(overfit or len(datasets[split]))

    # Spread over GPUs, a network predicts on all ranks at once: all see all images then, and the scores are the same.
    part = Share.of_split(ranks.rank, ranks.world) if ranks.world > 1 and ranks.strategy == "ddp" else WHOLE
    chosen, indices = samples("train", not overfit)
    on_device = data_on_device(chosen, execution, ranks.device(device))
    check_shares(len(datasets[watched]), ranks.world)
    threshold = None if overfit else settings.train.repeat_threshold
    factors = None if threshold is None else factors_of(datasets["train"], indices, threshold)
    training = training_loader(
        chosen if on_device is None else DrawnSamples(chosen, on_device),
        indices,
        settings.train.batch_size,
        # What is drawn takes a worker a tenth of a millisecond an image, and the host of a small network as much again.
        1 if on_device is not None and execution.workers == "auto" else workers,
        factors,
        ranks.rank,
        ranks.world,
        settings.train.accumulate,
    )
    loaders = {
        (split, share): evaluation_loader(*samples(split, False), execution.evaluation_batch_size, workers, share)
        for split, share in {(watched, part), (scored, WHOLE)}
    }
    return TrialData(
        training,
        loaders[watched, part],
        loaders[scored, WHOLE],
        datasets[scored],
        samples(scored, False)[1],
        datasets["train"].classes,
        trial_fingerprint(
            datasets["train"].fingerprint(),
            datasets[watched].fingerprint() if watched not in ("train", scored) else None,
            datasets[scored].fingerprint(),
        ),
        on_device,
        {split: overfit or len(dataset) for split, dataset in datasets.items()},
    )


def data_on_device(samples: Samples, execution: Execution, device: torch.device) -> DeviceData | None:
    """The images of augmented samples on the device, where they are to be and fit."""
    if samples.transform is None:
        return None
    threads = threads_by_default()
    return load_on_device(samples.dataset, samples.transform, device, execution.data_on_device, threads)


def loader_workers(execution: Execution, device: str) -> int:
    """execution.workers, or what auto is: a GPU that trains wants its images sooner than one process can make them; on
    a CPU they would take the cores that train."""
    if execution.workers != "auto":
        return execution.workers
    return min(8, threads_by_default()) if device == "cuda" else 0


def refuse_other_data(fingerprint: str, run: RunDirectory) -> None:
    """Raises DataError when the trial has begun on other data than there are now: it would be of neither."""
    before = (read_json(run.folder / "manifest.json") or {}).get("dataset_fingerprint")
    if before and run.last_checkpoint.exists() and not same_data(str(before), fingerprint):
        raise DataError(
            "the images or masks have changed since this trial began: its first epochs saw other data",
            str(run.folder),
            "restore the data and run it again; or remove this run directory, to train it anew on the data as they are",
        )


def check_shares(watched: int, world: int) -> None:
    """Raises ConfigError when the validated split has too few images for every rank to have a part of it."""
    if world > 1 and watched < world:
        raise ConfigError(
            f"{plural(watched, 'image')} {'is' if watched == 1 else 'are'} validated on, fewer than {world} processes",
            advice=f"set execution.nodes x execution.devices to at most {watched}",
        )


def training_transform(augment: Augment, training: SegmentationDataset) -> Transform:
    """The augmentation of the training images; their labels are counted when crops are placed by rarity."""
    options = augment.model_dump()
    classes = options.pop("crop_classes")
    if classes["probability"] == 0 and classes["max_share"] == 1:
        return Transform(**options)
    shares_C = [0.0] * training.num_classes
    if classes["probability"] > 0 and classes["temperature"] is not None:
        pixels_C = label_counts(training).pixels_C
        shares_C = [pixels / max(1, sum(pixels_C)) for pixels in pixels_C]
    return Transform(**options, placement=ClassAwarePlacement(shares_C, **classes))


def factors_of(training: SegmentationDataset, indices: Sequence[int], threshold: float) -> Floats:
    """The repeat factors of the training images. Raises ConfigError when they would all be drawn alike."""
    pixels_NC = label_counts(training).of(indices).pixels_NC
    factors_N = repeat_factors(pixels_NC, threshold)
    if factors_N.min() < factors_N.max():
        return factors_N
    frequency_C = (pixels_NC > 0).mean(axis=0)
    shares = [(float(share), name) for share, name in zip(frequency_C, training.classes, strict=True) if share > 0]
    share, rarest = min(shares, default=(1.0, "none"))
    raise ConfigError(
        f"train.repeat_threshold: {threshold:g} changes nothing: it draws all training images equally often",
        advice=f"raise it above {share:.4g}, the share of images that hold the rarest class, {rarest}"
        if threshold <= share < 1
        else "leave it out: the images do not differ by their rarest class",
    )
