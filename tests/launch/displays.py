"""What is read from a display."""

import io
from typing import Any

from rich.console import Console

from segsuite.launch.display import Display


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rendered(display: Display) -> str:
    with display.console.capture() as captured:
        display.console.print(display.rendered())
    return captured.get()


def epoch(number: int, **event: Any) -> dict[str, Any]:
    return {"phase": "epoch", "epoch": number, "epochs": 4, "loss": 0.5, "miou": None} | event
