"""Whether trials fail for one common reason: then the rest need not be tried, and a person is told it once."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsuite.io import store

ENOUGH = 3
FRAME = re.compile(r'^ *File "(.+)", line (\d+)', re.MULTILINE)
# A loss that is no number any more is what an arm is found to do, no defect that its neighbours share.
OF_ONE_ARM = "NonFiniteError"


@dataclass(frozen=True)
class Failure:
    """How a trial failed. Two are the same when `kind` and `place` are."""

    kind: str  # of the exception
    place: str  # file:line that raised it; without a traceback the sentence, of trial.sbatch without its numbers
    reason: str
    time: float  # seconds since 1970 at which it was recorded

    @property
    def same(self) -> tuple[str, str]:
        return self.kind, self.place

    def __str__(self) -> str:
        first = (self.reason.strip().splitlines() or [self.kind])[0][:300]
        return f"{first} ({self.place})" if re.fullmatch(r"\S+:\d+", self.place) else first


def failure_of(folder: Path, since: float = 0.0) -> Failure | None:
    """How the trial of a run directory failed at `since` or later, None if it did not."""
    path = folder / "failure.json"
    record = store.read_json(path)
    try:
        recorded = path.stat().st_mtime
    except OSError:
        return None
    if record is None or recorded < since:
        return None
    kind, reason = str(record.get("kind")), str(record.get("reason"))
    frames = FRAME.findall(str(record.get("traceback") or ""))
    place = f"{_short(frames[-1][0])}:{frames[-1][1]}" if frames else reason
    return Failure(kind, str(record.get("place") or place), reason, recorded)


def common_failure(folders: Sequence[Path], since: float = 0.0) -> str | None:
    """The sentence that says so when the first three of the trials that have ended, in this order, failed in the same
    way and none of them all has a result."""
    if len(folders) < ENOUGH or any(store.state(folder) == "finished" for folder in folders):
        return None
    first = [failure_of(folder, since) for folder in folders[:ENOUGH]]
    found = [failure for failure in first if failure is not None and failure.kind != OF_ONE_ARM]
    if len(found) < ENOUGH or len({failure.same for failure in found}) > 1:
        return None
    return f"the first {ENOUGH} trials failed in the same way: {found[0]}"


def failures_in_words(folders: Iterable[Path]) -> list[str]:
    """`2 failed: REASON`, one line a reason, the most frequent first."""
    found = [failure for folder in folders if (failure := failure_of(folder)) is not None]
    shown = {failure.same: str(failure) for failure in reversed(found)}
    return [f"{count} failed: {shown[same]}" for same, count in Counter(one.same for one in found).most_common()]


def _short(path: str) -> str:
    """
    >>> _short("/runs/x/slurm/code/0123456789ab/segsuite/train/module.py"), _short("/lib/torch/nn/functional.py")
    ('segsuite/train/module.py', 'torch/nn/functional.py')
    """
    parts = Path(path).parts
    own = [at for at, part in enumerate(parts) if part == "segsuite"]
    return "/".join(parts[own[-1] :] if own else parts[-3:])
