"""Images a second of a training by the suite's own path beside what one would write instead, on the same images."""

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning.callbacks import Callback
from torch.utils.flop_counter import FlopCounterMode

from gpu_sections import rivals
from gpu_sections.cases import CASES, SMALL, Case, data_of, settings_of
from segsuite.config import TrialSettings
from segsuite.io.store import RunDirectory
from segsuite.losses import build_loss
from segsuite.losses.gradient_norm import MeasuredLoss
from segsuite.train.callbacks import StopRequest
from segsuite.train.fit import fit_or_resume
from segsuite.train.module import SegmentationModule
from segsuite.train.precision import resolve_precision
from segsuite.trial import loss_options
from segsuite.trial.data import build_data
from segsuite.trial.networks import build_network

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

TABLE = "Training, images/s"
WARMUP, TIMED = 20, 50


class Clock(Callback):
    """Times the steps after the first `warmup`, the device waited for at both ends; counts in how many places a step
    makes the host wait, in the `watched` steps before."""

    def __init__(
        self,
        device: str,
        warmup: int,
        timed: int,
        watched: int = 3,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._now = now
        self.device, self.first, self.last, self.watched = device, warmup, warmup + timed, watched
        self.seconds = self.peak = self.first_seconds = 0.0
        self._made = now()
        self.waits: list[str] = []
        self._start = 0.0
        self._listening: Any = None

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = trainer.global_step
        if step == 1:
            self._wait()
            self.first_seconds = self._now() - self._made
        if self.device == "cuda" and step == self.first - self.watched - 1:
            self._listen()
        if step == self.first - 1:
            self._stop_listening()
        if step == self.first:
            self._wait()
            self._start = self._now()
        if step == self.last:
            self._wait()
            self.seconds = self._now() - self._start
            self.peak = torch.cuda.max_memory_allocated() / 2**20 if self.device == "cuda" else 0.0

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def _listen(self) -> None:
        self._listening = warnings.catch_warnings(record=True)
        self._caught = self._listening.__enter__()
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")

    def _stop_listening(self) -> None:
        if self._listening is None:
            return
        torch.cuda.set_sync_debug_mode("default")
        self._listening.__exit__(None, None, None)
        found = [one for one in self._caught if "called a synchronizing" in str(one.message)]
        self.waits = [f"{Path(one.filename).name}:{one.lineno}" for one in found]


def fit(settings: TrialSettings, device: str, clock: Clock, loaders: Any = None) -> None:
    """The fit of a trial, its own loaders unless others are given, until the clock has what it wants."""
    data = build_data(settings, device=device)
    network = build_network(settings, data.num_classes)
    options, _ = loss_options(settings, data)
    loss = MeasuredLoss(build_loss(**options))
    graphs = settings.execution.cuda_graphs
    module = SegmentationModule(
        network, loss, data.classes, settings.train, clock.last, data=data.on_device, graphs=graphs
    )
    precision = resolve_precision(settings.train.precision, device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder) / "trial")
        run.folder.mkdir()
        training = data.training if loaders is None else loaders
        fit_or_resume(
            *(module, training, data.validation, run, device, precision, 60.0),
            *(StopRequest(), lambda event: None, [clock]),
        )


def suite(case: Case, context: "Context", records: "Records", name: str, **execution: Any) -> None:
    """A row of the suite's path."""
    warmup, timed = (4, 2) if context.small else (WARMUP, TIMED)
    steps = warmup + timed
    settings = settings_of(
        case,
        data_of(context.data, 16 if context.small else 128),
        train={"epochs": 1000, "max_steps": steps, "validate_every": 1000},
        execution={"device": context.device, **execution},
    )
    clock = Clock(context.device, warmup, timed)
    fit(settings, context.device, clock)
    records.add(TABLE, case.name, **{name: case.batch * timed / clock.seconds})
    records.add("Seconds before the first step, and of it", case.name, **{name: clock.first_seconds})
    records.add("Peak memory, MiB", case.name, **{name: clock.peak})
    if context.device == "cuda":
        records.add("Places where a step waits for the device", case.name, **{name: len(clock.waits) / clock.watched})
        records.add("Where a step waits", f"{case.name}, {name}", at=", ".join(sorted(set(clock.waits)))[:300])


def operations(case: Case, context: "Context") -> float:
    """Floating-point operations of a step, forward and backward, by torch's counter."""
    settings = settings_of(case, data_of(None, 8))
    network = build_network(settings, 11).to(context.device).train()
    images = torch.zeros(case.batch, 3, *case.crop, device=context.device)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    return float(counter.get_total_flops())


def rival(case: Case, context: "Context", records: "Records", name: str, loop: rivals.Rival, workers: int) -> None:
    """A row of another loop."""
    try:
        rate, peak = loop(case, context, workers)
    except Exception as error:
        records.add("Not run", f"{case.name}, {name}", why=f"{type(error).__name__}: {error}"[:300])
        return
    records.add(TABLE, case.name, **{name: rate})
    records.add("Peak memory, MiB", case.name, **{name: peak})


FORMS: dict[str, dict[str, Any]] = {
    "segsuite run": {},
    "segsuite run, graphs": {"cuda_graphs": True},
    "segsuite run, data on the CPU": {"data_on_device": False, "workers": 8},
}


def main(context: "Context", records: "Records") -> None:
    """Column by column, what counts most first: the time may not suffice for all."""
    cases = SMALL if context.small else CASES
    own, graphs, on_cpu = FORMS.items()
    bare, reference = rivals.RIVALS.items()
    for name, what in (own, bare, graphs, on_cpu, reference):
        for case in cases:
            if isinstance(what, dict):
                execution = {**what, "workers": 0} if context.small and "workers" in what else what
                suite(case, context, records, name, **execution)
            else:
                rival(case, context, records, name, what, 0 if context.small else 8)
    for case in cases:
        records.add("Operations", case.name, **{"TFLOP a step": operations(case, context) / 1e12})
