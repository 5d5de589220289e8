"""A training spread over two processes by FSDP is that of ddp, and exactly resumable. On CPUs, for want of two GPUs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from segsuite.config import ranks
from segsuite.io import store
from segsuite.train import checkpoint_io
from tests.reliability.test_distributed import EQUAL, TWO, Interrupted
from tests.reliability.trials import attempt, customised, frozen, outcome, write_experiment

pytestmark = pytest.mark.slow
# Lets a trial do on CPUs what segsuite, Lightning and torch let it do on GPUs only. FSDP reuses what it has gathered,
# since from a GPU .cpu() copies.
ON_CPUS = """
import sys
if "segsuite.trial" in sys.orig_argv:
    import torch
    from pytorch_lightning.strategies import FSDPStrategy
    from torch.distributed.fsdp import FullyShardedDataParallel
    import segsuite.config.ranks
    import segsuite.train.distributed

    class OnCPUs(FSDPStrategy):
        pass  # Lightning refuses the class itself

    def sharded(self, *arguments, **options):
        of_gpus(self, *arguments, **options | {"device_id": torch.device("cpu")})

    of_gpus, FullyShardedDataParallel.__init__ = FullyShardedDataParallel.__init__, sharded
    without_copy, torch.Tensor.cpu = torch.Tensor.cpu, lambda *of, **options: without_copy(*of, **options).clone()
    segsuite.train.distributed.FSDPStrategy = OnCPUs
    segsuite.config.ranks.check_sharded = lambda settings: None
"""
# Dropout needs random numbers of each rank's own; weights of 3 x 3 pixels have an order in memory.
SHARDED: dict[str, Any] = {
    key: value for key, value in TWO.items() if key not in ("train__ema_decay", "train__freeze_encoder_epochs")
} | {"execution__strategy": "fsdp", "train__precision": "bf16-mixed"}


@pytest.fixture(autouse=True, scope="module")
def on_cpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "check_sharded", lambda settings: None)
        patch.setenv("PYTHONPATH", customised(tmp_path_factory.mktemp("customised"), ON_CPUS))
        yield


def test_a_spread_training_is_that_of_whole_networks(tmp_path: Path) -> None:
    clipped = EQUAL | {"execution__devices": 2, "train__gradient_clip": 0.1}
    whole, spread = (
        frozen(write_experiment(tmp_path / name, **clipped, execution__strategy=name)) for name in ("ddp", "fsdp")
    )
    assert (attempt(whole), attempt(spread)) == (0, 0), (spread / "log.txt").read_text()
    expected, found = (checkpoint_io.load(folder / "checkpoints" / "last.ckpt") for folder in (whole, spread))
    assert found["state_dict"].keys() == expected["state_dict"].keys()
    for name, value in expected["state_dict"].items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(found["state_dict"][name], value, rtol=1e-5, atol=1e-6, msg=name)
    assert store.events(spread)[-1]["miou"] == store.events(whole)[-1]["miou"]


@pytest.fixture(scope="module")
def uninterrupted(on_cpus: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = frozen(write_experiment(tmp_path_factory.mktemp("whole"), **SHARDED))
    assert attempt(folder) == 0, (folder / "log.txt").read_text()
    return folder


def test_a_continued_spread_training_is_equal_to_an_uninterrupted_one(uninterrupted: Path, tmp_path: Path) -> None:
    interrupted = Interrupted(frozen(write_experiment(tmp_path, **SHARDED)))
    assert interrupted.codes == [75, 1, 0], (interrupted.folder / "log.txt").read_text()
    assert outcome(interrupted.folder) == outcome(uninterrupted)


def test_running_statistics_are_not_rounded_where_the_precision_is_mixed(uninterrupted: Path) -> None:
    """Autocast, which is for CUDA here, has no part in this."""
    weights = checkpoint_io.load(uninterrupted / "checkpoints" / "last.ckpt")["state_dict"]
    running = [value for name, value in weights.items() if name.endswith("running_var")]
    assert running
    assert not any(torch.equal(value, value.bfloat16().float()) for value in running)
