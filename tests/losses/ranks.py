"""Two processes that train one weight as DistributedDataParallel does: each on half of a batch."""

from pathlib import Path

import torch
from torch import Tensor, distributed, multiprocessing

from segsuite.losses import build_loss
from tests.losses.cases import batch


def loss_of(name: str, weight_C: Tensor, images: slice) -> Tensor:
    logits_NCHW, labels_NHW = batch(images=4)
    labels_NHW[:2][labels_NHW[:2] == 3] = 0  # the halves differ in what they hold
    loss: Tensor = build_loss(name)(logits_NCHW[images] * weight_C[:, None, None], labels_NHW[images])
    return loss


def whole(name: str) -> tuple[Tensor, Tensor]:
    """Value and gradient of the whole batch in one process."""
    weight_C = torch.ones(5, requires_grad=True)
    value = loss_of(name, weight_C, slice(None))
    return value.detach(), torch.autograd.grad(value, weight_C)[0]


def _rank(rank: int, names: list[str], folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    found = {}
    for name in names:
        weight_C = torch.ones(5, requires_grad=True)
        value = loss_of(name, weight_C, slice(2 * rank, 2 * rank + 2))
        (gradient,) = torch.autograd.grad(value, weight_C)
        distributed.all_reduce(gradient)
        found[name] = value.detach(), gradient / 2
    torch.save(found, Path(folder) / f"rank{rank}.pt")
    distributed.destroy_process_group()


def on_two_ranks(names: list[str], folder: Path) -> list[dict[str, tuple[Tensor, Tensor]]]:
    """What each rank computed of each loss: the value, and the mean of the ranks' gradients."""
    multiprocessing.spawn(_rank, (names, str(folder)), nprocs=2)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]
