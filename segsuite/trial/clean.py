"""What may be deleted: what finished trials keep beside their weights, checkpoints of trials that the YAML no longer
has, and caches. Imports torch only where a checkpoint is rewritten."""

import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from segsuite.experiment import Experiment
from segsuite.io import store

CACHES = ("decoded", "label-counts", "file-digests")


@dataclass(frozen=True)
class Leftover:
    """Something that can go: `size` bytes of it lie at `path`, and `free` returns how many it has freed."""

    what: str
    path: Path
    size: int
    free: Callable[[], int]


def leftovers(experiment: Experiment, old: bool = False, caches: bool = False) -> Iterator[Leftover]:
    """Of finished trials whose execution.keep is weights; of `old` run directories, of trials that the experiment no
    longer has and that do not run, the checkpoints; and of this user the `caches`. Nothing of a trial that may go on.
    """
    for trial in experiment.trials:
        if trial.settings.execution.keep == "weights" and store.state(trial.folder) == "finished":
            yield from _state_of_training(trial.folder)
    if old:
        known = {trial.id for trial in experiment.trials}
        for settings in sorted(experiment.folder.glob("*/trial.yaml")):
            folder = settings.parent
            if folder.name not in known and store.state(folder) not in ("running", "unreadable"):
                yield from _files("checkpoint of a trial that the YAML no longer has", folder / "checkpoints")
    if caches:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segsuite"
        for name in CACHES:
            yield from _files("cache, made again when it is needed", base / name)


def _state_of_training(folder: Path) -> Iterator[Leftover]:
    run = store.RunDirectory(folder)
    paths = [path for path in (run.last_checkpoint, run.previous_checkpoint, run.best_checkpoint) if path.exists()]
    if any(_holds_more_than_weights(path) for path in paths):
        sizes = {path.stat().st_ino: path.stat().st_size for path in paths}
        yield Leftover(
            "checkpoints of a finished trial, of which the weights stay",
            run.last_checkpoint.parent,
            sum(sizes.values()),
            lambda: _keep_weights(run),
        )


def _holds_more_than_weights(path: Path) -> bool:
    """Looked up in the archive's directory, without reading the tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            (names,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
            return b"optimizer_states" in archive.read(names)
    except (OSError, ValueError, zipfile.BadZipFile):
        return False  # damaged: not ours to touch


def _keep_weights(run: store.RunDirectory) -> int:
    from segsuite.train.checkpoint_io import keep_weights

    return keep_weights(run)


def _files(what: str, folder: Path) -> Iterator[Leftover]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.is_file():
            yield Leftover(what, path, path.stat().st_size, lambda path=path: _delete(path))  # type: ignore[misc]


def _delete(path: Path) -> int:
    size = path.stat().st_size if path.stat().st_nlink == 1 else 0  # with a second name its bytes stay until that goes
    path.unlink()
    return size
