"""The one place that saves and loads checkpoints."""

import contextlib
import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from segsuite.errors import SegsuiteError
from segsuite.io import atomic, trial_warnings
from segsuite.io.reading import Unreadable, patiently, unreadable
from segsuite.io.store import PREVIOUS, RunDirectory

LACK_OF_MEMORY = "can't allocate memory"
"""What torch says on a CPU: the file may be whole."""
OF_FINISHED = ("state_dict", "epoch", "global_step", "pytorch-lightning_version")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that are whole at any moment, whatever dies.

    Lightning 2.6.6 stages them in TMPDIR, which on a cluster is another file system: its move is then a copy over the
    live file, and a kill or a full disk destroys the good checkpoint (Lightning issue 21253).
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Writes beside `path`, flushes to the disk, then renames; the one before becomes previous.ckpt."""
        save(checkpoint, Path(path), Path(path).with_name(PREVIOUS))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Tensors and plain values only, on the CPU: a checkpoint cannot run code."""
        return load(Path(path))


def save(checkpoint: dict[str, Any], path: Path, previous: Path | None = None) -> None:
    """Replaces the checkpoint `path` atomically; the old one becomes `previous`, if that is given. Raises SegsuiteError
    when the disk refuses."""
    atomic.write_with(path, lambda file: _write(checkpoint, file), previous)


def _write(checkpoint: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(checkpoint, file)
    except RuntimeError as error:
        # What the disk says (it is full) is hidden behind torch's complaint about the end of its archive.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise


def load(path: Path) -> dict[str, Any]:
    """The checkpoint at `path`, on the CPU. Raises SegsuiteError when it is damaged, be it by one bit, which torch does
    not look for."""
    try:
        checkpoint = patiently(lambda: _read(path))
    except (FileNotFoundError, MemoryError):
        raise
    except OSError as error:  # it may be whole
        raise unreadable(path, error) from error
    except Exception as error:
        if LACK_OF_MEMORY in str(error):
            raise
        raise SegsuiteError(
            f"the checkpoint cannot be read: {type(error).__name__}",
            str(path),
            "delete it: the trial then starts again",
        ) from error
    return checkpoint


def _read(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        if isinstance(error.__context__, OSError):  # what the disk says is hidden behind a complaint about the archive
            raise error.__context__ from None
        raise
    if damaged is not None:
        raise zipfile.BadZipFile(damaged)
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise TypeError("it is no checkpoint of a trial")
    return checkpoint


def load_newest_whole(run: RunDirectory) -> dict[str, Any] | None:
    """What a training continues from, None when it has not saved yet. Where last.ckpt is damaged, the one before it,
    else the best one, takes its place, and a warning says so. Raises SegsuiteError when none is whole."""
    try:
        return load(run.last_checkpoint)
    except FileNotFoundError:
        return None
    except Unreadable:
        raise
    except SegsuiteError as error:
        for path in (run.previous_checkpoint, run.best_checkpoint):
            with contextlib.suppress(SegsuiteError, FileNotFoundError):
                checkpoint = load(path)
                atomic.set_aside(run.last_checkpoint)  # a person may want to see it
                atomic.duplicate(path, run.last_checkpoint)
                text = f"last.ckpt was damaged: training went on from {path.name}, step {checkpoint['global_step']}"
                trial_warnings.note(run.folder, text, lasting=True)
                return checkpoint
        raise error


def keep_weights(run: RunDirectory) -> int:
    """Reduces the checkpoints of a finished trial to what it is scored and used with; how many bytes that frees.

    A checkpoint after which a kill comes is whole, old or new. Raises SegsuiteError when the disk refuses.
    """
    before = _bytes(run)
    last, best = run.last_checkpoint, run.best_checkpoint
    is_same = last.exists() and best.exists() and last.samefile(best)
    for path in (last,) if is_same else (last, best):
        if path.exists() and not is_weights_alone(checkpoint := load(path)):
            save({key: checkpoint[key] for key in OF_FINISHED if key in checkpoint}, path)
    if is_same:
        atomic.duplicate(last, best)
    run.previous_checkpoint.unlink(missing_ok=True)
    return before - _bytes(run)


def is_weights_alone(checkpoint: dict[str, Any]) -> bool:
    """Whether it is of a finished trial, so that no training can be continued from it."""
    return "loops" not in checkpoint


def _bytes(run: RunDirectory) -> int:
    """Of the checkpoints; one with two names counts once."""
    found = [path.stat() for path in run.checkpoints if path.exists()]
    return sum({status.st_ino: status.st_size for status in found}.values())


def network_weights(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The weights of the network within a trial's checkpoint (the averaged ones when an average was kept)."""
    prefix = "network."
    return {
        name.removeprefix(prefix): value for name, value in checkpoint["state_dict"].items() if name.startswith(prefix)
    }
