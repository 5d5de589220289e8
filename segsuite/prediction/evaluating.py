"""Scores finished trials anew: on another split, at another output stride, over changed views. Trains nothing, and
leaves the trial's own result as it is."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segsuite.config import Data, TrialSettings
from segsuite.encoders.weight_files import file_sha256
from segsuite.errors import ConfigError
from segsuite.io import atomic
from segsuite.io.names import check_slug
from segsuite.io.numbers import finite
from segsuite.io.store import RunDirectory, read_json
from segsuite.prediction.loading import precision_of, refuse_missing
from segsuite.prediction.predictor import PLAIN, View, mean_probabilities
from segsuite.train.callbacks import StopRequest
from segsuite.train.evaluation import evaluate
from segsuite.train.precision import resolve_device
from segsuite.train.samples import write_predictions
from segsuite.trial import frozen
from segsuite.trial.data import build_data
from segsuite.trial.networks import scored_checkpoint, trained_network
from segsuite.trial.result import summarise, write_counts

FOLDER = "evaluations"
"""Of a run directory: NAME/result.json, counts.npz, histograms.npz and samples/, as the trial's own are."""
SCORINGS = "scorings.jsonl"
"""A line each time that an evaluation was made: whoever looks at a test split often has chosen on it."""

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Wanted:
    """What is scored: `split`, at an `output_stride` (None: the trial's), as the mean over `views`."""

    split: str = "test"
    output_stride: int | None = None
    views: tuple[View, ...] = PLAIN
    called: str = ""

    @property
    def name(self) -> str:
        """The folder of the evaluation: what was `called`, or the split and what differs from the trial's scoring.

        >>> Wanted("test", views=(View(), View(1.5, True))).name
        'test-flip-1-1.5'
        """
        if self.called:
            return check_slug(self.called, "the name of the evaluation")
        stride = [] if self.output_stride is None else [f"os{self.output_stride}"]
        flip = ["flip"] if any(view.mirrored for view in self.views) else []
        scales = list(dict.fromkeys(f"{view.scale:g}" for view in self.views))
        return "-".join([self.split, *stride, *flip, *([] if scales == ["1"] else scales)])

    def settings(self, trial: TrialSettings) -> TrialSettings:
        """The trial's, with what is scored exchanged."""
        changes: dict[str, Any] = {"split": self.split}
        if self.output_stride is not None:
            changes["output_stride"] = self.output_stride
        return trial.model_copy(update={"evaluation": trial.evaluation.model_copy(update=changes)})


class Averaged(nn.Module):
    """Logarithms of the mean probabilities over views, which take the place of logits: their softmax is that mean."""

    def __init__(self, network: nn.Module, views: tuple[View, ...]) -> None:
        super().__init__()
        self.network, self.views = network, views

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """(N, C, H, W) of images (N, 3, H, W)."""
        mean_NCHW = mean_probabilities([self.network], images_NCHW, self.views)
        # Not below what float32 holds: the logarithm of 0 is no number that can be compared.
        return mean_NCHW.clamp_min(torch.finfo(torch.float32).tiny).log()


def evaluate_trial(
    folder: Path,
    wanted: Wanted,
    device: str = "auto",
    report: Report = lambda event: None,
    moved: Data | None = None,
) -> dict[str, Any]:
    """The result of the evaluation, which is also written below `folder`; see FOLDER. With the same weights, split and
    arithmetic its numbers are those of the trial itself, to the last digit. `moved`: the trial's data settings with
    another root, where its data have moved.

    Raises ConfigError when the trial has not finished or has no weights any more, DataError when the data are not there
    or the training data are no longer those that it saw.
    """
    trial = frozen.read(folder)
    settings = wanted.settings(trial.settings)
    if moved is not None:
        settings = settings.model_copy(update={"data": moved})
    if settings.train.overfit_batches:
        raise ConfigError(
            "a sanity run (train.overfit_batches) is scored on its training images alone", str(folder), "train it"
        )
    device = resolve_device(device)
    refuse_missing(device)
    own = read_json(folder / "result.json") or {}
    data = build_data(settings, device=device, report=report)
    network: nn.Module = trained_network(folder, settings, data.num_classes)
    weights = file_sha256(scored_checkpoint(settings, RunDirectory(folder)))
    if wanted.views != PLAIN:
        network = Averaged(network, wanted.views)
    precision = precision_of(str(own.get("precision") or "fp32"), device)
    out = folder / FOLDER / wanted.name
    atomic.make_folder(out)
    evaluated = evaluate(network, data.scored, data.num_classes, device, precision, StopRequest(), report)
    write_counts(data, evaluated, out)
    write_predictions(network, data.scored_dataset, data.scored_indices, device, precision, out / "samples")
    result = summarise(trial, data, network, device, precision, evaluated, folder)
    result["evaluation"] = {**_meaning(wanted, settings), "weights_sha256": weights}
    for name in ("train_seconds", "attempt_seconds"):
        if name in own.get("cost", {}):
            result["cost"][name] = own["cost"][name]
    atomic.append_line(out / SCORINGS, _line(result))
    atomic.write_json(out / "result.json", result)
    return result


def _line(result: dict[str, Any]) -> str:
    when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    facts = {"time": when, "miou": result["scores"]["miou"], **result["evaluation"], **result["scored"]}
    return json.dumps(finite(facts))


def made(folder: Path, wanted: Wanted) -> dict[str, Any] | None:
    """The result of this evaluation where the trial's weights as they are now have been evaluated so, else None. Raises
    ConfigError where an evaluation of that name is of something else."""
    result = read_json(folder / FOLDER / wanted.name / "result.json") or {}
    found = result.get("evaluation")
    if not isinstance(found, dict):
        return None
    settings = wanted.settings(frozen.read(folder).settings)
    meant = _meaning(wanted, settings)
    other = [key for key, value in meant.items() if found.get(key) != value]
    if other:
        raise ConfigError(
            f"the evaluation '{wanted.name}' is of another {' and '.join(other)}: {found.get(other[0])}",
            str(folder / FOLDER / wanted.name),
            "give this one another --name",
        )
    path = scored_checkpoint(settings, RunDirectory(folder))
    return result if path.exists() and found.get("weights_sha256") == file_sha256(path) else None


def _meaning(wanted: Wanted, settings: TrialSettings) -> dict[str, Any]:
    return {
        "name": wanted.name,
        "split": wanted.split,
        "output_stride": settings.evaluation.output_stride,
        "views": [{"scale": view.scale, "mirrored": view.mirrored} for view in wanted.views],
    }


def times_scored(folder: Path, name: str) -> int:
    """How often the evaluation `name` of a trial was made."""
    try:
        return len((folder / FOLDER / name / SCORINGS).read_text().splitlines())
    except OSError:
        return 0
