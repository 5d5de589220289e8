"""Reads all data of an experiment once, before the first trial starts: a bad mask is named now, not after an hour."""

from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from segsuite.errors import DataError, SegsuiteError
from segsuite.experiment import Experiment
from segsuite.io.atomic import make_folder


def check_data(experiment: Experiment, console: Console) -> None:
    """Audits each split that the experiment uses. Raises DataError that lists what cannot be used.

    A good audit is remembered under runs_root by the data's fingerprint, so that a second run reads nothing again.
    """
    from segsuite.datasets import build_dataset
    from segsuite.datasets.audit import audit_cached

    folder = make_folder(Path(experiment.folder).parent / ".audits")
    seen = set()
    problems: list[SegsuiteError] = []
    columns = (TextColumn("checking {task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for trial in experiment.trials:
            options = trial.settings.data.model_dump(exclude={"name"})
            overfit = trial.settings.train.overfit_batches > 0
            for split in ("train",) if overfit else ("train", "val", trial.settings.evaluation.split):
                key = (trial.settings.data.model_dump_json(), split)
                if key in seen:
                    continue
                seen.add(key)
                try:
                    dataset = build_dataset(trial.settings.data.name, split, **options)
                    step = partial(_advance, progress, progress.add_task(f"{trial.settings.data.name}/{split}"))
                    audit_cached(dataset, folder, step).raise_if_bad()
                except SegsuiteError as error:
                    problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise DataError("\n".join(problem.what for problem in problems), problems[0].where, problems[0].advice)


def _advance(progress: Progress, task: TaskID, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)
