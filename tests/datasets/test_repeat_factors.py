"""segsuite.datasets.repeat_factors and the epochs that are drawn with them."""

import math
from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segsuite.datasets import build_dataset
from segsuite.datasets.class_crops import ClassAwarePlacement
from segsuite.datasets.loader import EpochSampler, ResumableLoader, Samples, sample_seed, training_loader
from segsuite.datasets.repeat_factors import repeat_factors, times_in_an_epoch
from segsuite.datasets.statistics import count_labels
from segsuite.datasets.transforms import Transform

Counts = NDArray[np.int64]


def of_detectron2(classes_of_images: list[set[int]], threshold: float) -> list[float]:
    """RepeatFactorTrainingSampler.repeat_factors_from_category_frequency, as its source describes it."""
    frequency: defaultdict[int, float] = defaultdict(float)
    for classes in classes_of_images:
        for c in classes:
            frequency[c] += 1
    for c in frequency:
        frequency[c] /= len(classes_of_images)
    category = {c: max(1.0, math.sqrt(threshold / share)) for c, share in frequency.items()}
    return [max({category[c] for c in classes}, default=1.0) for classes in classes_of_images]


def random_counts(seed: int, images: int = 40, classes: int = 6) -> Counts:
    """Pixels of classes of very different frequency; some images are all void, class 2 occurs nowhere."""
    generator = np.random.default_rng(seed)
    has = generator.random((images, classes)) < [0.9, 0.4, 0.0, 0.1, 0.03, 0.6]
    counts: Counts = generator.integers(1, 999, has.shape) * has
    counts[::7] = 0
    return counts


@pytest.mark.parametrize("threshold", [0.001, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_factors_are_those_of_detectron2(seed: int, threshold: float) -> None:
    counts = random_counts(seed)
    expected = of_detectron2([set(np.flatnonzero(row).tolist()) for row in counts], threshold)
    assert repeat_factors(counts, threshold).tolist() == pytest.approx(expected, rel=1e-12)


def test_a_class_in_a_quarter_of_the_images_doubles_them_at_a_threshold_of_1() -> None:
    counts = np.array([[5, 1], [5, 0], [5, 0], [5, 0]])
    assert repeat_factors(counts, 1.0).tolist() == [2, 1, 1, 1]


def test_images_that_are_all_void_have_factor_1() -> None:
    assert repeat_factors(np.array([[0, 0], [0, 3], [0, 0], [0, 0]]), 1.0).tolist() == [1, 2, 1, 1]


factors_of_images = st.lists(st.floats(1, 50), min_size=1, max_size=60).map(np.array)


@given(factors_of_images, st.integers(0, 999))
def test_an_epoch_has_as_many_images_as_the_split_each_rounded_up_or_down(
    factors: NDArray[np.float64], seed: int
) -> None:
    times = times_in_an_epoch(factors, np.random.default_rng(seed))
    assert times.sum() == len(factors)
    for found, factor in zip(times.tolist(), factors.tolist(), strict=True):
        expected = len(factors) * factor / math.fsum(factors.tolist())
        assert math.floor(expected - 1e-9) <= found <= math.ceil(expected + 1e-9)


def test_images_come_in_proportion_to_their_factors() -> None:
    factors, epochs = np.array([1.0, 1.0, 1.5, 4.0, 2.2, 1.0, 1.3]), 4000
    generator = np.random.default_rng(0)
    mean = np.mean([times_in_an_epoch(factors, generator) for _ in range(epochs)], axis=0)
    # Rounded up or down, a number has a standard deviation of at most a half.
    assert mean == pytest.approx(7 * factors / factors.sum(), abs=4.5 * 0.5 / math.sqrt(epochs))


def test_with_equal_factors_each_image_comes_once() -> None:
    for seed in range(20):
        assert times_in_an_epoch(np.full(367, 1.3), np.random.default_rng(seed)).tolist() == [1] * 367


FACTORS = np.array([1.0, 1.0, 5.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0])


def test_without_factors_the_order_is_the_permutation_that_it_always_was() -> None:
    sampler = EpochSampler(range(11), 7)
    sampler.set_epoch(3)
    order = np.random.default_rng((7, 3)).permutation(np.arange(11)).tolist()
    assert list(sampler) == [(3, index) for index in order]


def test_with_factors_the_order_is_a_function_of_seed_and_epoch() -> None:
    keys = {}
    for seed in range(3):
        for epoch in range(3):
            samplers = [EpochSampler(range(11), seed, factors=FACTORS) for _ in range(2)]
            for sampler in samplers:
                sampler.set_epoch(epoch)
            keys[seed, epoch], again = ([*sampler] for sampler in samplers)
            assert keys[seed, epoch] == again
            assert len(again) == len(samplers[0]) == 11
    assert len({tuple(found) for found in keys.values()}) == 9


def test_the_copies_of_an_image_are_counted_in_its_keys() -> None:
    for seed in range(20):
        keys = list(EpochSampler(range(100, 111), seed, factors=FACTORS))
        assert len(set(keys)) == 11
        for index, times in Counter(key[1] for key in keys).items():
            assert {key for key in keys if key[1] == index} == {(0, index), *((0, index, k) for k in range(1, times))}


def test_copies_have_seeds_of_their_own() -> None:
    seeds = {
        sample_seed(s, e, i, *copy) for s in range(5) for e in range(5) for i in range(50) for copy in ((), (1,), (2,))
    }
    assert len(seeds) == 5 * 5 * 50 * 3


def loader(workers: int = 0) -> ResumableLoader:
    dataset = build_dataset("shapes", "train", size=(16, 20), train_images=11)
    placement = ClassAwarePlacement([0.3] + [0.1] * 7, 0.5, max_share=0.6)
    transform = Transform(crop=(8, 8), scale=(0.8, 1.2), horizontal_flip=0.5, brightness=0.3, placement=placement)
    return training_loader(Samples(dataset, 5, transform), range(11), 2, workers, FACTORS)


def assert_equal(left: list[dict[str, torch.Tensor]], right: list[dict[str, torch.Tensor]]) -> None:
    for one, other in zip(left, right, strict=True):
        assert torch.equal(one["index"], other["index"])
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_of_placed_crops_and_repeated_images_continues_in_its_middle(workers: int) -> None:
    whole = loader()
    whole.sampler.set_epoch(3)
    uninterrupted = list(whole)
    first = loader(workers)
    first.sampler.set_epoch(3)
    batches = list(islice(iter(first), 2))
    second = loader(workers)
    second.load_state_dict(first.state_dict())
    assert len(uninterrupted) == 5
    assert_equal(batches + list(second), uninterrupted)


def test_an_image_that_comes_again_is_augmented_anew() -> None:
    samples = loader().dataset
    pixels = {samples[key]["image"].numpy().tobytes() for key in ((0, 2), (0, 2, 1), (0, 2, 2), (0, 2, 3))}
    assert len(pixels) == 4


def test_images_with_rare_classes_of_camvid_are_drawn_more_often(camvid_root: Path) -> None:
    dataset = build_dataset("camvid", "train", root=camvid_root)
    counts = count_labels(dataset).pixels_NC
    bicyclist, fence = dataset.classes.index("bicyclist"), dataset.classes.index("fence")
    sampler = EpochSampler(range(len(counts)), 0, factors=repeat_factors(counts, 1.0))
    drawn: list[int] = []
    for epoch in range(20):
        sampler.set_epoch(epoch)
        drawn += [key[1] for key in sampler]
    assert len(drawn) == 20 * 367
    for c in (bicyclist, fence):
        assert (counts[drawn, c] > 0).mean() > (counts[:, c] > 0).mean() + 0.02
