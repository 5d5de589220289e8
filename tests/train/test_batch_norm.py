"""Batch normalisation over two ranks is that of the whole batch in one process."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn

from segsuite.train.batch_norm import SharedBatchNorm

pytestmark = pytest.mark.slow
Found = dict[str, Tensor]
DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def normalised(images: slice, world: int, dtype: torch.dtype) -> Found:
    """Output, gradients and running statistics of one step on some of six images, far from mean 0."""
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(6, 3, 4, 5, generator=generator, dtype=torch.float64) + 100.0)[images].to(dtype)
    slopes = torch.randn(6, 3, 4, 5, generator=generator, dtype=torch.float64)[images].to(dtype)
    layer = nn.BatchNorm2d(3, dtype=torch.float64 if dtype == torch.float64 else torch.float32)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -2.0, 0.5]))
    x.requires_grad_()
    output = layer(x)
    # The loss of all ranks is a sum over them, of which each rank's gradient is world size times its part.
    (world * (output * slopes).sum()).backward()
    assert x.grad is not None
    assert layer.weight.grad is not None
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return {
        "output": output.detach(), "gradient": x.grad / world, "weight": layer.weight.grad,
        "mean": layer.running_mean, "variance": layer.running_var,
    }  # fmt: skip


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    found = []
    for dtype in DTYPES:
        with SharedBatchNorm():
            of_rank = normalised(slice(4) if rank == 0 else slice(4, 6), 2, dtype)
        distributed.all_reduce(of_rank["weight"])
        found.append(of_rank | {"weight": of_rank["weight"] / 2})  # as DistributedDataParallel does
    torch.save(found, Path(folder) / f"rank{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[list[Found]]:
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(_rank, (str(folder),), nprocs=2)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize(("index", "dtype"), list(enumerate(DTYPES)), ids=str)
def test_output_and_gradients_are_those_of_the_whole_batch(
    index: int, dtype: torch.dtype, ranks: list[list[Found]]
) -> None:
    whole = normalised(slice(None), 1, dtype)
    first, second = (of_rank[index] for of_rank in ranks)
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 0.05}[dtype]
    for name in ("output", "gradient"):
        torch.testing.assert_close(torch.cat([first[name], second[name]]), whole[name], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(first["weight"], whole["weight"], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("index", "dtype"), list(enumerate(DTYPES[:2])), ids=str)
def test_running_statistics_are_those_of_the_whole_batch_on_every_rank(
    index: int, dtype: torch.dtype, ranks: list[list[Found]]
) -> None:
    whole = normalised(slice(None), 1, dtype)
    for of_rank in ranks:
        for name in ("mean", "variance"):
            torch.testing.assert_close(of_rank[index][name], whole[name], rtol=1e-5, atol=1e-5)
