"""Freezes trials into their run directories."""

import os
from pathlib import Path

from segsuite import yaml_io
from segsuite.experiment import Experiment, Trial
from segsuite.io import atomic


def freeze(trial: Trial) -> Path:
    """Writes trial.yaml: all settings resolved, so that an edit of the experiment later changes nothing of a trial
    that waits."""
    record = {
        "id": trial.id,
        "experiment": trial.experiment,
        "arm": trial.arm,
        "seed": trial.seed,
        "differences": trial.differences,
        "settings": trial.settings.model_dump(mode="json"),
    }
    atomic.write_text(trial.folder / "trial.yaml", yaml_io.to_text(record))
    return trial.folder


def check_writable(experiment: Experiment) -> None:
    """Raises SegsuiteError unless the experiment's folder can be written to."""
    atomic.make_folder(experiment.folder)
    probe = experiment.folder / f".probe.{os.getpid()}.tmp"
    atomic.write_text(probe, "")
    probe.unlink()
