"""The processes that train one trial together, called ranks: what they agree on, and Lightning's settings for them.

Rank 0 claims the trial and writes its files. What ranks agree on goes through a group of its own, by gloo and in the
memory of the host, never through the one of the gradients; every rank must ask for it at the same place.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, Strategy
from torch import Tensor, distributed
from torch.distributed.fsdp import MixedPrecision

from segsuite.config import Execution
from segsuite.errors import ClaimError, ConfigError, Preempted, plural

T = TypeVar("T")
RENDEZVOUS = "SEGSUITE_RENDEZVOUS"
"""Environment variable: the file in which ranks of one machine meet; without it they do at MASTER_ADDR and
MASTER_PORT."""
TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others in one place before it fails."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of the trial; by default the only one."""

    rank: int = 0
    world: int = 1
    gpu: int = 0
    """Its number among those that this process sees, on CUDA."""
    strategy: str = "ddp"
    group: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Ranks":
        """Itself: an average of the weights is made of a copy of the module, which holds this."""
        return self

    @property
    def is_first(self) -> bool:
        """Whether this process claims the trial and writes its files."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """The device called `name` that this process computes on."""
        return torch.device(name, self.gpu) if name == "cuda" else torch.device(name)

    def largest(self, *numbers: int) -> list[int]:
        """The largest of each of `numbers` over the ranks."""
        if self.world == 1:
            return list(numbers)
        values = torch.tensor(numbers, dtype=torch.int64)
        distributed.all_reduce(values, distributed.ReduceOp.MAX, group=self.group)
        return [int(value) for value in values]

    def of_first(self, value: T) -> T:
        """The `value` of rank 0, a plain one."""
        if self.world == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0, group=self.group)
        return values[0]

    def of_all(self, value: T) -> list[T]:
        """The values of all ranks, plain ones, in their order."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value, group=self.group)
        return values

    def sum(self, counts: Tensor) -> Tensor:
        """The sum of `counts`, on the CPU, over the ranks."""
        if self.world > 1:
            counts = counts.clone()
            distributed.all_reduce(counts, group=self.group)
        return counts

    def seed(self, seed: int) -> None:
        """Random numbers of its own for every rank but the first, so that they do not drop out the same units."""
        if not self.is_first:
            torch.manual_seed(int(np.random.SeedSequence((seed, self.rank)).generate_state(1)[0]))

    def leave(self, within: timedelta = TIMEOUT) -> None:
        """Ends what the ranks do together, at the same place in all of them."""
        if self.world > 1 and distributed.is_initialized():
            distributed.barrier(group=self.group, async_op=True).wait(within)
            distributed.destroy_process_group()


ALONE = Ranks()


@contextlib.contextmanager
def joined(execution: Execution, device: str) -> Iterator[Ranks]:
    """This process among the ranks of its trial, as RANK and WORLD_SIZE of the environment say, while the body runs.

    When all ranks have agreed to end (Preempted, ClaimError) none leaves before the others: a launcher ends all once
    the first is gone. Raises ConfigError when a GPU is missing.
    """
    if execution.ranks == 1:
        yield ALONE
        return
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    gpu = local_gpu(execution) if device == "cuda" else 0
    if device == "cuda":
        torch.cuda.set_device(gpu)
    where = f"file://{os.environ[RENDEZVOUS]}" if RENDEZVOUS in os.environ else "env://"
    backend = "nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend, where, TIMEOUT, world_size=world, rank=rank)
    ranks = Ranks(rank, world, gpu, execution.strategy, distributed.new_group(backend="gloo", timeout=TIMEOUT))
    try:
        yield ranks
    except (Preempted, ClaimError):
        with contextlib.suppress(RuntimeError):  # one may have died, or ended otherwise
            ranks.leave(timedelta(seconds=20))
        raise
    ranks.leave()


def local_gpu(execution: Execution) -> int:
    """The GPU of this rank: that of its number on the machine, or the only one that a cluster lets it see."""
    visible = torch.cuda.device_count()
    if visible >= execution.devices:
        return int(os.environ["LOCAL_RANK"])
    if visible == 1 and RENDEZVOUS not in os.environ:
        return 0
    raise ConfigError(
        f"execution.devices is {execution.devices}, but this process sees {plural(visible, 'GPU')}",
        advice="set it lower, let the trial see more (CUDA_VISIBLE_DEVICES), or run one such trial at a time",
    )


def trainer_settings(ranks: Ranks, device: str) -> dict[str, Any]:
    """What pl.Trainer is told of several ranks."""
    # Each rank is a node of one device for Lightning: it then does not mind how many GPUs a cluster lets a rank see.
    found = {"num_nodes": ranks.world, "devices": [ranks.gpu] if device == "cuda" else 1}
    strategy: Strategy
    if ranks.strategy == "fsdp":
        # Nothing is rounded but by autocast, as with ddp: Lightning's own choice for mixed precision rounds the running
        # statistics of batch normalisation, too.
        strategy = FSDPStrategy(mixed_precision=MixedPrecision(), state_dict_type="full", use_orig_params=True)
    else:
        # Statistics are equal on all ranks (batch_norm.py); a broadcast would need as many validation batches on each.
        # A frozen encoder, and some networks of other libraries, have weights without a gradient.
        strategy = DDPStrategy(broadcast_buffers=False, find_unused_parameters=True)
    return found | {"strategy": strategy}


class RankEnvironment(ClusterEnvironment):
    """Tells Lightning where this rank stands; the group is there already."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    @property
    def creates_processes_externally(self) -> bool:
        """Lightning starts none."""
        return True

    @property
    def main_address(self) -> str:
        """Not used: the ranks have met."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """Not used: the ranks have met."""
        return 0

    @staticmethod
    def detect() -> bool:
        """Never chosen by itself."""
        return False

    def world_size(self) -> int:
        """Number of ranks."""
        return self.ranks.world

    def set_world_size(self, size: int) -> None:
        """Stays as it is."""

    def global_rank(self) -> int:
        """This rank."""
        return self.ranks.rank

    def set_global_rank(self, rank: int) -> None:
        """Stays as it is."""

    def local_rank(self) -> int:
        """The only one of its node, see `trainer_settings`."""
        return 0

    def node_rank(self) -> int:
        """This rank, see `trainer_settings`."""
        return self.ranks.rank
