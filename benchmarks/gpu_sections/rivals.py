"""Training loops that one would write without the suite, on the suite's images and augmentation.

`bare loop`: smp's or torchvision's network, bf16 autocast, channels_last, fused AdamW, torch's cross entropy.
`compiled`: the same under torch.compile. `reference`: the loop of torchvision's segmentation reference: fp16 with a
loss scale, SGD, contiguous, images normalised in the workers, the loss read in every step.
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import segmentation_models_pytorch as smp
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from gpu_sections.cases import Case, data_of, settings_of, training_data
from segsuite.datasets.loader import Samples, training_loader

if TYPE_CHECKING:
    from sectioned import Context

Rival = Callable[[Case, "Context", int], tuple[float, float | None]]
LossFunction = Callable[[Tensor, Tensor], Tensor]
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def network_of(case: Case, classes: int) -> nn.Module:
    """What smp or torchvision call the same network."""
    encoder = case.model["encoder"]
    if case.model["name"] == "unet":
        name = encoder if encoder.startswith("resnet") else f"tu-{encoder}"
        unet: nn.Module = smp.Unet(name, encoder_weights=None, classes=classes)
        return unet
    build = {"fcn": torchvision.models.segmentation.fcn_resnet50}.get(
        case.model["name"], torchvision.models.segmentation.deeplabv3_resnet50
    )
    found: nn.Module = build(weights=None, weights_backbone=None, num_classes=classes)
    return found


class Normalised(torch.utils.data.Dataset[dict[str, Any]]):
    """Samples as float images, normalised where they are read."""

    def __init__(self, samples: Samples) -> None:
        self.samples, self.seed = samples, samples.seed

    def __getitem__(self, key: Any) -> dict[str, Any]:
        sample = self.samples[key]
        image = (sample["image"].float().div(255) - MEAN[:, None, None]) / STD[:, None, None]
        return {"image": image, "label": sample["label"].long()}


def batches(case: Case, context: "Context", workers: int, normalised: bool) -> tuple[Iterator[dict[str, Tensor]], int]:
    """The suite's training batches without end, and the number of classes."""
    settings = settings_of(case, data_of(context.data, 16 if context.small else 128))
    data = training_data(settings)
    samples = data.training.dataset
    assert isinstance(samples, Samples)
    given: Any = Normalised(samples) if normalised else samples
    loader = training_loader(given, range(len(samples)), case.batch, workers)

    def without_end() -> Iterator[dict[str, Tensor]]:
        epoch = 0
        while True:
            loader.sampler.set_epoch(epoch)
            yield from loader
            epoch += 1

    return without_end(), data.num_classes


def rate(case: Case, context: "Context", step: Callable[[], object]) -> tuple[float, float | None]:
    """Images a second, and the peak of the allocator in MiB."""
    warmup, timed = (2, 2) if context.small else (20, 50)
    cuda = context.device == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(warmup):
        step()
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(timed):
        step()
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return case.batch * timed / seconds, torch.cuda.max_memory_allocated() / 2**20 if cuda else None


def logits_of(network: nn.Module, images: Tensor) -> Tensor:
    found = network(images)
    logits: Tensor = found["out"] if isinstance(found, dict) else found
    return logits


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """torch's, without void."""
    return F.cross_entropy(logits, labels, ignore_index=255)


def bare_step(
    case: Case, context: "Context", workers: int, compile: bool = False, loss_of: LossFunction = cross_entropy
) -> Callable[[], None]:
    """A step of bf16, channels_last, fused AdamW."""
    given, classes = batches(case, context, workers, normalised=False)
    device = context.device
    torch.backends.cudnn.benchmark = True
    network: Any = network_of(case, classes).to(device, memory_format=torch.channels_last).train()
    network = torch.compile(network) if compile else network
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, fused=True)
    mean, std = MEAN.to(device)[:, None, None], STD.to(device)[:, None, None]

    def step() -> None:
        batch = next(given)
        images = batch["image"].to(device, non_blocking=True)
        labels = batch["label"].to(device, non_blocking=True).long()
        images = ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16):
            logits = logits_of(network, images)
        loss = loss_of(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def bare(case: Case, context: "Context", workers: int, compile: bool = False) -> tuple[float, float | None]:
    """bf16, channels_last, fused AdamW."""
    return rate(case, context, bare_step(case, context, workers, compile))


def compiled(case: Case, context: "Context", workers: int) -> tuple[float, float | None]:
    """The bare loop under torch.compile."""
    return bare(case, context, workers, compile=True)


def reference(case: Case, context: "Context", workers: int) -> tuple[float, float | None]:
    """As torchvision's references/segmentation/train.py with --amp."""
    given, classes = batches(case, context, workers, normalised=True)
    device = context.device
    torch.backends.cudnn.benchmark = False
    network = network_of(case, classes).to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
    scaler = torch.amp.GradScaler(device, enabled=device == "cuda")

    def step() -> None:
        batch = next(given)
        images, labels = batch["image"].to(device), batch["label"].to(device)
        with torch.autocast(device, torch.float16 if device == "cuda" else torch.bfloat16):
            loss = cross_entropy(logits_of(network, images), labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        loss.item()

    return rate(case, context, step)


RIVALS: dict[str, Rival] = {"bare loop": bare, "reference loop": reference}
SLOW_TO_START: dict[str, Rival] = {"bare loop, compiled": compiled}
