"""Runs one trial from its run directory. `run_trial` is the main flow of the suite: read it first.

`python -m segsuite.trial RUN_DIRECTORY` is one attempt: it ends with exit code 0 (result.json is written), 1 (failure.json says
why), or 75 (stopped on request; another attempt continues).
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from segsuite import yaml_io
from segsuite.config import TrialSettings, validate
from segsuite.errors import EXIT_DONE, ConfigError, Preempted, SegsuiteError
from segsuite.io import atomic, manifest
from segsuite.io.claims import claim
from segsuite.io.store import RunDirectory

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Frozen:
    """What trial.yaml holds: the trial as it was when it was launched."""

    id: str
    experiment: str
    arm: str
    seed: int
    settings: TrialSettings


def run_trial(folder: Path, report: Report, stop: Any) -> dict[str, Any]:
    """Runs the trial in `folder` to its end, from its last checkpoint if it has one, and returns its result.

    `report` is told of progress, `stop` (a StopRequest) ends it at the next step that can be saved. Raises ClaimError when
    another process runs the trial, Preempted when it was stopped, and what made it fail.
    """
    trial = read(folder)
    with claim(folder):
        run = RunDirectory(folder)
        run.open()
        try:
            machine = prepare(trial)
            data = build_data(trial.settings)
            network = build_network(trial, data)
            atomic.write_json(folder / "manifest.json", describe(data, network, machine))
            fit(trial, data, network, machine, run, stop, report)
            load_chosen_checkpoint(trial, network, run)
            evaluated = evaluate(trial, data, network, machine, stop, report)
            write_counts(data, evaluated, folder)
            write_samples(trial, data, network, machine, folder)
            result = summarise(trial, data, network, machine, evaluated, folder)
            run.finish(result)
        except Preempted:
            raise
        except Exception as error:
            run.fail(error)
            raise
    return result


@dataclass(frozen=True)
class Machine:
    """Where this attempt runs, and with which arithmetic."""

    device: str
    precision: str
    started: float


@dataclass(frozen=True)
class TrialData:
    """The splits of a trial and their loaders; `scored` is the split that the result is about."""

    training: Any
    validation: Any
    scored: Any
    scored_dataset: Any
    scored_indices: range
    classes: tuple[str, ...]
    fingerprint: str


def read(folder: Path) -> Frozen:
    """The frozen trial of a run directory."""
    source = yaml_io.read_file(folder / "trial.yaml")
    value = source.value
    missing = [key for key in ("id", "experiment", "arm", "seed", "settings") if key not in value]
    if missing:
        raise ConfigError(f"this is not a frozen trial: {', '.join(missing)} missing", str(folder / "trial.yaml"))
    settings = validate(value["settings"], lambda path: source.where(("settings", *path)))
    return Frozen(str(value["id"]), str(value["experiment"]), str(value["arm"]), int(value["seed"]), settings)


def prepare(trial: Frozen) -> Machine:
    """Threads, device, precision and the global seeds."""
    import pytorch_lightning as pl
    import torch

    from segsuite.train.precision import resolve_device, resolve_precision

    execution = trial.settings.execution
    torch.set_num_threads(execution.threads or len(_usable_cores()))
    device = resolve_device(execution.device)
    pl.seed_everything(trial.seed, workers=False, verbose=False)
    if device == "cuda":
        torch.backends.cudnn.benchmark = trial.settings.train.deterministic == "off"
    return Machine(device, resolve_precision(trial.settings.train.precision, device), time.time())


def build_data(settings: TrialSettings) -> TrialData:
    """Datasets and loaders. A sanity run (overfit_batches) trains and scores the same few images, unchanged."""
    from segsuite.datasets import build_dataset
    from segsuite.datasets.loader import Samples, evaluation_loader, training_loader
    from segsuite.datasets.transforms import build_transform

    options = settings.data.model_dump(exclude={"name"})
    overfit = settings.train.overfit_batches * settings.train.batch_size
    splits = {"train", settings.evaluation.split} if not overfit else {"train"}
    monitored = "train" if overfit else "val"
    datasets = {split: build_dataset(settings.data.name, split, **options) for split in sorted(splits | {monitored})}
    scored = "train" if overfit else settings.evaluation.split
    cache, workers = settings.execution.cache_images, settings.execution.workers
    transform = None if overfit else build_transform(**settings.augment.model_dump())
    train = datasets["train"]
    training = training_loader(
        Samples(train, settings.seed, transform, cache),
        range(min(overfit or len(train), len(train))),
        settings.train.batch_size,
        workers,
    )

    def unchanged(split: str) -> tuple[Any, range]:
        indices = range(min(overfit or len(datasets[split]), len(datasets[split])))
        samples = Samples(datasets[split], settings.seed, None, cache)
        return evaluation_loader(samples, indices, settings.execution.evaluation_batch_size, workers), indices

    validation, indices = unchanged(monitored)
    final, final_indices = (validation, indices) if scored == monitored else unchanged(scored)
    fingerprint = "-".join(datasets[split].fingerprint() for split in ("train", scored))
    return TrialData(training, validation, final, datasets[scored], final_indices, train.classes, fingerprint)


def build_network(trial: Frozen, data: TrialData) -> Any:
    """The network, its random weights a function of the trial's seed alone."""
    import torch

    from segsuite.models import build_model

    torch.manual_seed(trial.seed)
    settings = trial.settings.model.model_dump()
    network = build_model(settings.pop("name"), len(data.classes), **settings)
    return network.to(memory_format=torch.channels_last)


def describe(data: TrialData, network: Any, machine: Machine) -> dict[str, Any]:
    """The manifest of this attempt."""
    from segsuite.encoders.weights import file_sha256
    from segsuite.train.precision import hardware

    path = getattr(network.encoder, "weights_file", None)
    weights = {} if path is None else {Path(path).name: file_sha256(Path(path))}
    return manifest.describe(data.fingerprint, hardware(machine.device) | {"precision": machine.precision}, weights)


def fit(
    trial: Frozen, data: TrialData, network: Any, machine: Machine, run: RunDirectory, stop: Any, report: Report
) -> None:
    """Trains the network, or continues to."""
    from segsuite.losses import build_loss
    from segsuite.train.fit import fit_or_resume, total_steps
    from segsuite.train.module import SegmentationModule

    settings = trial.settings
    options = settings.loss.model_dump()
    if options.get("class_weights") is not None and len(options["class_weights"]) != len(data.classes):
        raise ConfigError(
            f"loss.class_weights has {len(options['class_weights'])} numbers, the dataset {len(data.classes)} classes",
            advice=f"give one weight for each of: {', '.join(data.classes)}",
        )
    loss = build_loss(options.pop("name"), **options)
    module = SegmentationModule(
        network, loss, data.classes, settings.train, total_steps(settings.train, len(data.training))
    )
    fit_or_resume(
        module, data.training, data.validation, run, machine.device, machine.precision,
        settings.execution.checkpoint_minutes, stop, report,
    )  # fmt: skip


def load_chosen_checkpoint(trial: Frozen, network: Any, run: RunDirectory) -> None:
    """The weights that are scored: read from the file, so that a resumed and an uninterrupted trial score the same ones."""
    from segsuite.train import checkpoint_io

    path = run.best_checkpoint if trial.settings.evaluation.checkpoint == "best" else run.last_checkpoint
    network.load_state_dict(checkpoint_io.network_weights(checkpoint_io.load(path)))


def evaluate(trial: Frozen, data: TrialData, network: Any, machine: Machine, stop: Any, report: Report) -> Any:
    """Counts of the scored split."""
    from segsuite.train.evaluation import evaluate as score

    return score(network, data.scored, len(data.classes), machine.device, machine.precision, stop, report)


def write_counts(data: TrialData, evaluated: Any, folder: Path) -> None:
    """counts.npz: per image and class TP, FP, FN, with the images' names and sequences."""
    import numpy as np

    names = [data.scored_dataset.sample_name(int(index)) for index in evaluated.samples]
    sequences = [data.scored_dataset.sequence(int(index)) for index in evaluated.samples]
    arrays = {
        "counts": evaluated.counts,
        "confusion": evaluated.scores.confusion,
        "names": np.array(names),
        "sequences": np.array(sequences),
        "classes": np.array(data.classes),
    }
    atomic.write_with(folder / "counts.npz", lambda file: np.savez_compressed(file, **arrays))


def write_samples(trial: Frozen, data: TrialData, network: Any, machine: Machine, folder: Path) -> None:
    """samples/: predictions of up to eight images, evenly spaced over the split and so the same for every trial."""
    from segsuite.train.samples import write_predictions

    write_predictions(
        network, data.scored_dataset, data.scored_indices, machine.device, machine.precision, folder / "samples"
    )


def summarise(
    trial: Frozen, data: TrialData, network: Any, machine: Machine, evaluated: Any, folder: Path
) -> dict[str, Any]:
    """What result.json holds."""
    from segsuite.io.store import events
    from segsuite.metrics import CLASS_SCORES, SCALAR_SCORES
    from segsuite.train.precision import peak_memory_bytes

    scores = evaluated.scores.to_json()
    epochs = events(folder)
    return {
        "id": trial.id,
        "experiment": trial.experiment,
        "arm": trial.arm,
        "seed": trial.seed,
        "scores": {name: scores[name] for name in SCALAR_SCORES},
        "class_scores": {name: dict(zip(data.classes, scores[name], strict=True)) for name in CLASS_SCORES},
        "absent_predicted": [data.classes[index] for index in scores["absent_predicted"]],
        "scored": {
            "split": data.scored_dataset.split,
            "images": len(evaluated.samples),
            "checkpoint": trial.settings.evaluation.checkpoint,
            "dataset_fingerprint": data.fingerprint,
        },
        "cost": {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "train_seconds": sum(event["seconds"] for event in epochs),
            "attempt_seconds": time.time() - machine.started,
            "images_per_second": sorted(event["images_per_second"] for event in epochs)[len(epochs) // 2]
            if epochs
            else None,
            "peak_memory_bytes": peak_memory_bytes(machine.device),
        },
        "epochs": len(epochs),
        "precision": machine.precision,
        "device": machine.device,
        "finished": time.time(),
    }


def _usable_cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def main(folder: Path) -> int:
    """One attempt as a process: progress as JSON lines on the real standard output, everything else on standard error."""
    from segsuite.train.callbacks import StopRequest

    stop = StopRequest()
    stop.listen()
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print belongs to the log
    if os.environ.get("SEGSUITE_LAUNCHER") == "1":
        threading.Thread(target=_stop_without_launcher, args=(stop,), daemon=True).start()
    try:
        run_trial(folder, lambda event: _tell(channel, event), stop)
    except SegsuiteError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_DONE


def _stop_without_launcher(stop: Any) -> None:
    os.read(
        0, 1
    )  # returns when the launcher has gone, however it went; sys.stdin's lock would upset the interpreter's end
    stop.set()


def _tell(channel: BinaryIO, event: dict[str, Any]) -> None:
    try:
        channel.write(json.dumps(atomic.finite(event)).encode() + b"\n")
    except (BrokenPipeError, ValueError):
        pass  # nobody listens any more; the files are the truth


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
