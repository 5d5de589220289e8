"""`python -m segsuite.trial.mirror RUN_DIRECTORY [EPOCHS]`: tells the tracker of a finished trial what its files say.

For what a log of W&B has lost, or never held: code and data, EPOCHS such as `3,4`, the tables of predictions and of
classes, the checkpoint if it is asked for, and the result. Pictures of the training are in no file of ours. Exit code 1
when something could not be logged.
"""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from segsuite.datasets import build_dataset
from segsuite.errors import ConfigError
from segsuite.io import store
from segsuite.train.samples import read_predictions
from segsuite.train.tracking import Scored, tracked
from segsuite.trial import subject
from segsuite.trial.frozen import Frozen, read


def mirror(folder: Path, epochs: Collection[int]) -> list[str]:
    """Logs `epochs` and the result of the trial in `folder`; the warnings. Raises ConfigError without a result."""
    result = store.look(folder).result
    if result is None:
        raise ConfigError("the trial has no result", str(folder), "finish it first")
    warnings: list[str] = []

    def report(told: dict[str, Any]) -> None:
        warnings.append(str(told.get("warning")))

    trial = read(folder)
    with tracked(subject(trial, folder), report) as tracker:
        tracker.described(store.read_json(folder / "manifest.json") or {})
        for event in store.events(folder):
            if event["epoch"] in epochs:
                tracker.epoch(event)
        tracker.scored(lambda count: predictions(trial, folder, count), list(result["class_scores"]["iou"]))
        tracker.finish(result)
    return warnings


def predictions(trial: Frozen, folder: Path, count: int) -> list[Scored]:
    """Up to `count` of the predictions in samples/, with their photos, which are read from the dataset."""
    settings = trial.settings
    overfit = settings.train.overfit_batches * settings.train.batch_size
    split = "train" if overfit else settings.evaluation.split
    dataset = build_dataset(settings.data.name, split, **settings.data.model_dump(exclude={"name"}))
    return read_predictions(dataset, range(overfit or len(dataset)), folder / "samples", count)


if __name__ == "__main__":
    numbers = {int(number) for number in "".join(sys.argv[2:]).split(",") if number}
    found = mirror(Path(sys.argv[1]), numbers)
    print("\n".join(found), file=sys.stderr)
    sys.exit(1 if found else 0)
