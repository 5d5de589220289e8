"""Runs one trial from its run directory. `run_trial` is the main flow of the suite: read it first."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from segsuite.config import TrialSettings
from segsuite.datasets.loader import Samples
from segsuite.datasets.on_device import DrawnSamples
from segsuite.errors import ConfigError, Preempted, RetryAlone, SegsuiteError, SmallerBatch
from segsuite.io import manifest, trial_warnings
from segsuite.io.claims import ClaimLost
from segsuite.io.machine import cores, packed, side_by_side
from segsuite.io.store import RunDirectory, batches_in_words
from segsuite.losses import build_loss
from segsuite.losses.full_resolution import build_fused_loss
from segsuite.losses.gradient_norm import MeasuredLoss
from segsuite.models.network import SegmentationNetwork
from segsuite.train import checkpoint_io
from segsuite.train.callbacks import StopRequest
from segsuite.train.checkerboard import CheckerboardMeasurement, measure_at_the_end
from segsuite.train.distributed import Ranks, joined
from segsuite.train.evaluation import evaluate
from segsuite.train.fit import fit_or_resume, total_steps
from segsuite.train.module import SegmentationModule
from segsuite.train.precision import hardware, peak_memory_bytes, resolve_device, resolve_precision, taken_memory_bytes
from segsuite.train.samples import read_predictions, write_predictions
from segsuite.train.shown_images import ShownImages
from segsuite.train.tracking import Subject, Tracker, tracked
from segsuite.trial.attempts import record_attempt
from segsuite.trial.batch_of_one import check_normalised
from segsuite.trial.data import TrialData, build_data, refuse_other_data
from segsuite.trial.frozen import Frozen, read
from segsuite.trial.label_fit import fit_to_labels
from segsuite.trial.loss import resolve_loss
from segsuite.trial.networks import build_network, scored_checkpoint
from segsuite.trial.ranks import claimed
from segsuite.trial.repair import set_aside_damaged, whole_result
from segsuite.trial.result import summarise, write_counts
from segsuite.trial.smaller_batch import halved_when_out_of_memory, keep_steps, leave_when_beside_others
from segsuite.trial.threads import Threads, choose_threads, threads_so_far

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Machine:
    """Where this attempt runs, and with which arithmetic."""

    device: str
    precision: str
    ranks: Ranks
    threads: Threads
    started: float = field(default_factory=time.monotonic)
    """By a clock that nobody sets: the wall clock may jump."""

    def seconds(self) -> float:
        """How long the attempt has run."""
        return time.monotonic() - self.started


def run_trial(folder: Path, report: Report, stop: StopRequest) -> dict[str, Any]:
    """Runs the trial in `folder` to its end, from its last checkpoint if it has one, and returns its result.

    `report` is told of progress; `stop` ends it at the next step that can be saved. Raises ClaimError when another
    process runs the trial, Preempted when it was stopped, and what made it fail, which is also recorded. Of several
    ranks all call this, and the first one returns the result.
    """
    trial = read(folder)
    device = resolve_device(trial.settings.execution.device)
    with joined(trial.settings.execution, device) as ranks, claimed(folder, ranks) as claim:
        run = RunDirectory(folder, claim)
        if (finished := ranks.of_first(whole_result(folder) if ranks.is_first else None)) is not None:
            return finished  # by another launcher, since this one looked
        if not ranks.is_first:
            return follow(trial, device, ranks, run, stop)
        with tracked(subject(trial, folder), report) as tracker, recorded(trial, run, stop, ranks):
            run.open()
            set_aside_damaged(trial.settings, run)
            machine = prepare(trial, device, ranks, threads_so_far(run))
            tell_threads(machine.threads, folder, report)
            data = build_data(trial.settings, ranks, device, report)
            refuse_other_data(data.fingerprint, run)
            network = build_network(trial.settings, data.num_classes)
            check_normalised(network, data, trial.settings)
            fit_to_labels(network, data, run)
            described = describe(trial, data, network, machine)
            record_attempt(run, described, report)
            tracker.described(described)
            of_loss = train(trial, data, network, machine, run, stop, report, tracker)
            ranks.leave()  # the first one scores alone
            network = network_to_score(trial, network, data)
            load_chosen_checkpoint(trial, network, run)
            result = score(trial, data, network, machine, run, stop, report) | of_loss
            run.finish(result)
            predictions = partial(read_predictions, data.scored_dataset, data.scored_indices, folder / "samples")
            tracker.scored(predictions, data.classes)
            tracker.finish(result)
            if trial.settings.execution.keep == "weights":
                drop_state(run)
    return result


def drop_state(run: RunDirectory) -> None:
    """Leaves the weights alone of the checkpoints. A disk that refuses costs space, and no result."""
    try:
        checkpoint_io.keep_weights(run)
    except SegsuiteError as error:
        trial_warnings.note(run.folder, f"the checkpoints were kept as they are: {error.what}", lasting=True)


def follow(trial: Frozen, device: str, ranks: Ranks, run: RunDirectory, stop: StopRequest) -> dict[str, Any]:
    """What the ranks beside the first do: they train with it, and write nothing but what makes them fail."""
    with recorded(trial, run, stop, ranks):
        machine = prepare(trial, device, ranks, threads_so_far(run))
        data = build_data(trial.settings, ranks, device)
        network = build_network(trial.settings, data.num_classes)
        fit_to_labels(network, data, run)
        untold = Tracker(subject(trial, run.folder), lambda event: None)
        train(trial, data, network, machine, run, stop, lambda event: None, untold)
        ranks.leave()
    return {}


@contextlib.contextmanager
def recorded(trial: Frozen, run: RunDirectory, stop: StopRequest, ranks: Ranks) -> Iterator[None]:
    """Records in the run directory what makes the body fail. Being stopped is no failure, and of several ranks the
    first that fails is the cause. Nor is a lack of memory that smaller batches may mend, or that another process has
    taken over, whose run directory it is then."""
    try:
        yield
    except (Preempted, SmallerBatch, RetryAlone, ClaimLost):
        raise
    except Exception as error:
        run.check_claim()  # a temporary file that another process has removed is not what is to be told
        leave_when_beside_others(error, trial, run.folder)
        stop.leave_if_set()  # a cluster may have ended processes that this one needs; a real fault comes again
        if ranks.world == 1 or not (run.folder / "failure.json").exists():
            run.fail(error)
        raise


def subject(trial: Frozen, folder: Path) -> Subject:
    """The trial as its tracker knows it."""
    smaller = batches_in_words(trial.smaller_batch) if trial.smaller_batch else ""
    return Subject(
        trial.id, trial.experiment, trial.arm, trial.seed, trial.differences, trial.settings, folder, smaller
    )


def prepare(trial: Frozen, device: str, ranks: Ranks, earlier_threads: int | None = None) -> Machine:
    """Threads, of which a training to be continued had `earlier_threads`; device, precision and the global seeds."""
    started = time.monotonic()
    threads = choose_threads(trial.settings.execution, device, earlier_threads)
    torch.set_num_threads(threads.number)
    cv2.setNumThreads(threads.number)
    pl.seed_everything(trial.seed, workers=False, verbose=False)
    return Machine(device, resolve_precision(trial.settings.train.precision, device), ranks, threads, started)


def tell_threads(threads: Threads, folder: Path, report: Report) -> None:
    """Says what was chosen for a person, and records what is no longer repeatable."""
    if threads.note:
        report({"phase": "note", "note": threads.note})
    if threads.warning:
        trial_warnings.note(folder, threads.warning, lasting=True)
        report({"phase": "warning", "warning": threads.warning})


def describe(trial: Frozen, data: TrialData, network: SegmentationNetwork, machine: Machine) -> dict[str, Any]:
    """The manifest of this attempt."""
    return manifest.describe(
        data.fingerprint,
        hardware(machine.device)
        | {"precision": machine.precision, "packed": packed(), "data_on_device": data.on_device is not None}
        | {"cores": cores(), "side_by_side": side_by_side(), "threads_because": machine.threads.note},
        getattr(network.encoder, "loaded_weights", {}),
        data.facts(trial.settings),
    )


def train(
    trial: Frozen,
    data: TrialData,
    network: SegmentationNetwork,
    machine: Machine,
    run: RunDirectory,
    stop: StopRequest,
    report: Report,
    tracker: Tracker,
) -> dict[str, Any]:
    """Trains the network, or continues to; what result.json says of the loss."""
    settings, ranks = trial.settings, machine.ranks
    options, weights = loss_options(settings, data)
    build = build_fused_loss if settings.train.full_resolution == "fused" else build_loss
    loss = MeasuredLoss(build(**options), settings.train.match_gradient_norm)
    keep_steps(trial, data.training)
    steps = total_steps(settings.train, len(data.training))
    graphs = settings.execution.cuda_graphs and settings.augment.crop is not None
    module = SegmentationModule(network, loss, data.classes, settings.train, steps, ranks, data.on_device, graphs)
    minutes = settings.execution.checkpoint_minutes
    told = tracker.following(with_memory(report, machine.device), lambda: peak_memory_bytes(machine.device))
    # Spread over GPUs, a network predicts on all ranks at once, not on the first alone.
    is_shown = tracker.images and ranks.strategy == "ddp"
    watching: list[Callback] = [ShownImages(tracker, data.validation, machine.precision)] if is_shown else []
    if settings.checkerboard.measure and ranks.is_first:
        watching.append(CheckerboardMeasurement(run.folder, data.validation, settings.checkerboard))
    ranks.seed(trial.seed)
    with halved_when_out_of_memory(trial, run.folder):
        fit_or_resume(
            module,
            data.training,
            data.validation,
            run,
            machine.device,
            machine.precision,
            minutes,
            stop,
            told,
            watching,
        )
    return {"loss_weights": weights, **loss.record()}


def with_memory(report: Report, device: str) -> Report:
    """`report`, which also tells what a launcher of several trials has to know."""
    return lambda event: report({**event, "memory_bytes": taken_memory_bytes(device)})


def loss_options(settings: TrialSettings, data: TrialData) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """The loss's arguments, and every number a class among them by its setting, such as class weights made from the
    training split. Raises ConfigError when numbers and classes do not fit."""
    samples = data.training.dataset
    assert isinstance(samples, Samples | DrawnSamples)
    return resolve_loss(settings.loss.model_dump(), samples.dataset, data.training.sampler.indices)


def network_to_score(trial: Frozen, network: SegmentationNetwork, data: TrialData) -> SegmentationNetwork:
    """`network`, or another where it was spread over GPUs or is scored at evaluation.output_stride; its weights are
    still to be loaded."""
    output_stride = trial.settings.evaluation.output_stride
    same = output_stride is None and trial.settings.execution.strategy == "ddp"
    return network if same else build_network(trial.settings, data.num_classes, output_stride)


def load_chosen_checkpoint(trial: Frozen, network: SegmentationNetwork, run: RunDirectory) -> None:
    """The weights that are scored, read from the file: a resumed and an uninterrupted trial score the same ones."""
    path = scored_checkpoint(trial.settings, run)
    if not path.exists():
        raise ConfigError(
            "evaluation.checkpoint is best, but no epoch was validated",
            str(run.folder),
            f"lower train.validate_every (now {trial.settings.train.validate_every}) to at most the epochs",
        )
    network.load_state_dict(checkpoint_io.network_weights(checkpoint_io.load(path)))


def score(
    trial: Frozen,
    data: TrialData,
    network: SegmentationNetwork,
    machine: Machine,
    run: RunDirectory,
    stop: StopRequest,
    report: Report,
) -> dict[str, Any]:
    """The result of the weights that `network` holds; beside it counts, histograms, predictions and artefacts."""
    device, precision, folder = machine.device, machine.precision, run.folder
    evaluated = evaluate(network, data.scored, data.num_classes, device, precision, stop, report)
    run.check_claim()
    write_counts(data, evaluated, folder)
    write_predictions(network, data.scored_dataset, data.scored_indices, device, precision, folder / "samples")
    if trial.settings.checkerboard.measure:
        measure_at_the_end(network, data.scored_dataset, data.scored_indices, trial.settings.checkerboard, folder)
    result = summarise(trial, data, network, device, precision, evaluated, folder)
    result["cost"]["attempt_seconds"] = machine.seconds()
    return result
