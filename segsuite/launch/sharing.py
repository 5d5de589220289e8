"""Which trial may start where, beside which others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from segsuite.experiment import Trial
from segsuite.launch.device_room import Room
from segsuite.launch.slots import Slot


class Running(Protocol):
    """A trial that runs in a slot."""

    trial: Trial
    slot: Slot


class Sharing:
    """The free slots of this machine. A trial that lacked memory beside others starts again only where no other runs,
    and has that device, or without one the machine, for itself; with a `room`, a trial starts beside others only where
    the memory of the device is enough for all."""

    def __init__(self, slots: Sequence[Slot], room: Room | None = None) -> None:
        self._free, self._room = list(slots), room
        self._of = Counter(slot.device for slot in slots)
        self._alone: set[str] = set()
        self._next: set[str] = set()

    @property
    def is_full(self) -> bool:
        """Whether no slot is free."""
        return not self._free

    def take(self, trial: Trial, running: Sequence[Running]) -> Slot | None:
        """A slot in which `trial` may start now; None: when another one has ended, or has told of its memory."""
        if self._next and trial.id not in self._next:
            return None
        for slot in self._free:
            beside = [one.trial for one in running if one.slot.device == slot.device]
            if any(one.id in self._alone for one in beside) or (trial.id in self._alone and beside):
                continue
            if self._room is not None and not self._room.fits(slot.device, trial, beside):
                continue
            self._free.remove(slot)
            self._next.discard(trial.id)
            return replace(slot, of=1) if trial.id in self._alone else slot
        return None

    def give_back(self, slot: Slot) -> None:
        """The trial in it has ended."""
        self._free.append(replace(slot, of=self._of[slot.device]))

    def repeat_alone(self, trial: Trial) -> None:
        """It lacked memory beside others: nothing else begins before it does, or it would come last of all."""
        self._alone.add(trial.id)
        self._next.add(trial.id)

    def hears(self, trial: Trial, event: Mapping[str, Any]) -> None:
        """What a trial tells of itself."""
        if self._room is not None:
            self._room.hears(trial, event)
