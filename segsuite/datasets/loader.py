"""From a dataset to batches, exactly resumable: what a batch holds is a function of (seed, epoch, index) alone."""

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.repeat_factors import Floats, times_in_an_epoch
from segsuite.datasets.transforms import Transform

Key = tuple[int, int] | tuple[int, int, int]
"""Epoch and index; and the number of the copy, 1 or more, of an image that comes again in the epoch."""

Sample = dict[str, Any]
T = TypeVar("T")


class Samples(Dataset[Sample]):
    """Samples of a dataset by key (epoch, index), augmented by `transform` with a seed made of (seed, epoch, index).

    An image that comes more than once in an epoch has a key (epoch, index, copy) for each further time, so that it is
    augmented anew.
    A sample is {"image": (3,H,W) uint8 or float32 in 0..1, "label": (H,W) uint8 with 255 void, "index": int}.
    The epoch is part of the key because a copy of it in a long-lived worker would go stale.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        seed: int = 0,
        transform: Transform | None = None,
    ) -> None:
        self.dataset, self.seed, self.transform = dataset, seed, transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> Sample:
        epoch, index, *copy = key
        image, label = self.dataset.read(index)
        if self.transform is not None:
            image, label = self.transform(image, label, sample_seed(self.seed, epoch, index, *copy))
        return {
            "image": torch.from_numpy(image).permute(2, 0, 1),
            "label": torch.from_numpy(label),
            "index": index,
        }


def sample_seed(seed: int, epoch: int, index: int, *copy: int) -> int:
    """A 32-bit seed that differs for each (seed, epoch, index), and for each `copy` from 1 on."""
    return int(np.random.SeedSequence((seed, epoch, index, *copy)).generate_state(1)[0])


class Share(NamedTuple):
    """Which part of each batch of `batch` images rank `rank` of `world` takes, so that the batches are the same for
    any number of ranks."""

    rank: int = 0
    world: int = 1
    batch: int = 1

    @classmethod
    def of_split(cls, rank: int, world: int) -> "Share":
        """Each image of a split to one rank, as evenly as it goes."""
        return cls(rank, world, world)

    def of(self, keys: list[Key]) -> list[Key]:
        """The rank's part of `keys`, in their order."""
        part = self.batch // self.world
        return keys if self.world == 1 else [key for i, key in enumerate(keys) if i % self.batch // part == self.rank]


WHOLE = Share()


class EpochSampler(Sampler[Key]):
    """Keys of one epoch in an order that is a function of (seed, epoch); `start` skips what was done already.

    With `factors` (one for each of `indices`) images come in proportion to them, and some not at all: see
    `repeat_factors.times_in_an_epoch`. The length of an epoch stays the number of indices. `share` is what this process
    takes of it; `indices` and `start` are those of all, and of this process.
    """

    def __init__(
        self,
        indices: Sequence[int],
        seed: int,
        shuffle: bool = True,
        factors: Floats | None = None,
        share: Share = WHOLE,
        whole_batches: bool = False,
    ) -> None:
        self.indices, self.seed, self.shuffle, self.factors = list(indices), seed, shuffle, factors
        self.share, self.epoch, self.start = share, 0, 0
        # A rank must not have a part of a batch that another rank has none of.
        self.count = len(indices) // share.batch * share.batch if whole_batches else len(indices)

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count if self.share.world == 1 else len(self.share.of([(0, place) for place in range(self.count)]))

    def __iter__(self) -> Iterator[Key]:
        start, self.start = self.start, 0
        return iter(self.share.of(self._keys()[: self.count])[start:])

    def _keys(self) -> list[Key]:
        if not self.shuffle:
            return [(self.epoch, index) for index in self.indices]
        generator = np.random.default_rng((self.seed, self.epoch))
        if self.factors is None:
            return [(self.epoch, int(index)) for index in generator.permutation(self.indices)]
        keys: list[Key] = []
        for index, times in zip(self.indices, times_in_an_epoch(self.factors, generator), strict=True):
            keys += [(self.epoch, index, copy) if copy else (self.epoch, index) for copy in range(times)]
        return [keys[place] for place in generator.permutation(len(keys))]


class ResumableLoader(DataLoader[Sample]):
    """A DataLoader that continues in the middle of an epoch: the trainer keeps its state in the checkpoint.

    The first of every `accumulate` batches holds the labels of all of these, as "labels_of_step"; or what is drawn of
    them, where batches are made on a device.
    """

    sampler: EpochSampler
    accumulate = 1
    _done = 0
    _skip = 0
    _seconds = 0.0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator is what the trainer needs
        self._done, self._skip = self._skip, 0
        self.sampler.start = self._done * int(self.batch_size or 1)
        start = time.perf_counter()
        for batches in _in_groups(super().__iter__(), self.accumulate):
            if self.accumulate > 1:
                # Of drawn batches copies: a batch that held itself would be moved to the device without end.
                batches[0]["labels_of_step"] = [batch.get("label", dict(batch)) for batch in batches]
            self._seconds += time.perf_counter() - start
            for batch in batches:
                self._done += 1
                yield batch
            start = time.perf_counter()

    def take_seconds(self) -> float:
        """How long batches were waited for since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def state_dict(self) -> dict[str, int]:
        """Batches done in this epoch."""
        return {"epoch": self.sampler.epoch, "done": self._done % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continues after the batches that `state` counts."""
        self.sampler.set_epoch(state["epoch"])
        self._skip = state["done"]


def _in_groups(batches: Iterator[T], size: int) -> Iterator[list[T]]:
    """Lists of `size`, the last one of what is left."""
    while group := list(islice(batches, size)):
        yield group


class Seeded(Protocol):
    """Samples by key, as augmentation with `seed` makes them."""

    seed: int

    def __len__(self) -> int: ...

    def __getitem__(self, key: Key) -> Sample: ...


def training_loader(
    samples: Seeded,
    indices: Sequence[int],
    batch_size: int,
    workers: int,
    factors: Floats | None = None,
    rank: int = 0,
    world: int = 1,
    accumulate: int = 1,
) -> ResumableLoader:
    """Shuffled batches, of which rank `rank` of `world` gets its part; images come in proportion to `factors`, if given
    (see EpochSampler). `accumulate` batches make an optimizer step.

    A last, smaller batch is dropped, since batch normalisation needs more than one value.
    """
    share = WHOLE if world == 1 else Share(rank, world, batch_size)
    loader = ResumableLoader(
        samples,  # type: ignore[arg-type]  # all that a loader needs of a dataset
        batch_size // world,
        sampler=EpochSampler(indices, samples.seed, factors=factors, share=share, whole_batches=True),
        drop_last=len(indices) >= batch_size,
        num_workers=workers,
        worker_init_fn=_one_thread,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # Without a generator of its own, each epoch would draw from the global one, at another moment in a resumed run.
        generator=torch.Generator().manual_seed(samples.seed),
    )
    loader.accumulate = accumulate
    return loader


def evaluation_loader(
    samples: Samples, indices: Sequence[int], batch_size: int, workers: int, share: Share = WHOLE
) -> DataLoader[Sample]:
    """Batches in order, each of images of one size, so that none is resized or padded with others in mind."""
    return DataLoader(
        samples,
        batch_size,
        sampler=EpochSampler(indices, samples.seed, shuffle=False, share=share),
        collate_fn=_by_size,
        num_workers=workers,
        worker_init_fn=_one_thread,
        persistent_workers=workers > 0,
        generator=torch.Generator().manual_seed(samples.seed),
    )


def _one_thread(worker: int) -> None:
    """OpenCV would start as many threads as there are cores in every worker (albumentations #1246)."""
    cv2.setNumThreads(0)


def common_batches(loader: DataLoader[Sample]) -> int:
    """Batches of an evaluation loader that every rank has, whichever rank this is."""
    assert isinstance(loader.sampler, EpochSampler)
    images = len(loader.sampler.indices) // loader.sampler.share.world
    return -(-images // int(loader.batch_size or 1))


def _by_size(samples: list[Sample]) -> list[Sample]:
    groups: dict[tuple[int, ...], list[Sample]] = {}
    for sample in samples:
        groups.setdefault(tuple(sample["image"].shape), []).append(sample)
    return [torch.utils.data.default_collate(group) for group in groups.values()]
