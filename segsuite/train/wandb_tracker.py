"""Mirrors a trial to Weights & Biases: one run a trial of an experiment, so that a resumed trial continues it.

Written against wandb 0.31. Never passes `step=` to log: wandb drops what comes with a smaller step than before, which a
resumed trial does. Epochs that are run again therefore stand twice in the history; the later row is the valid one.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.config.tracking import CLASS_TABLE, PREDICTION_TABLE, PREDICTIONS, Wandb
from segsuite.errors import EXIT_PREEMPTED
from segsuite.io import store, wandb_environment
from segsuite.io.wandb_environment import first_line
from segsuite.train.tracking import (
    Palette,
    Report,
    Scored,
    Shown,
    Subject,
    Tracker,
    axes,
    epoch_values,
    result_values,
)

VOID = 255
STEP = "trainer/global_step"


class WandbTracker(Tracker):
    """A W&B run. Without a server, a key or wandb itself it falls back to offline, or to nothing."""

    def __init__(self, subject: Subject, report: Report) -> None:
        super().__init__(subject, report)
        self.settings: Wandb = subject.settings.wandb
        self._run: Any = None
        self._pending: dict[str, Any] = {}
        self._shown: dict[str, Shown] = {}
        self._classes: Sequence[str] = ()

    def start(self) -> None:
        """Opens the run; a mode that does not work is followed by offline."""
        mode = wandb_environment.requested_mode(self.settings.mode)
        if mode == "disabled":
            return
        wandb_environment.prepare(self.subject.folder.parent)
        mode, reason = self._possible(mode)
        for tried in dict.fromkeys((mode, "offline")):
            try:
                self._run = self._init(tried)
                break
            except Exception as error:
                reason = reason or f"{type(error).__name__}: {first_line(error)}"
                # Its process keeps the run's id, also of a start that failed: the next one would log nothing.
                self.safely("W&B: starting again", wandb_environment.teardown, seconds=10.0)
        if reason:
            self.warn(f"W&B: {reason}; {'nothing is logged there' if self._run is None else 'logging offline'}")
        if self._run is not None:
            self.images, self.image_times = self.settings.images, self.settings.image_times
            self._safely("W&B: starting", self._begin)

    @staticmethod
    def _possible(mode: str) -> tuple[str, str]:
        """online or offline, and why it is not what was asked for."""
        try:
            if mode == "auto":
                mode = "online" if wandb_environment.has_key() else "offline"
            if mode == "online" and not wandb_environment.reachable(wandb_environment.base_url()):
                return "offline", f"{wandb_environment.base_url()} does not answer"
        except Exception as error:
            return "offline", f"{type(error).__name__}: {first_line(error)}"
        return mode, ""

    def _init(self, mode: str) -> Any:
        import wandb

        subject = self.subject
        nested = subject.settings.model_dump(mode="json", exclude={"wandb", "tracker"})
        project, entity = wandb_environment.place(self.settings.project, self.settings.entity)
        return wandb.init(
            project=project,
            entity=entity,
            id=wandb_environment.run_id(subject.experiment, subject.id),
            resume="allow",
            name=wandb_environment.shortened(f"{subject.arm}, seed {subject.seed}"),
            group=wandb_environment.group(subject.experiment, subject.arm),
            job_type="train",
            tags=list(dict.fromkeys((subject.experiment, *self.settings.tags))),
            dir=subject.folder,
            config={**axes(subject), "settings": nested},
            settings=wandb_environment.settings(mode),
        )

    def _begin(self) -> None:
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP)
        # Summaries hold the last value unless told otherwise; tables of runs are sorted by them.
        for metric, summary in (("val/miou", "max"), ("val/loss", "min")):
            self._run.define_metric(metric, step_metric=STEP, summary=summary)
        # What a killed attempt had told wandb in its last seconds may not have reached the disk.
        for event in last_seconds(store.events(self.subject.folder), 2 * wandb_environment.FLUSH_SECONDS):
            self._run.log(epoch_values(event))

    def described(self, manifest: Mapping[str, Any]) -> None:
        """Code and data in the config; the dataset as an artifact that the run uses, of facts and no image."""
        self._safely("W&B: noting code and data", lambda: self._note(manifest))

    def _note(self, manifest: Mapping[str, Any]) -> None:
        code, dataset = manifest.get("code") or {}, manifest.get("dataset") or {}
        facts = {"commit": code.get("commit"), "sources": code.get("sources_sha256")}
        facts["data_fingerprint"] = manifest.get("dataset_fingerprint")
        # A later attempt may run with other code.
        self._run.config.update({key: value for key, value in facts.items() if value}, allow_val_change=True)
        if dataset:
            use(self._run, dataset_artifact({**dataset, "fingerprint": facts["data_fingerprint"]}))

    def epoch(self, event: Mapping[str, Any]) -> None:
        """One row of the history, with the images that were made in this epoch."""
        row, self._pending = {**epoch_values(event), **self._pending}, {}
        self._safely("W&B: logging an epoch", lambda: self._run.log(row))

    def truth(self, shown: Sequence[Shown], classes: Sequence[str]) -> None:
        """Kept for the images of `predictions`."""
        self._shown = {sample.name: sample for sample in shown}
        self._classes = classes

    def predictions(self, names: Sequence[str], labels: Sequence[NDArray[np.uint8]], palette: Palette) -> None:
        """Each photo as JPEG, with ground truth and prediction as lossless masks of class ids: one can be laid over the
        other and both over the photo. Logged with the epoch that they belong to."""

        def make() -> None:
            shown = zip(names, labels, strict=True)
            images = [picture(self._shown[name], label, self._classes) for name, label in shown]
            self._pending[PREDICTIONS] = images

        self._safely("W&B: making images", make)

    def scored(self, read: Callable[[int], Sequence[Scored]], classes: Sequence[str]) -> None:
        """One table of predictions of the scored checkpoint, with a row an image."""

        def log() -> None:
            import wandb

            found = read(self.images)
            scores = list(found[0].scores) if found else []
            rows = [
                [one.shown.name, picture(one.shown, one.prediction, classes), *(one.scores[score] for score in scores)]
                for one in found
            ]
            self._run.log({PREDICTION_TABLE: wandb.Table(columns=["image", "prediction", *scores], data=rows)})

        if self.images:
            self._safely("W&B: logging the table of predictions", log)

    def finish(self, result: Mapping[str, Any]) -> None:
        """The per-class table, the checkpoint if asked for, and the summary, whose `complete` comes last."""
        self._safely("W&B: logging the table of classes", lambda: self._log_table(result))
        if self.settings.checkpoints:
            self._safely("W&B: adding the checkpoint", lambda: self._log_checkpoint(result))
        self._safely("W&B: logging the result", lambda: self._run.summary.update(result_values(result)))

    def _log_table(self, result: Mapping[str, Any]) -> None:
        import wandb

        scores = result["class_scores"]
        rows = [[name, *(scores[score].get(name) for score in scores)] for name in scores["iou"]]
        self._run.log({CLASS_TABLE: wandb.Table(columns=["class", *scores], data=rows)})

    def _log_checkpoint(self, result: Mapping[str, Any]) -> None:
        import wandb

        name = "best" if result["scored"]["checkpoint"] == "best" else "last"
        metadata = {"miou": result["scores"]["miou"], "split": result["scored"]["split"], "epochs": result["epochs"]}
        artifact = wandb.Artifact(f"checkpoint-{self._run.id}", type="model", metadata=metadata)
        # Immutable: uploaded from where it lies. It is not written again once there is a result.
        path = self.subject.folder / "checkpoints" / f"{name}.ckpt"
        artifact.add_file(str(path.resolve()), name=path.name, policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact, aliases=["scored"])

    def end(self, exit_code: int) -> None:
        """Closes the run as finished, preempted or failed."""
        run, seconds = self._run, wandb_environment.finish_seconds()
        if run is None:
            return
        if exit_code == EXIT_PREEMPTED:
            self._safely("W&B: marking the run as preempted", run.mark_preempting)
        self._safely("W&B: finishing the run", lambda: run.finish(exit_code=exit_code), seconds + 15)
        self._safely("W&B: sharing its files", lambda: wandb_environment.share(self.subject.folder))
        self._run = None

    def _safely(self, doing: str, call: Any, seconds: float = 60.0) -> None:
        if self._run is not None:
            self.safely(doing, call, seconds)


def picture(sample: Shown, prediction: NDArray[np.uint8], classes: Sequence[str]) -> Any:
    """A wandb.Image: the photo as JPEG, with ground truth and prediction as masks."""
    import wandb

    image = sample.image if sample.image.dtype == np.uint8 else (255 * sample.image).round().astype(np.uint8)
    labels = {**dict(enumerate(classes)), VOID: "void"}
    masks = {
        name: {"mask_data": mask, "class_labels": labels}
        for name, mask in (("ground_truth", sample.label), ("prediction", prediction))
    }
    # In a table the classes stand for the labels of the masks.
    named = [{"id": number, "name": name} for number, name in labels.items()]
    photo = np.ascontiguousarray(image)
    return wandb.Image(photo, caption=sample.name, masks=masks, classes=named, file_type="jpg")


def dataset_artifact(facts: Mapping[str, Any]) -> Any:
    """The dataset as an artifact: one small file of facts, the same for all trials with the same data, whose versions
    are then one."""
    import wandb

    name = re.sub(r"[^\w.-]", "-", f"dataset-{facts['name']}")
    artifact = wandb.Artifact(name, type="dataset", metadata=dict(facts))
    with artifact.new_file("dataset.json") as file:
        json.dump(facts, file, indent=1, sort_keys=True)
    return artifact


def use(run: Any, artifact: Any) -> None:
    """Marks an artifact as used by a run. The public `use_artifact` refuses offline what the log can hold."""
    if hasattr(run, "_log_artifact"):
        run._log_artifact(artifact, aliases=[], is_user_created=True, use_after_commit=True)
    else:
        run.use_artifact(artifact)


def last_seconds(events: Sequence[Mapping[str, Any]], seconds: float) -> list[Mapping[str, Any]]:
    """The last of `events`, and those before it that took less than `seconds` together with what follows."""
    kept: list[Mapping[str, Any]] = []
    for event in reversed(events):
        kept.insert(0, event)
        seconds -= float(event.get("seconds") or 0.0)
        if seconds <= 0:
            break
    return kept
