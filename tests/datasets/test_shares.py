"""What each of several ranks takes of the batches: together those of one process, in its order."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segsuite.datasets.loader import Samples, Share, common_batches, evaluation_loader, training_loader
from segsuite.datasets.repeat_factors import Floats
from segsuite.datasets.transforms import Transform
from tests.datasets.test_loader import AUGMENT, Numbered

Batches = list[dict[str, torch.Tensor]]


def batches(rank: int, world: int, epoch: int = 3, done: int = 0, factors: Floats | None = None) -> Batches:
    """What a rank reads of an epoch of 27 images in batches of 4, after `done` of them."""
    samples = Samples(Numbered(27), 0, Transform(**AUGMENT))
    loader = training_loader(samples, range(27), 4, 0, factors, rank, world)
    loader.load_state_dict({"epoch": epoch, "done": done})
    return list(loader)


def together(of_ranks: list[Batches]) -> Batches:
    """The batches of which each rank has a part, joined in the order of the ranks."""
    return [
        {key: torch.cat([part[key] for part in parts]) for key in ("image", "label", "index")}
        for parts in zip(*of_ranks, strict=True)
    ]


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("done", [0, 5])
@pytest.mark.parametrize("repeated", [False, True])
def test_ranks_together_read_the_batches_of_one_process_from_any_place(world: int, done: int, repeated: bool) -> None:
    factors = np.linspace(0.5, 2.0, 27) if repeated else None
    expected = batches(0, 1, done=done, factors=factors)
    found = together([batches(rank, world, done=done, factors=factors) for rank in range(world)])
    assert len(found) == len(expected) == 6 - done
    for ours, theirs in zip(found, expected, strict=True):
        for key, value in ours.items():
            assert torch.equal(value, theirs[key])


def test_the_state_of_a_rank_continues_an_epoch_of_another_number_of_ranks() -> None:
    samples = Samples(Numbered(27), 0)
    of_two = training_loader(samples, range(27), 4, 0, None, 1, 2)
    of_two.sampler.set_epoch(3)
    reading = iter(of_two)
    next(reading), next(reading)
    alone = training_loader(samples, range(27), 4, 0)
    alone.load_state_dict(of_two.state_dict())
    assert [batch["index"].tolist() for batch in alone] == [batch["index"].tolist() for batch in batches(0, 1)][2:]


@given(images=st.integers(1, 40), world=st.integers(1, 6), batch_size=st.integers(1, 5))
def test_each_image_is_validated_by_exactly_one_rank(images: int, world: int, batch_size: int) -> None:
    loaders = [
        evaluation_loader(Samples(Numbered(images)), range(images), batch_size, 0, Share.of_split(rank, world))
        for rank in range(world)
    ]
    read = [index for loader in loaders for _, index in loader.sampler]
    assert sorted(read) == list(range(images))
    assert all(len(loader) >= common_batches(loader) for loader in loaders)
    assert min(len(loader) for loader in loaders) == common_batches(loaders[0])
