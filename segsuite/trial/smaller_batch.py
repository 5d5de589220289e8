"""When the memory of the device is too small for a batch of the training: the next attempt takes half of it, once.

Images, optimizer steps and schedule stay those of the same effective batch: half the images a batch, twice the batches
a step. Batch normalisation sees smaller batches, so that the result is marked wherever it is shown.
"""

import contextlib
import re
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from segsuite.datasets.loader import ResumableLoader
from segsuite.errors import OutOfMemory, RetryAlone, SmallerBatch, plural
from segsuite.io import atomic, store
from segsuite.io.machine import side_by_side
from segsuite.trial.frozen import Frozen

# What allocators of torch say that raise no error of their own class.
# oneDNN says no more of a lack of memory than the last; "primitive descriptor" is of what it cannot compute.
SAYINGS = re.compile(
    r"can't allocate memory|Cannot allocate memory|out of memory|_ALLOC_FAILED|could not create a primitive(?! desc)"
)
ADVICE = (
    "lower train.batch_size and raise train.accumulate by the same factor, set train.full_resolution: fused, or give "
    "it more memory"
)


@contextlib.contextmanager
def halved_when_out_of_memory(trial: Frozen, folder: Path) -> Iterator[None]:
    """Turns a lack of memory in the body, which trains, into SmallerBatch, after smaller_batch.json has been written
    for the next attempt; or into OutOfMemory when that was done before or cannot be done."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        leave_when_beside_others(error, trial, folder)
        said = _said(error)
        smaller = None if in_validation(error) or trial.smaller_batch else halved(trial)
        if smaller is None:
            raise OutOfMemory(
                f"the memory was too small for {_doing(trial, error)}: {said}", str(folder / "trial.yaml"), ADVICE
            ) from error
        # Every rank that lacks memory writes the same.
        record = smaller | {"reason": said, "host": socket.gethostname(), "begun": False}
        atomic.write_json(folder / store.SMALLER_BATCH, record)
        raise SmallerBatch(
            f"the memory was too small for batches of {plural(trial.settings.train.batch_size, 'image')}: {said}",
            str(folder / store.SMALLER_BATCH),
            f"nothing: the next attempt takes batches of {smaller['batch_size']}, {smaller['accumulate']} a step",
        ) from error


def leave_when_beside_others(error: BaseException, trial: Frozen, folder: Path) -> None:
    """Raises RetryAlone for a lack of memory beside other trials of the launcher: it may be they who have it, and a
    smaller batch would make another trial of this one."""
    beside = side_by_side()
    if beside is not None and trial.settings.execution.ranks == 1 and is_out_of_memory(error):
        raise RetryAlone(
            f"the memory was too small beside {plural(beside - 1, 'other trial')}: {_said(error)}",
            str(folder / "trial.yaml"),
            "nothing: the next attempt has it alone; fewer --workers, or a smaller --per-device, spare the repetition",
        ) from error


def _said(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def halved(trial: Frozen) -> dict[str, Any] | None:
    """The settings of `train` that half the batch and double the batches a step, and what they `was`; None when the
    batch cannot be divided evenly among the processes."""
    train, ranks = trial.settings.train, trial.settings.execution.ranks
    if train.batch_size % (2 * ranks) != 0:
        return None
    changed = {
        "batch_size": train.batch_size // 2,
        "accumulate": 2 * train.accumulate,
        "overfit_batches": 2 * train.overfit_batches,
    }
    return changed | {"was": {name: getattr(train, name) for name in changed}}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had, of a GPU or of the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and SAYINGS.search(str(error)) is not None


def in_validation(error: BaseException) -> bool:
    """Whether it came from a validation within the training, whose batches are of another size."""
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(name == "validation_step" or name.startswith("on_validation_") for name in names)


def keep_steps(trial: Frozen, training: ResumableLoader) -> None:
    """Ends an epoch of smaller batches where one of whole batches would have ended: with as many optimizer steps."""
    if trial.smaller_batch:
        whole = int(trial.smaller_batch["was"]["batch_size"])
        if training.sampler.count >= whole:
            training.sampler.count -= training.sampler.count % whole


def _doing(trial: Frozen, error: BaseException) -> str:
    if in_validation(error):
        return f"a validation with execution.evaluation_batch_size {trial.settings.execution.evaluation_batch_size}"
    return f"a training with train.batch_size {trial.settings.train.batch_size}"
