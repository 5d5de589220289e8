"""segsuite.launch.sharing and device_room: which trials share a device, by the memory that they were seen to take."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from segsuite.experiment import Trial, load
from segsuite.launch.device_room import CONTEXT_BYTES, MARGIN, Memory, Room, gpu_memory
from segsuite.launch.sharing import Sharing
from segsuite.launch.slots import Slot
from tests.reliability.trials import write_experiment

GIB = 2**30
LISTED = "0, GPU-aaaa, 81559, 1024\n1, GPU-bbbb, 81559, [N/A]\n"


@pytest.fixture
def trials(tmp_path: Path) -> tuple[Trial, ...]:
    """Two arms of two seeds: a0, b0, a1, b1."""
    path = write_experiment(tmp_path, compare={"train.optimizer.learning_rate": [1e-3, 2e-3]}, seeds=[0, 1])
    return load(path).trials


@dataclass(frozen=True)
class Runs:
    """A trial that runs in a slot."""

    trial: Trial
    slot: Slot


def told(gibibytes: float, **event: object) -> dict[str, object]:
    return {"phase": "epoch", "memory_bytes": int(gibibytes * GIB), **event}


def test_memory_is_known_by_number_and_uuid_where_it_is_listed() -> None:
    memory = Memory(81559 * 2**20, 1024 * 2**20)
    assert gpu_memory(lambda: LISTED) == {"0": memory, "GPU-aaaa": memory}
    assert gpu_memory(lambda: "") == {}


def test_a_device_is_shared_once_it_is_known_what_fits(trials: tuple[Trial, ...]) -> None:
    """20 GiB, 2 of them used by someone else: 17 may be taken; trials of 4 GiB need 5.5 each."""
    a0, b0, a1, b1 = trials
    room = Room({"gpu": Memory(20 * GIB, 2 * GIB)})
    assert room.fits("gpu", a0, [])
    assert not room.fits("gpu", b0, [a0])  # nothing is known yet
    room.hears(a0, {"phase": "train", "step": 3, "memory_bytes": GIB})  # it has hardly begun
    room.hears(a0, {"phase": "train", "step": 60})  # one that does not tell
    assert room.needs(a1) is None
    room.hears(a0, told(4))
    assert room.needs(a1) == int(MARGIN * 4 * GIB) + CONTEXT_BYTES
    assert room.fits("gpu", a1, [a0])
    assert room.fits("gpu", b0, [a0])  # taken for as large as what is known
    assert not room.fits("gpu", b1, [a0, b0])  # b0 has not told: one newcomer at a time
    room.hears(b0, told(2))
    assert room.fits("gpu", b1, [a0, b0])
    assert not room.fits("gpu", a1, [a0, b0, b1])
    room.hears(b0, told(12))
    assert not room.fits("gpu", b1, [a0])
    assert room.fits("gpu", b1, [])  # alone in any case
    assert not room.fits("of unknown size", a1, [a0])


def test_slots_of_a_device_fill_as_memory_becomes_known(trials: tuple[Trial, ...]) -> None:
    a0, b0, a1, _ = trials
    sharing = Sharing([Slot("gpu", 2, 3)] * 3, Room({"gpu": Memory(20 * GIB, 0)}))
    first = sharing.take(a0, [])
    assert first == Slot("gpu", 2, 3)
    running = [Runs(a0, first)]
    assert sharing.take(b0, running) is None
    sharing.hears(a0, told(3))
    second = sharing.take(a1, running)
    assert second is not None
    third = sharing.take(b0, [*running, Runs(a1, second)])
    assert third is not None
    assert sharing.is_full
    sharing.give_back(first)
    assert not sharing.is_full


@pytest.mark.parametrize("device", ["gpu", None])
def test_a_trial_that_lacked_memory_beside_others_has_the_device_for_itself(
    trials: tuple[Trial, ...], device: str | None
) -> None:
    a0, b0, a1, _ = trials
    sharing = Sharing([Slot(device, 1, 2)] * 2)
    slots = [sharing.take(trial, []) for trial in (a0, b0)]
    assert slots == [Slot(device, 1, 2)] * 2
    sharing.repeat_alone(a0)
    sharing.give_back(Slot(device, 1, 2))
    assert sharing.take(a0, [Runs(b0, Slot(device, 1, 2))]) is None
    sharing.give_back(Slot(device, 1, 2))
    alone = sharing.take(a0, [])
    assert alone == Slot(device, 1, 1)
    assert "SEGSUITE_SIDE_BY_SIDE" not in alone.environment()
    assert sharing.take(a1, [Runs(a0, alone)]) is None
    sharing.give_back(alone)
    assert sharing.take(a1, []) == Slot(device, 1, 2)


def test_on_another_device_others_go_on(trials: tuple[Trial, ...]) -> None:
    a0, b0, *_ = trials
    sharing = Sharing([Slot("one", 1, 2), Slot("two", 1, 2)])
    sharing.repeat_alone(a0)
    alone = sharing.take(a0, [])
    assert alone is not None
    assert sharing.take(b0, [Runs(a0, alone)]) == Slot("two", 1, 2)


def test_a_trial_to_be_repeated_alone_is_the_next_and_its_device_is_counted_by_itself(
    trials: tuple[Trial, ...],
) -> None:
    a0, b0, a1, _ = trials
    sharing = Sharing([Slot("one", 2, 1), Slot("two", 2, 1)])
    slots = [sharing.take(trial, []) for trial in (a0, b0)]
    assert [slot.of for slot in slots if slot is not None] == [1, 1]  # each has its device for itself
    sharing.repeat_alone(a0)
    assert slots[0] is not None
    sharing.give_back(slots[0])
    assert sharing.take(a1, []) is None
    assert sharing.take(a0, []) == Slot("one", 2, 1)
