"""`python -m segsuite.trial.profile RUN_DIRECTORY`: trains a trial for some steps and prints where their time goes.

Of the trial only trial.yaml is read; all that is written goes into a folder that is deleted afterwards.
"""

import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from segsuite.config import Execution
from segsuite.io.store import RunDirectory
from segsuite.losses import build_loss
from segsuite.losses.full_resolution import build_fused_loss
from segsuite.losses.gradient_norm import MeasuredLoss
from segsuite.metrics.confusion import confusion_matrix, predict
from segsuite.models.network import SegmentationNetwork
from segsuite.train.callbacks import StopRequest
from segsuite.train.distributed import ALONE
from segsuite.train.evaluation import AUTOCAST
from segsuite.train.fit import fit_or_resume
from segsuite.train.module import SegmentationModule
from segsuite.train.precision import matmul_flops, peak_memory_bytes, resolve_device
from segsuite.train.step_profile import StepProfile
from segsuite.trial import loss_options, prepare
from segsuite.trial.data import TrialData, build_data
from segsuite.trial.frozen import read
from segsuite.trial.networks import build_network

WARMUP, STEPS = 5, 20
VALIDATED = 5
"""Batches of the validation."""


def profile(folder: Path) -> dict[str, Any]:
    """Milliseconds a step of each part, and what the step makes of the machine."""
    trial = read(folder)
    settings = trial.settings.model_copy(update={"execution": _alone(trial.settings.execution)})
    device = resolve_device(settings.execution.device)
    machine = prepare(trial, device, ALONE)
    data = build_data(settings, device=device)
    network = build_network(settings, data.num_classes)
    options, _ = loss_options(settings, data)
    build = build_fused_loss if settings.train.full_resolution == "fused" else build_loss
    # As many epochs as the steps take, with no validation in between.
    train = settings.train.model_copy(update={"epochs": WARMUP + STEPS, "validate_every": WARMUP + STEPS + 1})
    module = SegmentationModule(
        network, MeasuredLoss(build(**options)), data.classes, train, WARMUP + STEPS, data=data.on_device
    )
    clock, stop = StepProfile(WARMUP), StopRequest()
    with tempfile.TemporaryDirectory() as temporary:
        run = RunDirectory(Path(temporary) / "trial")
        run.folder.mkdir()
        fit_or_resume(
            *(module, data.training, data.validation, run, device, machine.precision, 1e6, stop),
            *(lambda event: None, [clock]),
        )
    of_image = _validation(module.network, data, device, machine.precision)
    steps = max(1, clock.steps)
    batch = settings.train.batch_size * settings.train.accumulate
    flops = _operations(network, settings.augment.crop or _size(data), settings.train.batch_size, device)
    peak = matmul_flops(device, AUTOCAST.get(machine.precision, torch.float32))
    seconds = sum(clock.seconds.values()) / steps
    return {
        "device": device,
        "precision": machine.precision,
        "threads": torch.get_num_threads(),
        "steps": clock.steps,
        "milliseconds": {part: 1e3 * value / steps for part, value in clock.seconds.items()},
        "images_per_second": batch / seconds if seconds else 0.0,
        "share_of_peak": settings.train.accumulate * flops / seconds / peak if seconds else 0.0,
        "peak_flops": peak,
        "validation_milliseconds": of_image,
        "peak_memory_bytes": peak_memory_bytes(device),
    }


@torch.inference_mode()
def _validation(network: SegmentationNetwork, data: TrialData, device: str, precision: str) -> dict[str, float]:
    """Milliseconds an image of a validation: there, and nowhere in a step, predictions are counted."""
    network.eval().to(device)
    seconds, images, begun = {"forward": 0.0, "metric": 0.0}, 0, False
    for batch in itertools.islice(data.validation, 1 + VALIDATED):
        for group in batch:
            pictures, labels = group["image"].to(device), group["label"].to(device)
            times = [_now(device)]
            with torch.autocast(device, AUTOCAST.get(precision), enabled=precision in AUTOCAST):
                logits_NCHW = network(pictures)
            times.append(_now(device))
            confusion_matrix(predict(logits_NCHW), labels, data.num_classes)
            times.append(_now(device))
            if begun:  # the first batch is to warm up
                images += len(labels)
                for part, start, end in zip(seconds, times, times[1:], strict=False):
                    seconds[part] += end - start
        begun = True
    return {part: 1e3 * value / images for part, value in seconds.items()} if images else {}


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _alone(execution: Execution) -> Execution:
    return execution.model_copy(update={"nodes": 1, "devices": 1, "cuda_graphs": False})


def _size(data: Any) -> tuple[int, int]:
    image, _ = data.scored_dataset.read(0)
    return image.shape[0], image.shape[1]


def _operations(network: SegmentationNetwork, size: tuple[int, int], batch: int, device: str) -> float:
    """Floating-point operations of forward and backward."""
    network.train().to(device)
    images_NCHW = torch.zeros(batch, 3, *size, dtype=torch.uint8, device=device)
    with FlopCounterMode(display=False) as counter:
        network(images_NCHW).sum().backward()
    return float(counter.get_total_flops())


def main(folder: Path) -> int:
    """Prints JSON on standard output."""
    print(json.dumps(profile(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
