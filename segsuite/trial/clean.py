"""What may be deleted: what finished trials keep beside their weights, checkpoints of trials that the YAML no longer
has, and caches. Imports torch only where a checkpoint is rewritten."""

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsuite import yaml_io
from segsuite.errors import SegsuiteError
from segsuite.experiment import Experiment
from segsuite.io import atomic, store

CACHES = {
    "decoded": re.compile(r"[0-9a-f]{32}\.decoded"),
    "label-counts": re.compile(r"[0-9a-f]{16}(-objects)?\.npz"),
    "file-digests": re.compile(r"[0-9a-f]{16}\.json"),
}
"""Folder -> the names that the suite gives files in it. Whatever else lies there is not ours."""


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
            # A copy under another name, or a link to a run directory elsewhere, is somebody's own.
            if folder.name in known or folder.is_symlink() or _id_in(settings) != folder.name:
                continue
            if store.state(folder) not in ("running", "unreadable"):
                paths = store.RunDirectory(folder).checkpoints
                yield from _files("checkpoint of a trial that the YAML no longer has", paths)
    if caches:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segsuite"
        for name, ours in CACHES.items():
            own = tuple(path for path in sorted((base / name).glob("*")) if ours.fullmatch(path.name))
            yield from _files("cache, made again when it is needed", own)


def _id_in(settings: Path) -> object:
    """The trial that trial.yaml is of; None when that cannot be read."""
    try:
        return yaml_io.read_file(settings).value.get("id")
    except SegsuiteError:
        return None


def _state_of_training(folder: Path) -> Iterator[Leftover]:
    run = store.RunDirectory(folder)
    paths = [path for path in run.checkpoints if _is_own_file(path)]
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


def _files(what: str, paths: Sequence[Path]) -> Iterator[Leftover]:
    for path in paths:
        if _is_own_file(path):
            yield Leftover(what, path, path.stat().st_size, lambda path=path: _delete(path))  # type: ignore[misc]


def _is_own_file(path: Path) -> bool:
    """Whether it is a file and lies where it says: neither it nor its folder is a link, which a person has made."""
    try:
        return stat.S_ISREG(path.lstat().st_mode) and not path.parent.is_symlink()
    except OSError:
        return False


def _delete(path: Path) -> int:
    size = path.stat().st_size if path.stat().st_nlink == 1 else 0  # with a second name its bytes stay until that goes
    atomic.remove(path)
    return size
