"""Each loss forward and backward at full resolution, with few and many classes: time, and memory beside the logits."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from gpu_sections.clock import milliseconds, peak_mebibytes
from segsuite.losses import LOSSES, build_loss

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

SUM = "cross_entropy + dice + focal"
# What has no default.
SETTINGS: dict[str, Callable[[int], dict[str, Any]]] = {
    "class_balanced_cross_entropy": lambda classes: {"pixel_counts": [1000] * classes},
    "logit_adjusted_cross_entropy": lambda classes: {"pixel_counts": [1000] * classes},
    "unified_focal": lambda classes: {"rare_classes": [0]},
}


def step_of(name: str, logits: torch.Tensor, labels: torch.Tensor) -> Callable[[], object]:
    """Value and gradient of a loss, or of a sum of several."""
    terms = [{"name": term} for term in name.split(" + ")]
    settings = SETTINGS[name](logits.shape[1]) if name in SETTINGS else {}
    built = build_loss("sum", terms=terms) if len(terms) > 1 else build_loss(name, **settings)
    loss = built.to(logits.device)
    return lambda: torch.autograd.grad(loss(logits, labels), logits)


def main(context: "Context", records: "Records") -> None:
    sizes = [(3, 2, 16, 16)] if context.small else [(11, 8, 360, 480), (150, 4, 512, 512)]
    for classes, images, height, width in sizes:
        table = f"Losses, {images} x {classes} x {height} x {width}"
        logits = torch.randn(images, classes, height, width, device=context.device, requires_grad=True)
        labels = torch.randint(0, classes, (images, height, width), dtype=torch.uint8, device=context.device)
        for name in [SUM, *LOSSES]:
            if name == "sum":
                continue
            try:
                step = step_of(name, logits, labels)
                few = 1 if context.small else 5
                records.add(table, name, ms=milliseconds(step, context.device, few, 3, 2))
                records.add(table, name, **{"MiB beside the logits": peak_mebibytes(step, context.device)})
            except Exception as error:
                records.add(table, name, failed=f"{type(error).__name__}: {error}"[:200])
