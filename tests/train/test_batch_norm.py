"""Batch normalisation over two ranks is that of the whole batch in one process."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn import functional as F

from segsuite.models import build_model
from segsuite.models.normalisation import BATCH_IS_SHARED, PooledBatchNorm
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


def trained(images: slice, world: int) -> Found:
    """Logits, gradients and running statistics of a DeepLabV3 after one step on some of two images. Its pyramid pools
    each image to one pixel: of one image there is no variance, of both there is."""
    torch.manual_seed(0)
    network = build_model("deeplabv3", 3, encoder="resnet18", aspp_channels=8, auxiliary_weight=0.4)
    network = network.double().train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):  # ranks draw numbers of their own
            module.p = 0.0
    generator = torch.Generator().manual_seed(1)
    images_NCHW = torch.rand(2, 3, 64, 96, generator=generator, dtype=torch.float64)[images]
    labels_NHW = torch.randint(0, 3, (2, 64, 96), generator=generator)[images]
    logits_NCHW = network(images_NCHW)
    auxiliary_NCHW = network.take_auxiliary_logits()
    assert auxiliary_NCHW is not None
    loss = F.cross_entropy(logits_NCHW, labels_NHW, reduction="sum")
    (world * (loss + F.cross_entropy(auxiliary_NCHW, labels_NHW, reduction="sum"))).backward()
    gradients = {f"gradient of {name}": value.grad for name, value in network.named_parameters()}
    assert all(gradient is not None for gradient in gradients.values())
    statistics = {f"statistic {name}": value for name, value in network.named_buffers()}
    return {"logits": logits_NCHW.detach(), **statistics, **gradients}


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
    with SharedBatchNorm():
        of_network = trained(slice(rank, rank + 1), 2)
    for name, value in of_network.items():
        if name.startswith("gradient"):
            distributed.all_reduce(value)
            of_network[name] = value / 2
    torch.save(of_network, Path(folder) / f"network{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks have found."""
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(_rank, (str(folder),), nprocs=2)
    return folder


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[list[Found]]:
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


def test_deeplabv3_on_two_ranks_of_one_image_each_trains_as_on_one_of_both(folder: Path) -> None:
    whole = trained(slice(None), 1)
    of_ranks = [torch.load(folder / f"network{rank}.pt") for rank in range(2)]
    torch.testing.assert_close(torch.cat([found.pop("logits") for found in of_ranks]), whole.pop("logits"))
    for found in of_ranks:
        assert set(found) == set(whole)
        for name, value in whole.items():
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9, msg=name)


def test_outside_of_the_context_a_rank_with_one_image_is_alone() -> None:
    """The first rank measures by itself between the steps, in a batch of its own."""
    layer = PooledBatchNorm(3).train()
    with SharedBatchNorm():
        assert BATCH_IS_SHARED.get()
    assert not BATCH_IS_SHARED.get()
    assert layer(torch.randn(1, 3, 1, 1)).isfinite().all()
