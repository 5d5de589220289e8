"""Run directories: what lies where, in which state a trial is, and the one writer of each file."""

import json
import os
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segsuite.errors import SegsuiteError
from segsuite.io import atomic, claims
from segsuite.io.numbers import finite

SMALLER_BATCH = "smaller_batch.json"
"""Beside trial.yaml when the memory was too small: the batches that are trained with, see trial/smaller_batch.py."""
PREVIOUS = "previous.ckpt"
OF_TRAINING = ("events.jsonl", "metrics.csv", "artefacts.json", "artefacts.npz")
STATES = ("finished", "running", "failed", "unfinished", "new")


def names(folder: Path) -> frozenset[str]:
    """What lies in a run directory, in one look; empty when there is none."""
    try:
        return frozenset(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def state(folder: Path, there: frozenset[str] | None = None) -> str:
    """finished: has a result. running: a live process claims it. failed: ended with an error. unfinished: was
    stopped. new.

    `there`: its `names`, when the caller has looked already. One look and not five: on a network file system each
    costs as much as the others, and an experiment has thousands of run directories.
    """
    there = names(folder) if there is None else there
    if "result.json" in there:
        return "finished"
    if "claim.json" in there:
        if claims.is_live(folder):
            return "running"
        if (folder / "result.json").exists():  # it has ended since the look
            return "finished"
    if "failure.json" in there:
        return "failed"
    begun = "events.jsonl" in there or ("checkpoints" in there and (folder / "checkpoints" / "last.ckpt").exists())
    return "unfinished" if begun else "new"


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


def batches_in_words(record: Mapping[str, Any]) -> str:
    """What smaller_batch.json says, in words: images a batch x batches a step, and what they were to be.

    >>> batches_in_words({"batch_size": 4, "accumulate": 2, "was": {"batch_size": 8, "accumulate": 1}})
    '4 x 2 instead of 8 x 1'
    """
    now, was = (f"{batches['batch_size']} x {batches['accumulate']}" for batches in (record, record["was"]))
    return f"{now} instead of {was}"


def events(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a run directory, oldest first; a line that a killed writer left half is not there."""
    return list(_whole_lines(folder / "events.jsonl"))


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


class RunDirectory:
    """Writes the run directory of one trial, whose `claim` is held; it is looked at before each write that replaces
    something, which raises ClaimLost when another process has taken over. None: nobody else can write."""

    def __init__(self, folder: Path, claim: claims.Claim | None = None) -> None:
        self.folder, self._claim = folder, claim
        self.last_checkpoint = folder / "checkpoints" / "last.ckpt"
        self.previous_checkpoint = folder / "checkpoints" / PREVIOUS
        """The last.ckpt before, while the trial trains: a disk may damage one."""
        self.best_checkpoint = folder / "checkpoints" / "best.ckpt"
        self.checkpoints = (self.last_checkpoint, self.previous_checkpoint, self.best_checkpoint)

    def check_claim(self) -> None:
        """Raises ClaimLost when another process has taken over the trial."""
        if self._claim is not None:
            self._claim.check()

    def open(self) -> None:
        """Removes what an earlier, killed attempt left half-written, its failure, and, if batches are smaller from now
        on, all that it trained: a training of two batch sizes would be of no arm."""
        for folder in (self.folder / "checkpoints", self.folder / "samples"):
            atomic.remove_stale_temporaries(folder)
        # Another launcher may be writing its trial.yaml or its claim at this moment.
        atomic.remove_stale_temporaries(self.folder, older_than=60.0)
        (self.folder / "failure.json").unlink(missing_ok=True)
        smaller = read_json(self.folder / SMALLER_BATCH)
        if smaller is not None and not smaller.get("begun"):
            for path in (*self.checkpoints, *(self.folder / name for name in OF_TRAINING)):
                path.unlink(missing_ok=True)
            atomic.write_json(self.folder / SMALLER_BATCH, smaller | {"begun": True})

    def rewind(self, epoch: int) -> None:
        """Forgets the events of `epoch` and later, which are about to be run again."""
        self.check_claim()
        kept = [event for event in events(self.folder) if event["epoch"] < epoch]
        if (self.folder / "events.jsonl").exists():
            atomic.write_text(self.folder / "events.jsonl", "".join(json.dumps(event) + "\n" for event in kept))

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Adds an epoch to events.jsonl and writes metrics.csv anew."""
        self.check_claim()
        atomic.append_line(self.folder / "events.jsonl", json.dumps(finite(dict(event)), allow_nan=False))
        rows = events(self.folder)
        columns = list(dict.fromkeys(key for row in rows for key, value in row.items() if not isinstance(value, dict)))
        lines = [",".join(columns)] + [
            ",".join("" if row.get(column) is None else str(row[column]) for column in columns) for row in rows
        ]
        atomic.write_text(self.folder / "metrics.csv", "\n".join(lines) + "\n")

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes result.json: from now on the trial is finished."""
        self.check_claim()
        atomic.write_json(self.folder / "result.json", dict(result))
        self.previous_checkpoint.unlink(missing_ok=True)

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
