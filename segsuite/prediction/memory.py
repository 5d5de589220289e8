"""Whether an image fits into memory in one piece, or must be predicted by windows."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from segsuite.inspect.trace import Trace
from segsuite.launch.slots import available_memory
from segsuite.prediction.predictor import Predictor
from segsuite.prediction.windows import Windows

SIDE = 1024
"""Of windows, where nobody says otherwise."""
SHARE = 0.5
"""Of the free memory that an image may take: others want some too."""
LIBRARIES = 1.5
"""What convolution libraries take besides the tensors: copies in another layout."""


@dataclass
class WindowChoice:
    """Which windows an image gets. `size`: side of the windows of all larger images, None: the whole image where the
    memory allows it, else windows of 1,024 pixels."""

    predictor: Predictor
    size: int | None = None
    overlap: float = 0.5
    _known: dict[tuple[int, int], Windows | None] = field(default_factory=dict)

    def of(self, height: int, width: int, say: Callable[[str], None]) -> Windows | None:
        """The windows for an image of that size, None: one piece; the first time it says why."""
        if (height, width) in self._known:
            return self._known[height, width]
        windows = Windows(SIDE if self.size is None else self.size, self.overlap, self._multiple())
        if self.size is None:
            needed = bytes_needed(self.predictor, height, width)
            free = _free(self.predictor.device)
            whole = needed <= SHARE * free
            if not whole and windows.count(height, width) > 1:
                count = windows.count(height, width)
                say(
                    f"{height} x {width} pixels would take about {needed / 1e9:.1f} GB in one piece, and "
                    f"{free / 1e9:.1f} GB are free: {count} windows of {windows.side} pixels instead"
                )
        else:
            whole = windows.count(height, width) == 1
        shared = 1 - windows.step / windows.side
        if not whole and not self._known and abs(shared - self.overlap) > 0.01:
            say(
                f"windows of {windows.side} pixels share {shared:.2f} of their side with the next, not "
                f"{self.overlap:g}: their places are multiples of {windows.multiple}"
            )
        chosen = None if whole or windows.count(height, width) == 1 else windows
        self._known[height, width] = chosen
        return chosen

    def _multiple(self) -> int:
        return max(int(getattr(network, "stride", 32)) for network in self.predictor.networks)


def bytes_needed(predictor: Predictor, height: int, width: int) -> float:
    """Of memory, for the whole image at once: the activations that are alive at the same time, and the scores."""
    largest = max(view.scale for view in predictor.views)
    size = (round(height * largest), round(width * largest))
    activations = max(_activations(network, *size) for network in predictor.networks)
    scores = (
        4 * predictor.num_classes * height * width * (2 if len(predictor.networks) * len(predictor.views) > 1 else 1)
    )
    return LIBRARIES * activations + scores


def _activations(network: nn.Module, height: int, width: int) -> int:
    with torch.no_grad():
        trace = Trace(network)
        trace.forward((1, 3, height, width))
    return trace.ledger.peak


def _free(device: str) -> int:
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return available_memory()
