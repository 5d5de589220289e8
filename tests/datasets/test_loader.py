"""segsuite.datasets.loader: which batches come, in which order, is a function of (seed, epoch) alone."""

from itertools import islice
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.loader import (
    EpochSampler,
    ResumableLoader,
    Samples,
    evaluation_loader,
    sample_seed,
    training_loader,
)
from segsuite.datasets.transforms import Transform

AUGMENT: dict[str, Any] = {"crop": (8, 8), "scale": (0.8, 1.2), "horizontal_flip": 0.5, "brightness": 0.3}


class Numbered(SegmentationDataset):
    """Image i is full of i; sizes alternate when asked."""

    classes, palette, split = ("a", "b"), ((0, 0, 0), (255, 255, 255)), "train"

    def __init__(self, count: int = 11, sizes: tuple[tuple[int, int], ...] = ((10, 12),)) -> None:
        self.count, self.sizes, self.reads = count, sizes, 0

    def __len__(self) -> int:
        return self.count

    def sample_name(self, index: int) -> str:
        return str(index)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self.reads += 1
        size = self.sizes[index % len(self.sizes)]
        generator = np.random.default_rng(index)
        return generator.integers(0, 256, (*size, 3), dtype=np.uint8), np.full(size, index % 2, np.uint8)

    def fingerprint(self) -> str:
        return "0" * 16


def loader(workers: int = 0, seed: int = 0, count: int = 11, batch_size: int = 2) -> ResumableLoader:
    samples = Samples(Numbered(count), seed, Transform(**AUGMENT))
    return training_loader(samples, range(count), batch_size, workers)


def epoch(of: ResumableLoader, number: int) -> list[dict[str, torch.Tensor]]:
    of.sampler.set_epoch(number)
    return list(of)


def order(batches: list[dict[str, torch.Tensor]]) -> list[list[int]]:
    return [batch["index"].tolist() for batch in batches]


def assert_equal(left: list[dict[str, torch.Tensor]], right: list[dict[str, torch.Tensor]]) -> None:
    assert order(left) == order(right)
    for one, other in zip(left, right, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    keys = {}
    for seed in range(3):
        for number in range(3):
            samplers = [EpochSampler(range(11), seed) for _ in range(2)]
            for sampler in samplers:
                sampler.set_epoch(number)
            keys[seed, number], again = ([*sampler] for sampler in samplers)
            assert keys[seed, number] == again
    assert len({tuple(index for _, index in found) for found in keys.values()}) == 9
    assert all(sorted(index for _, index in found) == list(range(11)) for found in keys.values())
    assert {key for key, _ in keys[0, 2]} == {2}


def test_sample_seeds_differ_for_every_seed_epoch_and_index() -> None:
    seeds = {sample_seed(s, e, i) for s in range(10) for e in range(10) for i in range(100)}
    assert len(seeds) == 10_000
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_the_global_generators_neither_matter_nor_move() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = epoch(loader(), 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert_equal(first, epoch(loader(), 0))


def test_workers_do_not_change_the_batches() -> None:
    alone, helped = loader(0), loader(2)
    for number in range(2):
        assert_equal(epoch(alone, number), epoch(helped, number))


def test_augmentation_differs_between_epochs_and_seeds() -> None:
    pixels = {
        Samples(Numbered(), seed, Transform(**AUGMENT))[number, 0]["image"].numpy().tobytes()
        for seed in range(3)
        for number in range(3)
    }
    assert len(pixels) == 9


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [1, 3, 4])
def test_an_epoch_continues_in_its_middle_in_the_same_order(workers: int, done: int) -> None:
    whole = loader()
    uninterrupted = epoch(whole, 3)
    first = loader(workers)
    first.sampler.set_epoch(3)
    batches = list(islice(iter(first), done))
    state = first.state_dict()
    second = loader(workers)
    second.load_state_dict(state)
    assert_equal(batches + list(second), uninterrupted)
    assert_equal(epoch(second, 4), epoch(whole, 4))


def test_the_state_counts_batches_that_were_taken_not_those_that_workers_have_read_ahead() -> None:
    first = loader()
    iterator = iter(first)
    next(iterator)
    next(iterator)
    assert first.state_dict() == {"epoch": 0, "done": 2}


def test_after_a_whole_epoch_the_next_one_is_whole() -> None:
    first = loader()
    epoch(first, 0)
    second = loader()
    second.load_state_dict(first.state_dict())
    assert_equal(epoch(second, 1), epoch(first, 1))


def test_a_last_short_batch_is_dropped() -> None:
    batches = epoch(loader(count=11, batch_size=4), 0)
    assert [len(batch["index"]) for batch in batches] == [4, 4]
    assert len(loader(count=11, batch_size=4)) == 2


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    assert [len(batch["index"]) for batch in epoch(loader(count=3, batch_size=8), 0)] == [3]


def test_a_sample_is_a_channel_first_image_its_label_and_its_index() -> None:
    sample = Samples(Numbered())[0, 5]
    assert (sample["image"].shape, sample["image"].dtype) == ((3, 10, 12), torch.uint8)
    assert (sample["label"].shape, sample["label"].dtype) == ((10, 12), torch.uint8)
    assert sample["index"] == 5


class Witnessing(Numbered):
    """Labels hold the number of OpenCV's threads where they are read."""

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((4, 4, 3), np.uint8), np.full((4, 4), cv2.getNumThreads(), np.uint8)


def test_opencv_has_one_thread_in_each_worker() -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(3)
        samples = Samples(Witnessing(4))
        trained = [batch["label"] for batch in training_loader(samples, range(4), 2, workers=2)]
        scored = [group["label"] for batch in evaluation_loader(samples, range(4), 2, 2) for group in batch]
    finally:
        cv2.setNumThreads(before)
    assert {int(label) for batch in (*trained, *scored) for label in batch.unique()} == {1}


def test_evaluation_goes_in_order_and_groups_by_size() -> None:
    samples = Samples(Numbered(5, sizes=((10, 12), (6, 8))))
    batches = list(evaluation_loader(samples, range(5), 4, 0))
    assert [[group["index"].tolist() for group in batch] for batch in batches] == [[[0, 2], [1, 3]], [[4]]]
    assert batches[0][1]["image"].shape == (2, 3, 6, 8)


def test_evaluation_is_never_augmented_and_the_same_in_every_epoch() -> None:
    data = Numbered(3)
    for batch in [*evaluation_loader(Samples(data), range(3), 1, 0)] * 2:
        (group,) = batch
        expected = torch.from_numpy(data.read(int(group["index"][0]))[0]).permute(2, 0, 1)
        assert torch.equal(group["image"][0], expected)
