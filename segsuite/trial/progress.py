"""A trial's progress, told to whoever started it: JSON lines through a pipe that never makes a training wait."""

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from typing import Any

from segsuite.io.numbers import finite


class ProgressChannel:
    """Writes events to the file `descriptor`, which becomes its own.

    A launcher that was stopped (Ctrl-Z) reads nothing, and a pipe takes some hundred events. Those that find no room
    are dropped: the run directory is the truth, and the next one says how far the trial is.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._rest = b""  # of an event that the pipe took half of
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):  # a terminal would stay so for everybody at it
            os.set_blocking(descriptor, False)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Writes the event, or drops it; nobody may listen any more."""
        with contextlib.suppress(OSError):
            if self._rest:
                self._rest = self._rest[os.write(self.descriptor, self._rest) :]
            if not self._rest:
                line = json.dumps(finite(dict(event))).encode() + b"\n"
                self._rest = line[os.write(self.descriptor, line) :]
