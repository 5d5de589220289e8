"""What a training step of the suite costs beside the same model in a bare loop on the same tensors. Goal: at most 5 %.

The suite's side is the fit of a trial: Lightning, module, loss, finite checks, callbacks. Both are timed from their
first request of a batch to their last, so that the checkpoint at an epoch's end is in neither.
"""

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import timing
import torch
from torch.nn import functional as F

from segsuite.config import Optimizer, Schedule, Train
from segsuite.io.store import RunDirectory
from segsuite.losses import build_loss
from segsuite.models import build_model
from segsuite.train.callbacks import StopRequest
from segsuite.train.fit import fit_or_resume
from segsuite.train.fp32_backward import Fp32Backward
from segsuite.train.module import SegmentationModule
from segsuite.train.precision import resolve_precision

STEPS = 6
CASES = {
    "tf_efficientnet_lite0, 8 x 256 x 320, 11 classes": (
        "tf_efficientnet_lite0",
        (128, 96, 64, 32, 16),
        8,
        256,
        320,
        11,
    ),
    "resnet18, 4 x 96 x 128, 8 classes": ("resnet18", (64, 48, 32, 24, 16), 4, 96, 128, 8),
}
SMALL = {"resnet18, 2 x 32 x 32, 2 classes": ("resnet18", (16, 16, 16, 16, 16), 2, 32, 32, 2)}


class SameBatch(torch.utils.data.IterableDataset[dict[str, torch.Tensor]]):
    """One batch, again and again, and the times at which it was asked for."""

    def __init__(self, batch: dict[str, torch.Tensor]) -> None:
        self.batch, self.times = batch, list[float]()

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Any:
        self.times.clear()
        for _ in range(STEPS):
            self.times.append(time.perf_counter())
            yield self.batch

    @property
    def seconds_a_step(self) -> float:
        return (self.times[-1] - self.times[0]) / (STEPS - 1)


def network(case: tuple[Any, ...]) -> Any:
    encoder, decoder_channels, _, _, _, classes = case
    torch.manual_seed(0)
    model = build_model("unet", classes, encoder=encoder, decoder_channels=decoder_channels)
    return model.to(memory_format=torch.channels_last).train()


def batch_of(case: tuple[Any, ...]) -> dict[str, torch.Tensor]:
    _, _, batch, height, width, classes = case
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, classes, (batch, height, width), dtype=torch.uint8, generator=generator)
    return {"image": images, "label": labels}


def bare(case: tuple[Any, ...], bf16: bool) -> Any:
    model, batches = network(case), SameBatch(batch_of(case))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)

    def steps() -> float:
        for batch in batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16), Fp32Backward():
                logits = model(batch["image"])
            loss = F.cross_entropy(logits.float(), batch["label"].long(), ignore_index=255)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return batches.seconds_a_step

    return steps


def suite(case: tuple[Any, ...], precision: str, folder: Path) -> Any:
    batches = SameBatch(batch_of(case))
    settings = Train(epochs=1, batch_size=case[2], optimizer=Optimizer(), schedule=Schedule(), validate_every=2)
    model = network(case)

    def steps() -> float:
        run = RunDirectory(folder / str(time.monotonic_ns()))
        module = SegmentationModule(
            model, build_loss("cross_entropy"), [str(i) for i in range(case[5])], settings, STEPS
        )
        loader: Any = torch.utils.data.DataLoader(batches, batch_size=None)
        run.folder.mkdir()
        fit_or_resume(module, loader, loader, run, "cpu", precision, 60.0, StopRequest(), lambda event: None)
        return batches.seconds_a_step

    return steps


def main() -> None:
    options = timing.options_of(__doc__, 5, torch.get_num_threads()).parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", ".*IterableDataset.*")  # its length is right
    precision = resolve_precision("auto", "cpu")
    seconds: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, case in (SMALL if options.small else CASES).items():
            timing.told(name)
            functions = {
                "bare loop": bare(case, precision == "bf16-mixed"),
                "segsuite": suite(case, precision, Path(folder)),
            }
            seconds[name] = timing.in_milliseconds(timing.side_by_side(functions, options.rounds))
    table = timing.Table("A training step", timing.MILLISECONDS, "bare loop", seconds)
    timing.show("overhead", options, [table], [f"{precision}, mean of {STEPS - 1} steps in each round"])


if __name__ == "__main__":
    main()
