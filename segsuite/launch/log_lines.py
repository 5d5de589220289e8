"""A trial's log for people: its progress is written as JSON lines, which `segsuite logs` tells in words."""

import codecs
import json
from collections.abc import Mapping
from typing import Any


def readable(line: str) -> str | None:
    """A line of a log as a person reads it, None for one that says nothing of its own (each step, each image).

    >>> readable('{"phase": "epoch", "epoch": 0, "epochs": 3, "step": 12, "loss": 0.71, "miou": 0.25, "seconds": 8}')
    'epoch 1 of 3, step 12, loss 0.710, val mIoU 0.250, 8 s'
    >>> readable("srun: error: x"), readable('{"phase": "train", "loss": 1.0}')
    ('srun: error: x', None)
    """
    if not line.startswith('{"'):
        return line
    try:
        event = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, dict) or "phase" not in event:
        return line
    return _words(event)


def _words(event: dict[str, Any]) -> str | None:
    phase = event["phase"]
    if phase == "warning":
        return f"warning: {event.get('warning')}"
    return epoch_in_words(event) if phase == "epoch" else None


def epoch_in_words(event: Mapping[str, Any]) -> str:
    """An epoch of events.jsonl as a line."""
    parts = [f"epoch {event.get('epoch', 0) + 1} of {event.get('epochs')}"]
    forms = (("step", "step {}"), ("loss", "loss {:.3f}"), ("miou", "val mIoU {:.3f}"), ("seconds", "{:.0f} s"))
    parts += [form.format(event[key]) for key, form in forms if event.get(key) is not None]
    return ", ".join(parts)


class Lines:
    """Whole lines out of pieces of a log, in which a line or a character may be cut."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def add(self, piece: bytes, last: bool = False) -> str:
        """The lines that are whole now, readable; with `last` what is left of one, too."""
        *whole, self._rest = (self._rest + self._decoder.decode(piece, last)).split("\n")
        if last and self._rest:
            whole, self._rest = [*whole, self._rest], ""
        told = (readable(line) for line in whole)
        return "".join(f"{line}\n" for line in told if line is not None)
