"""What the run directories of an experiment hold, as one tree of frozen values; works however little is there.

The files are the truth: nothing here asks a network, a tracker or a running trial. Imports no torch.
"""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.arms import expand
from segsuite.config import TrialSettings
from segsuite.errors import NonFiniteError
from segsuite.experiment import Experiment, Trial
from segsuite.io import manifest, store
from segsuite.io.reading import Unreadable
from segsuite.metrics import array_files
from segsuite.metrics.groups import image_miou
from segsuite.report.same_data import OTHER_DATA, of_other_data

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Counted:
    """counts.npz: `counts` int64 (N, C, 3) TP, FP, FN of each image and class; names and sequences of the N images."""

    counts: Counts
    names: tuple[str, ...]
    sequences: tuple[str, ...]
    classes: tuple[str, ...]

    def label_pixels(self) -> Counts:
        """int64 (N, C): pixels labelled as each class, TP + FN."""
        pixels: Counts = self.counts[:, :, 0] + self.counts[:, :, 2]
        return pixels

    def image_miou(self) -> NDArray[np.float64]:
        """float64 (N,): mIoU of each image alone, over the classes that occur in its label; NaN where none does.

        Only to choose images to look at: the score of an arm is a ratio of sums over the whole split.
        """
        return image_miou(self.counts)


@dataclass(frozen=True, eq=False)
class TrialRecord:
    """One trial as its run directory tells it."""

    id: str
    arm: str
    seed: int
    state: str
    folder: Path
    settings: TrialSettings
    result: Mapping[str, Any] | None = None
    events: tuple[Mapping[str, Any], ...] = ()
    attempts: tuple[Mapping[str, Any], ...] = ()
    """The manifests of the attempts that its weights come from."""
    reason: str = ""
    counted: Counted | None = None
    other_data: bool = False
    """Whether it saw other images or masks than those that it would be averaged with: then it counts as not
    finished."""
    diverged: bool = False
    """Whether it ended because a loss, a gradient or logits became NaN or infinite."""
    damaged: tuple[str, ...] = ()
    """What of its files beside the result cannot be read."""

    @property
    def finished(self) -> bool:
        """Whether it has a result that can be read and be put beside others."""
        return self.result is not None and not self.other_data

    @property
    def smaller_batches(self) -> str:
        """The batches that it was trained with because the memory was too small, in words; empty for a usual trial."""
        record = self.within("smaller_batch")
        return store.batches_in_words(record) if isinstance(record, Mapping) else ""

    def within(self, *keys: str) -> Any:
        """What result.json holds at `keys`, one inside the other; None when there is nothing."""
        value: Any = self.result
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def score(self, name: str) -> float | None:
        """A scalar score of result.json, in 0..1; None when there is none."""
        return number((self.result or {}).get("scores", {}).get(name))

    def class_score(self, name: str, label: str) -> float | None:
        """A score of one class of result.json; None when there is none."""
        return number((self.result or {}).get("class_scores", {}).get(name, {}).get(label))

    def cost(self, name: str) -> float | None:
        """A cost of result.json; None when it was not measured."""
        return number((self.result or {}).get("cost", {}).get(name))


@dataclass(frozen=True, eq=False)
class Gathered:
    """An experiment and all that is known of it. Arms and seeds are in the order of its YAML."""

    name: str
    question: str
    arguments: str
    """What the command line was given: the YAML and every `--set`, as one writes it in a shell."""
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    baseline: str | None
    axes: Mapping[str, Mapping[str, str]]
    """Axis -> arm -> the arm's value on it, as shown."""
    trials: tuple[TrialRecord, ...]
    strangers: int
    """Run directories in the experiment's folder that belong to no trial of the YAML as it is now."""

    def of(self, arm: str) -> tuple[TrialRecord, ...]:
        """The arm's trials, in the order of the seeds."""
        return tuple(trial for trial in self.trials if trial.arm == arm)

    def done(self, arm: str) -> tuple[TrialRecord, ...]:
        """The arm's finished trials."""
        return tuple(trial for trial in self.of(arm) if trial.finished)

    @property
    def finished(self) -> tuple[TrialRecord, ...]:
        """All finished trials."""
        return tuple(trial for trial in self.trials if trial.finished)

    @property
    def shown(self) -> tuple[str, ...]:
        """Arms with at least one finished trial."""
        return tuple(arm for arm in self.arms if self.done(arm))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, from the first result; empty without one."""
        return tuple(next((trial.result["class_scores"]["iou"] for trial in self.trials if trial.result), ()))

    def scores(self, arm: str, name: str) -> dict[int, float]:
        """seed -> score of the arm's finished trials that have it."""
        found = {trial.seed: trial.score(name) for trial in self.done(arm)}
        return {seed: score for seed, score in found.items() if score is not None}

    def counts(self) -> dict[str, dict[int, Counts]]:
        """arm -> seed -> counts (N, C, 3) of the trials that were scored on the same images and labels as most; an arm
        without one is there with nothing."""
        reference = self.reference
        found: dict[str, dict[int, Counts]] = {arm: {} for arm in self.arms}
        for trial in self.finished:
            if trial.counted is not None and reference is not None and same_images(trial.counted, reference):
                found[trial.arm][trial.seed] = trial.counted.counts
        return found

    @cached_property
    def reference(self) -> Counted | None:
        """The counts whose images and classes most finished trials share."""
        counted = [trial.counted for trial in self.finished if trial.counted is not None]
        return max(counted, key=lambda one: sum(same_images(one, other) for other in counted), default=None)


def gather(experiment: Experiment) -> Gathered:
    """Reads every run directory of the experiment. A damaged file is a reason in the page, never an error here."""
    points = expand(experiment.composed, experiment.name)
    axes = {
        axis: {arm: _value(axis, points[arm][axis].label) for arm in experiment.arms}
        for axis in next(iter(points.values()), {})
    }
    return Gathered(
        experiment.name,
        experiment.question,
        _arguments(experiment),
        experiment.seeds,
        experiment.arms,
        experiment.baseline,
        axes,
        _with_other_data_marked([_record(trial) for trial in experiment.trials]),
        _strangers(experiment),
    )


def _arguments(experiment: Experiment) -> str:
    path = experiment.path.resolve()
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else experiment.path
    overrides = [where for where in experiment.composed.origins.values() if where.startswith("--set ")]
    words = [word for where in dict.fromkeys(overrides) for word in ("--set", where.removeprefix("--set "))]
    return shlex.join([str(shown), *words])


def number(value: Any) -> float | None:
    """`value` as a float if it is a number, else None."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _value(axis: str, label: str) -> str:
    """`nearest_conv` of `upsampler=nearest_conv`; numbers, `true` and the like keep their setting's name."""
    words = axis.split(".")
    short = words[-2] if words[-1] == "name" and len(words) > 1 else words[-1]
    value = label.removeprefix(f"{short}=")
    return value if value[:1].isalpha() and value not in ("true", "false", "null") else label


def _record(trial: Trial) -> TrialRecord:
    look, folder = store.look(trial.folder), trial.folder
    state, result, counted, reason = look.state, look.result, None, look.why
    epochs, damage = list[dict[str, Any]](), ""
    if state != "unreadable":
        try:
            epochs, damage = store.events_and_damage(folder)
        except Unreadable as error:
            state, result, reason = "unreadable", None, error.what
    if result is not None:
        try:
            counted = _counted(folder / "counts.npz")
        except array_files.Damaged:
            reason = "counts.npz cannot be read; this trial is in no comparison"
    failure = (store.read_json(folder / "failure.json") or {}) if state == "failed" else {}
    if state == "failed" and not reason:
        reason = str(failure.get("reason") or "no reason was recorded")
    damaged = [damage] if damage else []
    if result is not None:
        damaged += _damaged(folder, look.names)
    return TrialRecord(
        trial.id,
        trial.arm,
        trial.seed,
        state,
        folder,
        trial.settings,
        result,
        tuple(epochs),
        tuple(manifest.of_result(manifest.attempts(folder))),
        reason,
        counted,
        diverged=failure.get("kind") == NonFiniteError.__name__,
        damaged=tuple(damaged),
    )


def _damaged(folder: Path, names: frozenset[str]) -> list[str]:
    """Files beside a result that are there and cannot be read, each with what is wrong. Without one the page lacks a
    figure, and nothing else would say why. counts.npz has a notice of its own."""
    of_json = [name for name in ("artefacts.json", "manifest.json") if name in names]
    found = [f"{name} cannot be read" for name in of_json if store.read_json(folder / name) is None]
    for name in ("histograms.npz", "artefacts.npz"):
        if name in names:
            try:
                array_files.read(folder / name)
            except array_files.Damaged:
                found.append(f"{name} cannot be read")
    return found


def _with_other_data_marked(records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    others = of_other_data((one.id, one.settings, one.result) for one in records if one.result is not None)
    return tuple(
        dataclasses.replace(one, other_data=True, reason=OTHER_DATA) if one.id in others else one for one in records
    )


def _counted(path: Path) -> Counted:
    arrays = array_files.read(path, ("counts", "names", "sequences", "classes"))
    texts = {name: tuple(str(item) for item in arrays[name].ravel()) for name in ("names", "sequences", "classes")}
    counts = arrays["counts"]
    if counts.shape != (len(texts["names"]), len(texts["classes"]), 3) or counts.dtype.kind not in "iu":
        raise array_files.Damaged(f"counts are whole numbers (N, C, 3), got {counts.dtype} {counts.shape}")
    return Counted(counts.astype(np.int64), texts["names"], texts["sequences"], texts["classes"])


def same_images(one: Counted, other: Counted) -> bool:
    """Whether both are of the same images with the same labels, so that they can be paired."""
    if one is other:
        return True
    if one.names != other.names or one.classes != other.classes:
        return False
    return np.array_equal(one.label_pixels(), other.label_pixels())


def _strangers(experiment: Experiment) -> int:
    known: Sequence[str] = [trial.id for trial in experiment.trials]
    return sum(path.parent.name not in known for path in experiment.folder.glob("*/trial.yaml"))
