"""A trial whose result.json is damaged, or was lost after its training had ended: what is kept, and what is done again.

Where the weights that are scored can still be read they are scored again; else the trial is trained anew. Nothing is
deleted: what is damaged is set aside beside its place.
"""

import contextlib
import zipfile
from pathlib import Path

from segsuite.config import TrialSettings
from segsuite.errors import SegsuiteError
from segsuite.io import atomic, results, trial_warnings
from segsuite.io.reading import Unreadable
from segsuite.io.store import RunDirectory
from segsuite.train import checkpoint_io
from segsuite.trial.networks import scored_checkpoint


def whole_result(folder: Path) -> dict[str, object] | None:
    """The result of a finished trial; None where there is none or it is damaged. Raises Unreadable."""
    with contextlib.suppress(FileNotFoundError, results.Damaged):
        return results.read(folder)
    return None


def set_aside_damaged(settings: TrialSettings, run: RunDirectory) -> None:
    """Sets a damaged result.json aside; and the checkpoints of a training that has ended, when the weights that are to
    be scored cannot be read: the others are of no use then, and the trial begins anew. Tells it as a warning."""
    try:
        results.read(run.folder)
        return
    except FileNotFoundError:
        damaged = None
    except results.Damaged as error:
        damaged = str(error)
    if not damaged and not _has_ended(run):
        return
    # Before anything is set aside: what cannot be read now may be whole, and then it is as it was.
    wrong = _fault_of_weights(settings, run)
    if damaged:
        run.check_claim()
        aside = atomic.set_aside(run.folder / results.NAME)
        trial_warnings.note(run.folder, f"{damaged}; it is kept as {aside.name if aside else 'nothing'}")
    if not wrong:
        return
    kept = [path for path in run.checkpoints if path.exists()]
    if kept:
        for path in kept:
            atomic.set_aside(path)
        trial_warnings.note(run.folder, f"its weights could not be scored again, so it is trained anew: {wrong}")


def _fault_of_weights(settings: TrialSettings, run: RunDirectory) -> str:
    """Why the weights that are to be scored cannot be; empty where they can. Raises Unreadable."""
    try:
        checkpoint_io.load(scored_checkpoint(settings, run))
    except FileNotFoundError:
        return f"{scored_checkpoint(settings, run).name} is gone"
    except Unreadable:
        raise
    except SegsuiteError as error:
        return error.what
    return ""


def _has_ended(run: RunDirectory) -> bool:
    """Whether a checkpoint holds the weights alone, as only a finished trial leaves them; without reading the
    tensors."""
    return any(_is_weights_alone(path) for path in run.checkpoints)


def _is_weights_alone(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            (names,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
            return b"loops" not in archive.read(names)
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
        return False
