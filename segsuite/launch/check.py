"""Reads all data of an experiment once, before the first trial starts: a bad mask is named now, not after an hour."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from segsuite.config.batches import unlike_sizes
from segsuite.errors import ConfigError, SegsuiteError
from segsuite.experiment import Experiment, Trial
from segsuite.io.atomic import make_folder
from segsuite.launch.check_plan import located, open_splits
from segsuite.launch.data_used import DataUsed, data_used, where_set

if TYPE_CHECKING:
    from segsuite.datasets.audit import Audit


def check_data(experiment: Experiment, console: Console, trials: Sequence[Trial] | None = None) -> None:
    """Audits each split that `trials` (by default all) use. Raises one error that lists what cannot be used.

    A good audit is remembered under runs_root by the data's fingerprint, so that a second run reads nothing again.
    """
    from segsuite.datasets.audit import audit_cached

    folder = make_folder(Path(experiment.folder).parent / ".audits")
    found: list[SegsuiteError] = []
    columns = (TextColumn("checking {task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for used in data_used(experiment.trials if trials is None else trials):
            datasets, missing = open_splits(experiment, used)
            found += missing
            audits = []
            for split, dataset in datasets.items():
                step = partial(_advance, progress, progress.add_task(f"{used.name}/{split}"))
                try:
                    audits.append(audit_cached(dataset, folder, step))
                    audits[-1].raise_if_bad()
                except SegsuiteError as error:
                    found.append(error)
            found += data_problems(experiment, used, audits)
    if found:
        raise ConfigError.of(found)


def data_problems(experiment: Experiment, used: DataUsed, audits: Sequence["Audit"]) -> list[SegsuiteError]:
    """What is wrong with the images together, and with the settings of the trials that shall use them."""
    from segsuite.datasets.consistency import inconsistencies

    found: list[SegsuiteError] = [located(error, where_set(experiment, "data")) for error in inconsistencies(audits)]
    for audit in audits:
        if audit.split == "train" and not audit.problems:
            sizes = {(int(height), int(width)) for height, width in audit.sizes}
            unlike = [unlike_sizes(sizes, trial.settings) for trial in used.trials]
            found += [located(error, where_set(experiment, "augment")) for error in unlike if error is not None]
    return list({(error.what, error.where): error for error in found}.values())


def _advance(progress: Progress, task: TaskID, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)
