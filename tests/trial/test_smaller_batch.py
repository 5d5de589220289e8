"""segsuite.trial.smaller_batch: which errors lack memory, and what half a batch is."""

from pathlib import Path
from typing import Any

import pytest
import torch

from segsuite.datasets import build_dataset
from segsuite.datasets.loader import Samples, training_loader
from segsuite.errors import OutOfMemory, SmallerBatch
from segsuite.io import atomic
from segsuite.trial import frozen
from segsuite.trial.smaller_batch import halved_when_out_of_memory, is_out_of_memory, keep_steps
from tests.reliability.trials import frozen as write_frozen
from tests.reliability.trials import write_experiment


@pytest.mark.parametrize(
    ("error", "lacks_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("could not create a primitive descriptor for a convolution"), False),
        (RuntimeError("shape '[2]' is invalid"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_lack_of_memory_is_told_from_other_errors(error: Exception, lacks_memory: bool) -> None:
    assert is_out_of_memory(error) is lacks_memory


def failing(tmp_path: Path, error: Exception, **settings: Any) -> Path:
    """A run directory after a training that raised `error`."""
    folder = write_frozen(write_experiment(tmp_path, **settings))
    with halved_when_out_of_memory(frozen.read(folder), folder):
        raise error
    return folder


def test_the_next_attempt_is_read_with_half_the_batch_and_twice_the_accumulation(tmp_path: Path) -> None:
    settings = {"train__batch_size": 6, "train__accumulate": 3, "train__overfit_batches": 2}
    with pytest.raises(SmallerBatch):
        failing(tmp_path, MemoryError(), **settings)
    trial = frozen.read(write_frozen(tmp_path / "tiny.yaml"))
    train = trial.settings.train
    assert (train.batch_size, train.accumulate, train.overfit_batches) == (3, 6, 4)
    assert trial.smaller_batch is not None
    assert trial.smaller_batch["was"] == {"batch_size": 6, "accumulate": 3, "overfit_batches": 2}


@pytest.mark.parametrize("settings", [{"train__batch_size": 3}, {"train__batch_size": 6, "execution__devices": 2}])
def test_a_batch_that_cannot_be_halved_evenly_is_a_failure(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(OutOfMemory) as caught:
        failing(tmp_path, MemoryError(), **settings)
    assert not isinstance(caught.value, SmallerBatch)
    assert not list(tmp_path.rglob("smaller_batch.json"))


def test_a_validation_without_memory_takes_no_smaller_batch_of_training(tmp_path: Path) -> None:
    folder = write_frozen(write_experiment(tmp_path))

    def validation_step() -> None:
        raise MemoryError

    with (
        pytest.raises(OutOfMemory, match="evaluation_batch_size") as caught,
        halved_when_out_of_memory(frozen.read(folder), folder),
    ):
        validation_step()
    assert not isinstance(caught.value, SmallerBatch)


def test_another_error_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no memory"):
        failing(tmp_path, ValueError("no memory"))


def test_an_epoch_of_half_batches_has_the_images_of_one_of_whole_batches(tmp_path: Path) -> None:
    twenty_images = build_dataset("shapes", "train", size=(24, 32), train_images=20)
    folder = write_frozen(write_experiment(tmp_path, train__batch_size=8))
    atomic.write_json(
        folder / "smaller_batch.json", {"batch_size": 4, "accumulate": 2, "was": {"batch_size": 8, "accumulate": 1}}
    )
    whole = training_loader(Samples(twenty_images), range(20), 8, workers=0)
    half = training_loader(Samples(twenty_images), range(20), 4, workers=0)
    keep_steps(frozen.read(folder), half)
    assert (len(whole), len(half)) == (2, 4)
    assert [list(batch["index"]) for batch in half] == [
        part for batch in whole for part in (list(batch["index"][:4]), list(batch["index"][4:]))
    ]
