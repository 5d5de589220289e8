"""Mirrors a trial to Weights & Biases: one run a trial of an experiment, so that a resumed trial continues it.

Written against wandb 0.31. Never passes `step=` to log: wandb drops what comes with a smaller step than before, which a
resumed trial does. Epochs that are run again therefore stand twice in the history; the later row is the valid one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.config.tracking import Wandb
from segsuite.errors import EXIT_PREEMPTED
from segsuite.io import store, wandb_environment
from segsuite.io.wandb_environment import first_line
from segsuite.train.tracking import (
    Palette,
    Report,
    Shown,
    Subject,
    Tracker,
    axes,
    epoch_values,
    result_values,
)

VOID = 255
STEP = "trainer/global_step"
CLASS_TABLE = "final/per_class"


class WandbTracker(Tracker):
    """A W&B run. Without a server, a key or wandb itself it falls back to offline, or to nothing."""

    def __init__(self, subject: Subject, report: Report) -> None:
        super().__init__(subject, report)
        self.settings: Wandb = subject.settings.wandb
        self._run: Any = None
        self._pending: dict[str, Any] = {}
        self._labels: dict[int, str] = {}

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
        # What a killed attempt had told wandb in its last seconds may not have reached the disk.
        for event in last_seconds(store.events(self.subject.folder), 2 * wandb_environment.FLUSH_SECONDS):
            self._run.log(epoch_values(event))

    def epoch(self, event: Mapping[str, Any]) -> None:
        """One row of the history, with the images that were made in this epoch."""
        row, self._pending = {**epoch_values(event), **self._pending}, {}
        self._safely("W&B: logging an epoch", lambda: self._run.log(row))

    def truth(self, shown: Sequence[Shown], classes: Sequence[str]) -> None:
        """Photos as JPEG, ground truth as lossless masks; not again when a trial is continued."""
        self._labels = {**dict(enumerate(classes)), VOID: "void"}
        if shown and not store.events(self.subject.folder):
            self._safely("W&B: making images", lambda: self._add("samples/truth", [self._photo(s) for s in shown]))

    def predictions(self, names: Sequence[str], labels: Sequence[NDArray[np.uint8]], palette: Palette) -> None:
        """Predictions in the dataset's colours as PNG, the class ids as lossless masks."""

        def make() -> None:
            colours = np.zeros((256, 3), dtype=np.uint8)
            colours[: len(palette)] = palette
            images = [self._prediction(name, label, colours) for name, label in zip(names, labels, strict=True)]
            self._add("samples/prediction", images)

        self._safely("W&B: making images", make)

    def _add(self, key: str, images: list[Any]) -> None:
        self._pending[key] = images

    def _photo(self, sample: Shown) -> Any:
        import wandb

        image = sample.image if sample.image.dtype == np.uint8 else (255 * sample.image).round().astype(np.uint8)
        masks = {"ground_truth": {"mask_data": sample.label, "class_labels": self._labels}}
        return wandb.Image(np.ascontiguousarray(image), caption=sample.name, masks=masks, file_type="jpg")

    def _prediction(self, name: str, label: NDArray[np.uint8], colours: NDArray[np.uint8]) -> Any:
        import wandb

        masks = {"prediction": {"mask_data": label, "class_labels": self._labels}}
        return wandb.Image(colours[label], caption=name, masks=masks, file_type="png")

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
        self._run = None

    def _safely(self, doing: str, call: Any, seconds: float = 60.0) -> None:
        if self._run is not None:
            self.safely(doing, call, seconds)


def last_seconds(events: Sequence[Mapping[str, Any]], seconds: float) -> list[Mapping[str, Any]]:
    """The last of `events`, and those before it that took less than `seconds` together with what follows."""
    kept: list[Mapping[str, Any]] = []
    for event in reversed(events):
        kept.insert(0, event)
        seconds -= float(event.get("seconds") or 0.0)
        if seconds <= 0:
            break
    return kept
