"""Trackers: they mirror a trial to W&B or TensorBoard while it runs. Imports no torch and no tracker.

The files of the run directory are the truth. A tracker may fail, be slow or be switched off: it says so once and the
training goes on. Only the process of a trial uses one; a launcher would hand its connection down to its children.
"""

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.config import TrialSettings
from segsuite.config.tracking import axis_key
from segsuite.errors import EXIT_FAILED, EXIT_PREEMPTED, Preempted, RetryAlone, SmallerBatch
from segsuite.families import resolve
from segsuite.io import trial_warnings
from segsuite.io.wandb_environment import first_line

Report = Callable[[dict[str, Any]], None]
Palette = Sequence[tuple[int, int, int]]

TRACKERS: dict[str, str] = {
    "none": "segsuite.train.tracking:Tracker",
    "wandb": "segsuite.train.wandb_tracker:WandbTracker",
    "tensorboard": "segsuite.train.tensorboard_tracker:TensorBoardTracker",
}


@dataclass(frozen=True)
class Subject:
    """The trial that is tracked; `differences` are the settings that the experiment compares."""

    id: str
    experiment: str
    arm: str
    seed: int
    differences: Mapping[str, Any]
    settings: TrialSettings
    folder: Path
    smaller_batches: str = ""
    """What it is trained with because the memory was too small, in words."""


@dataclass(frozen=True)
class Shown:
    """An image that is shown: `image` (H, W, 3) uint8 or float in 0..1, `label` (H, W) class ids with 255 void."""

    name: str
    image: NDArray[Any]
    label: NDArray[np.uint8]


@dataclass(frozen=True)
class Scored:
    """An image with the prediction of the scored checkpoint, class ids (H, W), and its scores."""

    shown: Shown
    prediction: NDArray[np.uint8]
    scores: Mapping[str, float]


class Tracker:
    """What every tracker is; this one tracks nothing. No method raises, none touches a global random generator."""

    images = 0
    image_times = 1

    def __init__(self, subject: Subject, report: Report) -> None:
        self.subject, self._report = subject, report
        self._warned = False

    def start(self) -> None:
        """Begins, or continues what an earlier attempt began."""

    def described(self, manifest: Mapping[str, Any]) -> None:
        """What the attempt runs with is known: what manifest.json holds."""

    def epoch(self, event: Mapping[str, Any]) -> None:
        """An epoch is done: its line in events.jsonl."""

    def truth(self, shown: Sequence[Shown], classes: Sequence[str]) -> None:
        """Photos and ground truth, once an attempt."""

    def predictions(self, names: Sequence[str], labels: Sequence[NDArray[np.uint8]], palette: Palette) -> None:
        """Predicted class ids (H, W) of the images of `truth`."""

    def scored(self, read: Callable[[int], Sequence[Scored]], classes: Sequence[str]) -> None:
        """The trial was scored: `read` gives up to so many of the images that samples/ holds."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """The trial has a result: what result.json holds."""

    def end(self, exit_code: int) -> None:
        """The attempt is over: 0 with a result, 75 preempted, 1 failed. The last call."""

    def following(self, report: Report, peak_memory_bytes: Callable[[], int | None] = lambda: None) -> Report:
        """`report`, which this tracker listens to."""

        def told(event: dict[str, Any]) -> None:
            report(event)
            if event.get("phase") == "epoch":
                self.epoch({**event, "peak_memory_bytes": peak_memory_bytes()})

        return told

    def safely(self, doing: str, call: Callable[[], object], seconds: float = 60.0) -> bool:
        """Whether `call` came back within `seconds` and without an error; the first that does not is warned of.

        In a thread of its own: a library that waits for a dead server must not hold up a training.
        """
        failed: list[BaseException] = []

        def run() -> None:
            try:
                call()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run, daemon=True, name="tracker")
        thread.start()
        thread.join(seconds)
        if failed:
            self.warn(f"{doing} failed ({type(failed[0]).__name__}: {first_line(failed[0])})")
        elif thread.is_alive():
            self.warn(f"{doing} took longer than {seconds:.0f} s")
        return not failed and not thread.is_alive()

    def warn(self, text: str) -> None:
        """Says so once an attempt, in one line; what follows is most often of the same cause. All of it is recorded."""
        trial_warnings.note(self.subject.folder, text)
        if not self._warned:
            self._warned = True
            self._report({"phase": "warning", "warning": f"{text}; the training goes on, its files are complete"})


@contextlib.contextmanager
def tracked(subject: Subject, report: Report) -> Iterator[Tracker]:
    """The tracker of a trial, begun before the body and ended after it, however it ends."""
    tracker: Tracker = resolve("tracker", TRACKERS, subject.settings.tracker)(subject, report)
    tracker.start()
    exit_code = EXIT_FAILED
    try:
        yield tracker
        exit_code = 0
    except (Preempted, SmallerBatch, RetryAlone):
        exit_code = EXIT_PREEMPTED
        raise
    finally:
        tracker.end(exit_code)


def epoch_values(event: Mapping[str, Any]) -> dict[str, float | int]:
    """The numbers of an event by the names that trackers show; what is not a finite number is left out."""
    values = {
        "epoch": event["epoch"],
        "trainer/global_step": event["step"],
        "train/loss": event.get("loss"),
        "train/gradient_norm": event.get("gradient_norm"),
        "train/learning_rate": event.get("learning_rate"),
        "train/images_per_second": event.get("images_per_second"),
        "train/seconds": event.get("seconds"),
        "memory/peak_bytes": event.get("peak_memory_bytes"),
        "val/loss": event.get("validation_loss"),
        "val/miou": event.get("miou"),
        "val/pixel_accuracy": event.get("pixel_accuracy"),
    }
    values |= {f"val_iou/{name}": value for name, value in (event.get("iou") or {}).items()}
    return finite_numbers(values)


def result_values(result: Mapping[str, Any]) -> dict[str, float | int]:
    """The numbers of a result by the names that trackers show; `complete` says that nothing is missing."""
    values: dict[str, Any] = {f"final/{name}": value for name, value in result["scores"].items()}
    values |= {f"final_iou/{name}": value for name, value in result["class_scores"]["iou"].items()}
    values |= {f"cost/{name}": value for name, value in result["cost"].items()}
    return {**finite_numbers(values), "epochs": result["epochs"], "complete": 1}


def finite_numbers(values: Mapping[str, Any]) -> dict[str, float | int]:
    """The entries that are finite numbers; lists, texts, None and NaN are no point of a curve."""
    return {name: value for name, value in values.items() if isinstance(value, int | float) and math.isfinite(value)}


def axes(subject: Subject) -> dict[str, Any]:
    """Flat keys without dots: what dashboards group and filter by. Nested and dotted keys are ambiguous there.

    The usual ones always, and one for each setting that the experiment compares, named by its last words.
    """
    settings = subject.settings
    found: dict[str, Any] = {
        "experiment": subject.experiment,
        "arm": subject.arm,
        "seed": subject.seed,
        "model": settings.model.name,
        "encoder": getattr(settings.model, "encoder", None),
        "upsampler": getattr(settings.model, "upsampler", None),
        "loss": getattr(settings.loss, "name", None),
        "dataset": settings.data.name,
    }
    if subject.smaller_batches:
        found["smaller_batches"] = subject.smaller_batches
    for path, value in subject.differences.items():
        found.setdefault(axis_key(path), value if isinstance(value, str | int | float | bool) else str(value))
    return {key: value for key, value in found.items() if value is not None}
