"""Run directories: what lies where, in which state a trial is, and the one writer of each file."""

import contextlib
import json
import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsuite.errors import SegsuiteError, plural
from segsuite.io import atomic, claims, reading, results
from segsuite.io.numbers import finite
from segsuite.io.reading import Unreadable, patiently

SMALLER_BATCH = "smaller_batch.json"
"""Beside trial.yaml when the memory was too small: the batches that are trained with, see trial/smaller_batch.py."""
PREVIOUS = "previous.ckpt"
OF_TRAINING = ("events.jsonl", "metrics.csv", "artefacts.json", "artefacts.npz")
EVENTS = "events.jsonl"
OF_AN_EPOCH = (
    "step", "learning_rate", "loss", "gradient_norm", "seconds", "data_seconds", "images_per_second", "miou",
    "pixel_accuracy", "validation_loss",
)  # fmt: skip
"""What is a number, if it is there, in a line of events.jsonl."""
STATES = ("finished", "running", "failed", "damaged", "unfinished", "unreadable", "new")


@dataclass(frozen=True)
class Look:
    """What one look at a run directory has found."""

    state: str
    """finished: has a whole result. running: a live process claims it. failed: ended with an error. damaged: its
    result.json is not whole; `segsuite run` scores it again. unfinished: was stopped. unreadable: nobody knows, since
    the folder or a file that says it cannot be read. new."""
    why: str = ""
    """Of a damaged or unreadable one: a sentence that names the file."""
    to_do: str = ""
    names: frozenset[str] = frozenset()
    """What lies in the folder."""
    result: Mapping[str, Any] | None = None
    """Of a finished one: what result.json holds."""
    is_away: bool = False
    """Of an unreadable one: whether a file server said so that may soon answer again."""


def names(folder: Path) -> frozenset[str]:
    """What lies in a run directory, in one look; empty when there is none. Raises Unreadable."""
    try:
        return frozenset(patiently(lambda: os.listdir(folder)))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        raise reading.unreadable(folder, error) from error


def look(folder: Path) -> Look:
    """Looks at a run directory. One look and not five: on a network file system each costs as much as the others, and
    an experiment has thousands of run directories."""
    try:
        there = names(folder)
        return _look(folder, there)
    except Unreadable as error:
        cause = error.__cause__
        is_away = isinstance(cause, OSError) and cause.errno in reading.TRANSIENT
        return Look("unreadable", error.what, error.advice, is_away=is_away)


def state(folder: Path) -> str:
    """The state of a run directory, see `Look`."""
    return look(folder).state


def _look(folder: Path, there: frozenset[str]) -> Look:
    found = _with_result(folder, there) if results.NAME in there else None
    if found is not None and found.state == "finished":
        return found
    if claims.NAME in there:
        if claims.is_live(folder):
            return Look("running", names=there)
        found = _with_result(folder, there)  # it may have ended since the look
    if found is not None:
        return found
    if "failure.json" in there:
        return Look("failed", names=there)
    begun = "events.jsonl" in there or ("checkpoints" in there and reading.exists(folder / "checkpoints" / "last.ckpt"))
    return Look("unfinished" if begun else "new", names=there)


def _with_result(folder: Path, there: frozenset[str]) -> Look | None:
    try:
        return Look("finished", names=there, result=results.read(folder))
    except FileNotFoundError:
        return None
    except results.Damaged as error:
        return Look("damaged", str(error), "`segsuite run` sets it aside and scores the kept weights again", there)


def log_file(folder: Path) -> Path:
    """What the trial's last attempt printed: log.txt, or where a cluster keeps it."""
    on_cluster = folder / "slurm.log"
    with contextlib.suppress(Unreadable):
        if reading.exists(on_cluster):
            return on_cluster
    return folder / "log.txt"


def read_json(path: Path) -> dict[str, Any] | None:
    """The mapping in a JSON file, or None when the file is absent, not whole or unreadable: for what is only shown.
    What a decision hangs on asks `look`, or `reading`."""
    try:
        value = reading.parsed(reading.read_bytes(path), strict=False)
    except (OSError, ValueError, Unreadable):
        return None
    return value if isinstance(value, dict) else None


def batches_in_words(record: Mapping[str, Any]) -> str:
    """What smaller_batch.json says, in words: images a batch x batches a step, and what they were to be.

    >>> batches_in_words({"batch_size": 4, "accumulate": 2, "was": {"batch_size": 8, "accumulate": 1}})
    '4 x 2 instead of 8 x 1'
    """
    now, was = (f"{batches['batch_size']} x {batches['accumulate']}" for batches in (record, record["was"]))
    return f"{now} instead of {was}"


def smaller_batch(folder: Path) -> dict[str, Any] | None:
    """What smaller_batch.json says; None when there is none. Raises SegsuiteError when it cannot be read or is damaged:
    with other batches the training would be another one."""
    path = folder / SMALLER_BATCH
    try:
        record = reading.parsed(reading.read_bytes(path))
        batches_in_words(record)
        named = [record[name] for name in record["was"]]
        if not all(results.is_number(value) and isinstance(value, int) for value in named):
            raise ValueError("batches are whole numbers")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SegsuiteError(
            f"{SMALLER_BATCH} is damaged: it said with which batches the trial is trained",
            str(path),
            f"remove the folder {folder} to train the trial anew",
        ) from None
    return dict(record)


def events(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a run directory, oldest first; a line that a killed writer left half, or that is damaged, is not
    there. Raises Unreadable."""
    return events_and_damage(folder)[0]


def events_and_damage(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """The same, and a sentence about what is damaged; empty when nothing is."""
    try:
        lines, damaged = reading.json_lines(folder / EVENTS)
    except FileNotFoundError:
        return [], ""
    except ValueError as error:
        return [], f"{EVENTS} is damaged: {error}"
    whole = [event for event in lines if _is_event(event)]
    damaged += len(lines) - len(whole)
    return whole, f"{EVENTS}: {plural(damaged, 'line')} cannot be read, and left out" if damaged else ""


def _is_event(event: Mapping[str, Any]) -> bool:
    epoch = event.get("epoch")
    return (
        results.is_number(epoch)
        and isinstance(epoch, int)
        and not any(results.number(event.get(name)) for name in OF_AN_EPOCH)
        and not results.each(results.number)(event.get("iou") or {})
    )


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
        patiently(lambda: (self.folder / "failure.json").unlink(missing_ok=True))
        smaller = smaller_batch(self.folder)
        if smaller is not None and not smaller.get("begun"):
            for path in (*self.checkpoints, *(self.folder / name for name in OF_TRAINING)):
                path.unlink(missing_ok=True)
            atomic.write_json(self.folder / SMALLER_BATCH, smaller | {"begun": True})

    def rewind(self, epoch: int) -> None:
        """Forgets the events of `epoch` and later, which are about to be run again."""
        self.check_claim()
        kept = [event for event in events(self.folder) if event["epoch"] < epoch]
        if reading.exists(self.folder / EVENTS):
            atomic.write_text(self.folder / EVENTS, "".join(json.dumps(event) + "\n" for event in kept))

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Adds an epoch to events.jsonl and writes metrics.csv anew."""
        self.check_claim()
        atomic.append_line(self.folder / EVENTS, json.dumps(finite(dict(event)), allow_nan=False))
        rows = events(self.folder)
        columns = list(dict.fromkeys(key for row in rows for key, value in row.items() if not isinstance(value, dict)))
        lines = [",".join(columns)] + [
            ",".join("" if row.get(column) is None else str(row[column]) for column in columns) for row in rows
        ]
        atomic.write_text(self.folder / "metrics.csv", "\n".join(lines) + "\n")

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes result.json: from now on the trial is finished. Raises ValueError for a result that no reader would
        take for whole, which is a defect of the suite: the trial would be run again and again."""
        self.check_claim()
        if wrong := results.fault(finite(dict(result))):
            raise ValueError(f"this is no whole result: {wrong}")
        atomic.write_json(self.folder / results.NAME, dict(result))
        patiently(lambda: self.previous_checkpoint.unlink(missing_ok=True))

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
