"""Every loss on one batch: by one process, and by two that have a half of it each, as in a training on two devices."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, multiprocessing, nn

from segsuite.errors import ConfigError
from segsuite.losses import build_loss, check_fused
from segsuite.losses.full_resolution import LowLogits, build_fused_loss
from segsuite.losses.gradient_norm import gradient_norm
from tests.losses.cases import CASES, batch

KINDS = ("direct", "fused")
Settings = dict[str, Any]


class Measured(NamedTuple):
    """Value, gradient to the logits, and its norm as trials measure it."""

    value: Tensor
    gradient_NCHW: Tensor
    norm: float


def is_fused(name: str, settings: Settings) -> bool:
    try:
        check_fused(name, **settings)
    except ConfigError:
        return False
    return True


def cases() -> list[tuple[str, str, Settings]]:
    """kind, name and settings of all that is compared."""
    return [(kind, *case) for kind in KINDS for case in CASES if kind == "direct" or is_fused(*case)]


def measured(kind: str, name: str, settings: Settings, images: slice = slice(None)) -> Measured:
    """The loss of some images of a batch of four, whose halves differ in their void, classes and borders."""
    logits_NCHW, labels_NHW = batch(images=4)
    labels_NHW[:2][labels_NHW[:2] == 3] = 0
    labels_NHW[3, :4] = 255
    logits_NCHW = logits_NCHW[images].clone().requires_grad_()
    given: Any = LowLogits(logits_NCHW, (12, 14)) if kind == "fused" else logits_NCHW
    labels_NHW = labels_NHW[images]
    if kind == "fused":
        labels_NHW = labels_NHW.repeat_interleave(2, 1).repeat_interleave(2, 2)
    loss: nn.Module = (build_fused_loss if kind == "fused" else build_loss)(name, **settings)
    value = loss(given, labels_NHW)
    (gradient_NCHW,) = torch.autograd.grad(value, logits_NCHW)
    return Measured(value.detach(), gradient_NCHW, gradient_norm(loss, given, labels_NHW))  # type: ignore[arg-type]


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    found = [tuple(measured(*case, slice(2 * rank, 2 * rank + 2))) for case in cases()]
    torch.save(found, Path(folder) / f"rank{rank}.pt")
    distributed.destroy_process_group()


def on_two_ranks(folder: Path) -> list[list[Measured]]:
    """What each rank made of each of `cases`."""
    multiprocessing.spawn(_rank, (str(folder),), nprocs=2)
    return [[Measured(*one) for one in torch.load(folder / f"rank{rank}.pt")] for rank in range(2)]
