"""Run directories: what lies where, in which state a trial is, and the one writer of each file."""

import json
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segsuite.errors import SegsuiteError
from segsuite.io import atomic, claims

STATES = ("finished", "running", "failed", "unfinished", "new")


def state(folder: Path) -> str:
    """finished: has a result. running: a live process claims it. failed: ended with an error. unfinished: was
    stopped. new."""
    if (folder / "result.json").exists():
        return "finished"
    if claims.is_live(folder):
        return "running"
    if (folder / "failure.json").exists():
        return "failed"
    return (
        "unfinished" if (folder / "events.jsonl").exists() or (folder / "checkpoints" / "last.ckpt").exists() else "new"
    )


def log_file(folder: Path) -> Path:
    """What the trial's last attempt printed: log.txt, or where a cluster keeps it."""
    on_cluster = folder / "slurm.log"
    return on_cluster if on_cluster.exists() else folder / "log.txt"


def read_json(path: Path) -> dict[str, Any] | None:
    """The mapping in a JSON file, or None when the file is absent or not whole."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def events(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a run directory, oldest first; a line that a killed writer left half is not there."""
    return list(_whole_lines(folder / "events.jsonl"))


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


class RunDirectory:
    """Writes the run directory of one trial. Hold its claim while using it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last_checkpoint = folder / "checkpoints" / "last.ckpt"
        self.best_checkpoint = folder / "checkpoints" / "best.ckpt"

    def open(self) -> None:
        """Removes what an earlier, killed attempt left half-written, and its failure."""
        for folder in (self.folder / "checkpoints", self.folder / "samples"):
            atomic.remove_stale_temporaries(folder)
        # Another launcher may be writing its trial.yaml or its claim at this moment.
        atomic.remove_stale_temporaries(self.folder, older_than=60.0)
        (self.folder / "failure.json").unlink(missing_ok=True)

    def rewind(self, epoch: int) -> None:
        """Forgets the events of `epoch` and later, which are about to be run again."""
        kept = [event for event in events(self.folder) if event["epoch"] < epoch]
        if (self.folder / "events.jsonl").exists():
            atomic.write_text(self.folder / "events.jsonl", "".join(json.dumps(event) + "\n" for event in kept))

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Adds an epoch to events.jsonl and writes metrics.csv anew."""
        atomic.append_line(self.folder / "events.jsonl", json.dumps(atomic.finite(dict(event)), allow_nan=False))
        rows = events(self.folder)
        columns = list(dict.fromkeys(key for row in rows for key, value in row.items() if not isinstance(value, dict)))
        lines = [",".join(columns)] + [
            ",".join("" if row.get(column) is None else str(row[column]) for column in columns) for row in rows
        ]
        atomic.write_text(self.folder / "metrics.csv", "\n".join(lines) + "\n")

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes result.json: from now on the trial is finished."""
        atomic.write_json(self.folder / "result.json", dict(result))

    def fail(self, error: BaseException) -> None:
        """Records why the attempt ended."""
        if isinstance(error, SegsuiteError):
            record_failure(self.folder, type(error).__name__, error.what, error.where, error.advice)
        else:
            text = "".join(traceback.format_exception(error))
            record_failure(self.folder, type(error).__name__, f"{type(error).__name__}: {error}", trace=text)


def record_failure(folder: Path, kind: str, reason: str, where: str = "", advice: str = "", trace: str = "") -> None:
    """Writes failure.json; it is removed when the next attempt starts."""
    record = {"kind": kind, "reason": reason, "where": where, "advice": advice, "traceback": trace, "time": time.time()}
    atomic.write_json(folder / "failure.json", record)
