"""Confusion matrices from logits beside torchmetrics' Jaccard index; bilinear enlargement that repeats bit by bit,
beside the way in which torch makes it repeatable."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import timing
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from segsuite.datasets.base import VOID
from segsuite.metrics.confusion import confusion_matrix, predict
from segsuite.upsamplers.interpolate import Interpolate
from step_sections.goals import at_least, ratio

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

CLASSES = 11


def of_pixels(size: tuple[int, int, int]) -> dict[str, timing.Forms]:
    """From logits, and from predictions; both count the same pixels, which is checked before they are timed."""
    torch.manual_seed(0)
    images, *shape = size
    logits = torch.randn(images, CLASSES, *shape).contiguous(memory_format=torch.channels_last)
    contiguous = logits.contiguous()  # what a network in the tutorial's layout gives
    labels = torch.randint(0, CLASSES, size, dtype=torch.uint8)
    labels[:, :8] = VOID
    long = labels.long()
    jaccard = MulticlassJaccardIndex(CLASSES, average="none", ignore_index=VOID)
    matrix = confusion_matrix(predict(logits), labels, CLASSES).double()
    true = matrix.diagonal()
    torch.testing.assert_close(jaccard(contiguous, long).double(), true / (matrix.sum(0) + matrix.sum(1) - true))
    made = predict(logits)
    long_made = made.long()
    return {
        "logits": {
            "torchmetrics": lambda: jaccard.update(contiguous, long),
            "segsuite": lambda: confusion_matrix(predict(logits), labels, CLASSES),
        },
        "predictions": {
            "torchmetrics": lambda: jaccard.update(long_made, long),
            "segsuite": lambda: confusion_matrix(made, labels, CLASSES),
        },
    }


def enlargements(size: tuple[int, int, int, int], factor: int) -> dict[str, Callable[[], object]]:
    """Forward and backward; the same values, checked before they are timed."""
    torch.manual_seed(0)
    x = torch.randn(size, requires_grad=True)
    own = Interpolate("bilinear", factor)
    # What F.interpolate takes on other devices than a CPU under torch.use_deterministic_algorithms.
    decomposed: Any = importlib.import_module("torch._decomp.decompositions")._upsample_linear_vec

    def torchs() -> torch.Tensor:
        made: torch.Tensor = decomposed(x, [factor * size[2], factor * size[3]], False, None)
        return made

    torch.testing.assert_close(own(x), torchs())
    return {
        "torch's decomposition": lambda: torch.autograd.grad(torchs().sum(), x),
        "segsuite": lambda: torch.autograd.grad(own(x).sum(), x),
    }


def main(context: "Context", records: "Records") -> None:
    torch.set_num_threads(1)
    rounds = 1 if context.small else 9
    size = (1, 32, 48) if context.small else (4, 384, 480)
    found = {what: timing.cpu_side_by_side(forms, rounds) for what, forms in of_pixels(size).items()}
    own = {what: sorted(seconds["segsuite"])[rounds // 2] for what, seconds in found.items()}
    why = f"{1 - own['predictions'] / own['logits']:.0%} of it is torch's arg-max over channels_last logits"
    for what, seconds in found.items():
        row = f"from {what}, {size[0]} x {CLASSES} x {size[1]} x {size[2]}"
        for form, values in seconds.items():
            records.add("Confusion matrix, ms of CPU time", row, **{form: 1e3 * sorted(values)[rounds // 2]})
        measured = ratio(seconds["torchmetrics"], seconds["segsuite"])
        at_least(records, f"Confusion matrix {row}: torchmetrics / segsuite", measured, 8.0, why)

    maps, factor = ((1, 4, 6, 8), 2) if context.small else ((4, CLASSES, 48, 60), 8)
    torch.use_deterministic_algorithms(True)
    seconds = timing.cpu_side_by_side(enlargements(maps, factor), rounds)
    row = f"{' x '.join(map(str, maps))} by {factor}, deterministic"
    for form, values in seconds.items():
        records.add("Bilinear enlargement, ms of CPU time", row, **{form: 1e3 * sorted(values)[len(values) // 2]})
    why = "on a CPU the suite takes F.interpolate, whose own backward repeats bit by bit"
    measured = ratio(seconds["torch's decomposition"], seconds["segsuite"])
    at_least(records, f"Bilinear {row}: torch's decomposition / segsuite", measured, 5.0, why)
