"""Freezes trials into their run directories."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from segsuite import yaml_io
from segsuite.experiment import Experiment, Trial
from segsuite.io import atomic

WRITERS = 16


def freeze(trial: Trial) -> Path:
    """Writes trial.yaml: all settings resolved, so that an edit of the experiment later changes nothing of a trial
    that waits."""
    return _write(trial, _settings_but_seed(trial))


def freeze_all(trials: Sequence[Trial]) -> None:
    """The same for trials of one experiment, thousands of them: the settings of an arm become YAML once, and the disk,
    which is waited for after each file, is given several at a time."""
    texts = {arm: _settings_but_seed(trial) for arm, trial in {trial.arm: trial for trial in trials}.items()}
    with ThreadPoolExecutor(WRITERS) as writers:
        for _ in writers.map(lambda trial: _write(trial, texts[trial.arm]), trials):
            pass  # an error of any of them is raised here, and the rest are not begun


def _settings_but_seed(trial: Trial) -> str:
    return yaml_io.to_text({"settings": trial.settings.model_dump(mode="json", exclude={"seed"})})


def _write(trial: Trial, settings_but_seed: str) -> Path:
    record = {
        "id": trial.id,
        "experiment": trial.experiment,
        "arm": trial.arm,
        "seed": trial.seed,
        "differences": trial.differences,
    }
    text = f"{yaml_io.to_text(record)}{settings_but_seed}  seed: {trial.settings.seed}\n"
    atomic.write_text(trial.folder / "trial.yaml", text)
    return trial.folder


def check_writable(experiment: Experiment) -> None:
    """Raises SegsuiteError unless the experiment's folder can be written to."""
    atomic.check_writable(experiment.folder)
